"""Dynamic evaluation: exact before it learns, its steps the equations', and better on a text that repeats itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests import tiny_models
from tests.raising import raises
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import TrainingError
from rnnkit.evaluation.dynamic_evaluation import DynamicEvaluator, DynamicSettings, reference_dynamic_step
from rnnkit.evaluation.perplexity import FloatArray, make_evaluator, token_log_probs
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.nn import kinds
from rnnkit.text import special_tokens


def text(lines: int = 8, seed: int = 2) -> SentenceDataset:
    """Lines of random words."""
    random = np.random.default_rng(seed)
    parts = [
        [*random.integers(4, tiny_models.SIZE, size=size), special_tokens.EOS] for size in random.integers(0, 9, lines)
    ]
    return SentenceDataset(np.concatenate(parts).astype(np.uint16), np.cumsum([0, *map(len, parts)]))


def dynamic(network: LanguageModelNetwork, settings: DynamicSettings, lines: SentenceDataset) -> FloatArray:
    return token_log_probs(DynamicEvaluator(network, settings), lines)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_at_rate_zero_nothing_is_learned(arch: str, context: str, method: kinds.DynamicMethod) -> None:
    network = tiny_models.speaker(arch, context=context, dropout=0.5, weight_drop=0.5, dropout_embedding=0.5)
    found = dynamic(network, DynamicSettings(method, 0.0, 0.3, 3), text())
    np.testing.assert_allclose(found, token_log_probs(make_evaluator(network), text()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_the_network_and_its_surroundings_stay_as_they_are(context: str, method: kinds.DynamicMethod) -> None:
    network = tiny_models.speaker(context=context, dropout=0.5)
    before = copy.deepcopy(network.state_dict())
    random = torch.get_rng_state()
    dynamic(network, DynamicSettings(method, 0.1, 0.01, 4), text())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (network.training, network.config.dropout) == (False, 0.5)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in network.parameters())


def gradients(
    network: LanguageModelNetwork, ids: list[int], last: int, state: object
) -> tuple[dict[str, Tensor], object]:
    """Those of one segment's mean loss, by plain autograd; and the state behind it."""
    before = network.initial_state(1) if state is None else state
    reading = network.hidden_states(torch.tensor([[last, *ids[:-1]]]), before)  # type: ignore[arg-type]
    log_p_TV = network.log_probabilities(reading.hidden_BTE[0])
    names, weights = zip(*network.named_parameters(), strict=True)
    slopes = torch.autograd.grad(torch.nn.functional.nll_loss(log_p_TV, torch.tensor(ids)), weights)
    found = dict(zip(names, slopes, strict=True))
    return found, tuple(tuple(part.detach() for part in layer) for layer in reading.state)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
@pytest.mark.parametrize(("tied", "decay"), [(True, 0.2), (False, 0.2), (True, 1.0)])
def test_steps_are_those_of_the_equations(method: kinds.DynamicMethod, tied: bool, decay: float) -> None:
    """Three segments by hand: all weights laid end to end as one tensor, as the mean over all weights wants it."""
    network = tiny_models.speaker("gru", tied=tied, layers=1)
    plain = copy.deepcopy(network)
    settings = DynamicSettings(method, 0.05, decay, 4)
    ids = [5, 6, 3, 7, 8, 9, 5, 3, 6, 6, 4, 3]
    reader = DynamicEvaluator(network, settings)
    for _ in reader.evaluate(SentenceDataset(np.array(ids), np.array([0, len(ids)]))):
        pass

    def laid() -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in plain.parameters()])

    trained, seen, state, last = laid(), [], None, special_tokens.EOS
    for begin in range(0, len(ids), 4):
        segment = ids[begin : begin + 4]
        found, state = gradients(plain, segment, last, state)
        last = segment[-1]
        seen.append(torch.cat([found[name].flatten() for name, _ in plain.named_parameters()]))
        torch.nn.utils.vector_to_parameters(reference_dynamic_step(laid(), trained, seen, settings), plain.parameters())
    learned = torch.cat([weight.detach().flatten() for weight in reader._network.parameters()])
    assert (learned - trained).abs().max() > 0.01
    torch.testing.assert_close(learned, laid(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", kinds.DYNAMIC_METHODS)
def test_nothing_is_learned_from_a_segment_before_it_is_scored(method: kinds.DynamicMethod) -> None:
    network, lines = tiny_models.speaker(), text()
    found = dynamic(network, DynamicSettings(method, 0.05, 0.0, 5), lines)
    plain = token_log_probs(make_evaluator(network), lines)
    np.testing.assert_allclose(found[:5], plain[:5], rtol=1e-4)
    assert np.abs(found[5:10] - plain[5:10]).max() > 1e-3


@pytest.mark.parametrize(("method", "rate"), [("rms", 0.02), ("sgd", 0.3)])
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_a_text_that_repeats_itself_is_learned(context: str, method: kinds.DynamicMethod, rate: float) -> None:
    network = tiny_models.speaker(context=context)
    lines = [[5, 9, 7, 3], [11, 12, 6, 8, 3]] * 12
    repeated = SentenceDataset(np.concatenate(lines), np.cumsum([0, *map(len, lines)]))
    plain = -token_log_probs(make_evaluator(network), repeated).mean()
    learned = -dynamic(network, DynamicSettings(method, rate, 0.001, 5), repeated).mean()
    assert learned < plain - 0.2


@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_a_reader_goes_on_learning_where_it_stopped(context: str) -> None:
    """Segments do not end with the lines that are given at once."""
    network, lines = tiny_models.speaker(context=context), text()
    settings = DynamicSettings("rms", 0.02, 0.01, 4)
    reader, parts = DynamicEvaluator(network, settings), []
    for number in range(len(lines)):
        parts.append(token_log_probs(reader, SentenceDataset(lines[number], np.array([0, len(lines[number])]))))
    np.testing.assert_allclose(np.concatenate(parts), dynamic(network, settings, lines), rtol=1e-4)


def test_updates_that_diverge_are_an_error() -> None:
    with raises(TrainingError, "1e+38", "tokens", option="--dynamic-rate"):
        dynamic(tiny_models.speaker(), DynamicSettings("sgd", 1e38, 0.0, 4), text())
