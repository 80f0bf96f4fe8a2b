"""The word2vec reference against loops in Python and finite differences, and properties of its losses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from tests.references.word2vec import ContinuousBagOfWords, SkipGram, nce_loss, negative_sampling_loss, softmax_loss
from torch import Tensor

VOCABULARY, DIMENSION, WINDOWS, PLACES, OUTPUTS = 11, 5, 4, 3, 7
MODELS = (SkipGram, ContinuousBagOfWords)
Kind = type[SkipGram] | type[ContinuousBagOfWords]


def make(kind: Kind) -> SkipGram | ContinuousBagOfWords:
    torch.manual_seed(5)
    model = kind(VOCABULARY, DIMENSION).double()
    torch.nn.init.normal_(model.input_VD)
    torch.nn.init.normal_(model.output_VD)
    return model


def windows() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return windows of three, one, no and two context words, with repeated words."""
    context_BC = torch.tensor([[1, 2, 1], [0, 10, 9], [3, 4, 5], [7, 0, 8]])
    real_BC = torch.tensor([[True, True, True], [False, True, False], [False] * 3, [True, False, True]])
    output_BO = torch.tensor([[3, 4, 5, 4, 0, 9, 1], [6, 0, 1, 2, 3, 6, 5], [1] * 7, [10, 9, 8, 7, 6, 5, 4]])
    labels_BO = torch.zeros(WINDOWS, OUTPUTS, dtype=torch.bool)
    labels_BO[:, 0] = True
    return context_BC, real_BC, output_BO, labels_BO


def log_noise(output_BO: Tensor) -> Tensor:
    noise_V = torch.arange(1, VOCABULARY + 1, dtype=torch.float64)
    return torch.log((OUTPUTS - 1) * noise_V / noise_V.sum())[output_BO]


def hidden_rows(model: SkipGram | ContinuousBagOfWords, context: list[int]) -> Iterator[list[float]]:
    """Yield the hidden vectors of one window."""
    vectors = [model.input_VD[word].tolist() for word in context]
    if isinstance(model, SkipGram):
        yield from vectors
    elif vectors:
        yield [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]


def plain_loss(model: SkipGram | ContinuousBagOfWords, with_noise: bool) -> float:
    context_BC, real_BC, output_BO, _ = windows()
    offsets = log_noise(output_BO).tolist()
    total = 0.0
    for window in range(WINDOWS):
        context = [int(context_BC[window, place]) for place in range(PLACES) if real_BC[window, place]]
        for hidden in hidden_rows(model, context):
            for place, word in enumerate(output_BO[window].tolist()):
                output = model.output_VD[word].tolist()
                score = sum(h * u for h, u in zip(hidden, output, strict=True))
                score -= offsets[window][place] if with_noise else 0.0
                probability = 1 / (1 + math.exp(-score))
                total -= math.log(probability if place == 0 else 1 - probability)
    return total


@pytest.mark.parametrize("with_noise", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_window_loss_equals_the_equation(kind: Kind, with_noise: bool) -> None:
    model = make(kind)
    context_BC, real_BC, output_BO, labels_BO = windows()
    noise_BO = log_noise(output_BO) if with_noise else None
    loss = model(context_BC, real_BC, output_BO, labels_BO, noise_BO)
    assert loss.item() == pytest.approx(plain_loss(model, with_noise), rel=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_softmax_loss_equals_the_equation(kind: Kind) -> None:
    model = make(kind)
    context_BC, real_BC, output_BO, _ = windows()
    total = 0.0
    for window in range(WINDOWS):
        context = [int(context_BC[window, place]) for place in range(PLACES) if real_BC[window, place]]
        for hidden in hidden_rows(model, context):
            scores = [sum(h * u for h, u in zip(hidden, row, strict=True)) for row in model.output_VD.tolist()]
            weights = [math.exp(score) for score in scores]
            total -= math.log(weights[int(output_BO[window, 0])] / sum(weights))
    assert model.full_loss(context_BC, real_BC, output_BO[:, 0]).item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("way", ["negative-sampling", "nce", "softmax"])
@pytest.mark.parametrize("kind", MODELS)
def test_gradients_equal_finite_differences(kind: Kind, way: str) -> None:
    model = make(kind)
    context_BC, real_BC, output_BO, labels_BO = windows()

    def loss(*_: Tensor) -> Tensor:  # `gradcheck` perturbs the model's parameters in place
        if way == "softmax":
            return model.full_loss(context_BC, real_BC, output_BO[:, 0])
        found: Tensor = model(context_BC, real_BC, output_BO, labels_BO, log_noise(output_BO) if way == "nce" else None)
        return found

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()))


def test_cbow_gradient_is_shared_by_context_words() -> None:
    """Unlike word2vec.c, which gives each context word the whole gradient of the hidden vector."""
    model = make(ContinuousBagOfWords)
    context_BC, real_BC, output_BO, labels_BO = (part[:1] for part in windows())
    context_BC = torch.tensor([[1, 2, 3]])
    (grad_VD,) = torch.autograd.grad(model(context_BC, real_BC, output_BO, labels_BO), model.input_VD)
    hidden_1D = model.input_VD[1:4].mean(0, keepdim=True).detach().requires_grad_()
    scores_1O = hidden_1D @ model.output_VD[output_BO[0]].T
    (whole_1D,) = torch.autograd.grad(negative_sampling_loss(scores_1O, labels_BO), hidden_1D)
    torch.testing.assert_close(grad_VD[1:4], whole_1D.expand(3, -1) / 3)


def test_initial_model_is_uniform() -> None:
    context_BC, real_BC, output_BO, labels_BO = windows()
    model = SkipGram(VOCABULARY, DIMENSION)
    hidden_vectors = int(real_BC.sum())
    loss = model(context_BC, real_BC, output_BO, labels_BO)
    assert loss.item() == pytest.approx(hidden_vectors * OUTPUTS * math.log(2), rel=1e-6)
    full = model.full_loss(context_BC, real_BC, output_BO[:, 0])
    assert full.item() == pytest.approx(hidden_vectors * math.log(VOCABULARY), rel=1e-6)
    assert float(model.input_VD.detach().abs().max()) <= 0.5 / DIMENSION


@pytest.mark.parametrize("score", [-1e4, -200.0, 0.0, 200.0, 1e4])
def test_large_scores_do_not_overflow(score: float) -> None:
    scores_BO = torch.tensor([[score, score]], requires_grad=True)
    loss = negative_sampling_loss(scores_BO, torch.tensor([[1, 0]]))
    # log sigma(s) + log sigma(-s) is -|s| but for 2 log(1 + e^-|s|)
    assert loss.item() == pytest.approx(abs(score) + 2 * math.log1p(math.exp(-abs(score))))
    (grad_BO,) = torch.autograd.grad(loss, scores_BO)
    sigma = torch.tensor(score, dtype=torch.float64).sigmoid().item()
    assert grad_BO.tolist()[0] == pytest.approx([sigma - 1, sigma], abs=1e-7)


def test_nce_finds_normalized_probabilities() -> None:
    """At the minimum exp(s) is the data distribution for any noise; for negative sampling it is not."""
    counts = torch.tensor([7, 5, 3, 2, 1])
    noise = torch.tensor([4, 6, 9, 5, 12])  # two negatives per positive
    words_1O = torch.cat([torch.arange(5).repeat_interleave(counts), torch.arange(5).repeat_interleave(noise)])[None]
    labels_1O = torch.arange(words_1O.shape[1])[None] < counts.sum()
    log_noise_V = torch.log(2 * noise.double() / noise.sum())
    found = {}
    for way in ("nce", "negative-sampling"):
        scores_V = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([scores_V], max_iter=200, tolerance_grad=1e-12, tolerance_change=0)

        def closure(scores_V: Tensor = scores_V, optimizer: torch.optim.Optimizer = optimizer, way: str = way) -> float:
            optimizer.zero_grad()
            offset_1O = log_noise_V[words_1O] if way == "nce" else torch.zeros_like(words_1O)
            loss = nce_loss(scores_V[words_1O], labels_1O, offset_1O)
            torch.autograd.backward(loss)
            return loss.item()

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        found[way] = scores_V.detach().exp()
    torch.testing.assert_close(found["nce"], counts / counts.sum().double())
    torch.testing.assert_close(found["negative-sampling"], counts / noise.double())


def test_nce_gradient_approaches_the_softmax() -> None:
    torch.manual_seed(2)
    scores_1V = torch.log_softmax(torch.randn(1, 5, dtype=torch.float64), dim=-1).requires_grad_()
    center_1 = torch.tensor([3])
    (wanted_1V,) = torch.autograd.grad(softmax_loss(scores_1V, center_1), scores_1V)
    distance = []
    for each in (10, 100, 1000):  # negatives of each of five words
        words_O = torch.cat([center_1, torch.arange(5).repeat(each)])
        labels_1O = (torch.arange(len(words_O)) == 0)[None]
        log_noise_1O = torch.full((1, len(words_O)), math.log(each), dtype=torch.float64)  # k P_noise = 5 each / 5
        (grad_1V,) = torch.autograd.grad(nce_loss(scores_1V[:, words_O], labels_1O, log_noise_1O), scores_1V)
        distance.append(float((grad_1V - wanted_1V).abs().max()))
    assert distance[1] == pytest.approx(distance[0] / 10, rel=0.1)
    assert distance[2] == pytest.approx(distance[0] / 100, rel=0.1)
