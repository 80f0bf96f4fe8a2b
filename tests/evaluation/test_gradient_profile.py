"""Gradient flow against its equations: products of Jacobians by hand, decays that are known, and its definition."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tests import tiny_models
from torch import Tensor

from rnnkit.evaluation import gradient_profile
from rnnkit.evaluation.gradient_profile import (
    BATCH_POSITIONS,
    WARMUP_TOKENS,
    GradientProfile,
    choose_positions,
    input_gradient_norms,
    measure_gradient_profile,
    random_positions,
    state_gradient_norms,
)
from rnnkit.evaluation.perplexity import single_thread
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn import kinds
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recurrent_layer import RecurrentLayer
from rnnkit.text import special_tokens

ARCHS = [arch for arch in kinds.LANGUAGE_ARCHS if arch != "transformer"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks so small gain nothing by a second thread."""
    with single_thread(torch.device("cpu")):
        yield


def tokens(rows: int, length: int, size: int = tiny_models.SIZE, seed: int = 3) -> tuple[Tensor, Tensor]:
    """What is read, and what comes next."""
    random = np.random.default_rng(seed)
    window_NT = torch.from_numpy(random.integers(4, size, size=(rows, length + 1)))
    return window_NT[:, :-1], window_NT[:, -1]


def loss(network: LanguageModelNetwork, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
    log_p_NV = torch.log_softmax(hidden_NE @ network.output_weight.T + network.output_bias, dim=1)
    return -log_p_NV[torch.arange(len(target_N)), target_N].sum()


def test_vanilla_unit_is_the_product_of_its_jacobians() -> None:
    """In numpy: d L / d h_t = W_y^T (p - y), and d L / d h_{t-1} = W_h^T diag(1 - h_t^2) d L / d h_t before."""
    steps, rows = 4, 3
    network = tiny_models.speaker("rnn", hidden=5, layers=1, tied=False).double()
    layer = network.layers[0]
    assert isinstance(layer, RecurrentLayer)
    (input_weight, input_bias), (hidden_weight, hidden_bias) = layer.input_weights, layer.hidden_weights
    w_x, b_x, w_h, b_h, embedding, w_y, b_y = (
        parameter.detach().numpy()
        for parameter in (input_weight, input_bias, hidden_weight, hidden_bias, network.embedding.weight,
                          network.output_weight, network.output_bias)
    )  # fmt: skip
    input_NT, target_N = tokens(rows, steps + 3)
    wanted_KN = np.zeros((steps + 1, rows))
    for row in range(rows):
        states = [np.zeros(5)]
        for token in input_NT[row]:
            states.append(np.tanh(w_x @ embedding[token] + b_x + w_h @ states[-1] + b_h))
        scores = np.exp(w_y @ states[-1] + b_y)
        gradient = w_y.T @ (scores / scores.sum() - np.eye(len(b_y))[target_N[row]])
        for back in range(steps + 1):
            wanted_KN[back, row] = np.linalg.norm(gradient)
            gradient = w_h.T @ ((1 - states[-1 - back] ** 2) * gradient)
    np.testing.assert_allclose(state_gradient_norms(network, input_NT, target_N, steps).numpy(), wanted_KN, rtol=1e-12)
    flow = measure_gradient_profile(network, input_NT, target_N, steps, state_gradient_norms)
    np.testing.assert_allclose(flow.norms, wanted_KN.mean(axis=1), rtol=1e-12)
    assert flow.positions == rows


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_gate_that_is_left_alone_decays_as_it_says(kept: float) -> None:
    """With W_z = 0 the minimal gated unit is h_t = a h_{t-1} + …, and so g_k = a^k g_0, whatever is read."""
    network = tiny_models.speaker("mingru", hidden=5, layers=1, tied=False).double()
    layer = network.layers[0]
    assert isinstance(layer, MinGRULayer)
    with torch.no_grad():
        layer.weight[:5] = 0
        layer.bias[:5] = math.log((1 - kept) / kept)
    flow = measure_gradient_profile(network, *tokens(3, 70), 60, state_gradient_norms)
    np.testing.assert_allclose(flow.relative, [kept**back for back in range(61)], rtol=1e-12)
    assert flow.falls_below(0.01) == math.ceil(math.log(0.01) / math.log(kept))
    assert flow.factor == pytest.approx(kept)


def test_what_explodes_is_seen() -> None:
    """A vanilla unit that reads nothing stays at h = 0, where its Jacobian is W_h."""
    network = tiny_models.speaker("rnn", hidden=3, layers=1, tied=False).double()
    layer = network.layers[0]
    assert isinstance(layer, RecurrentLayer)
    with torch.no_grad():
        for parameter in (*layer.input_weights, layer.hidden_weights[1]):
            parameter.zero_()
        layer.hidden_weights[0].copy_(2 * torch.eye(3))
    flow = measure_gradient_profile(network, *tokens(2, 8), 7, state_gradient_norms)
    np.testing.assert_allclose(flow.relative, [2.0**back for back in range(8)], rtol=1e-12)
    assert flow.falls_below(0.01) is None


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("arch", ARCHS)
def test_every_unit_agrees_with_the_definition(arch: str, layers: int, residual: bool) -> None:
    """The state k steps before as a leaf, and what follows read in one go: the norm over all layers, h and c."""
    network = tiny_models.speaker(arch, layers=layers, embedding=5, residual=residual, dropout=0.5).double()
    input_NT, target_N = tokens(3, 9)
    found_KN = state_gradient_norms(network, input_NT, target_N, 7)
    reading = network.hidden_states(input_NT, network.initial_state(3))
    hidden_NE = reading.hidden_BTE[:, -1].detach().requires_grad_()
    (first_NE,) = torch.autograd.grad(loss(network, hidden_NE, target_N), hidden_NE)
    torch.testing.assert_close(found_KN[0], first_NE.norm(dim=1), rtol=1e-10, atol=0)
    for back in (1, 2, 7):
        before = network.hidden_states(input_NT[:, :-back], network.initial_state(3)).state
        leaves = tuple(tuple(part.detach().requires_grad_() for part in layer) for layer in before)
        after = network.hidden_states(input_NT[:, -back:], leaves).hidden_BTE[:, -1]
        flat = [part for layer in leaves for part in layer]
        wanted = torch.cat(torch.autograd.grad(loss(network, after, target_N), flat), dim=1)
        torch.testing.assert_close(found_KN[back], wanted.norm(dim=1), rtol=1e-10, atol=0)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_inputs_agree_with_the_gradient_of_the_embeddings(arch: str, residual: bool) -> None:
    """Where no token is read twice, each has the gradient of its own row."""
    if arch == "transformer":
        pytest.importorskip("rnnkit.nn.transformer")
    shape = {} if arch == "transformer" else {"embedding": 5}
    network = tiny_models.speaker(arch, tied=False, residual=residual, dropout=0.5, **shape).double()
    input_1T = torch.randperm(tiny_models.SIZE - 4, generator=torch.Generator().manual_seed(2))[:9].unsqueeze(0) + 4
    target_1 = torch.tensor([5])
    found_K1 = input_gradient_norms(network, input_1T, target_1, 6)
    hidden_1E = network.hidden_states(input_1T, network.initial_state(1)).hidden_BTE[:, -1]
    (rows_VE,) = torch.autograd.grad(loss(network, hidden_1E, target_1), network.embedding.weight)
    torch.testing.assert_close(found_K1[:, 0], rows_VE[input_1T[0].flip(0)[:7]].norm(dim=1), rtol=1e-10, atol=0)


def test_tied_embeddings_do_not_add_the_output_s_gradient() -> None:
    network = tiny_models.speaker("gru", layers=1, embedding=5).double()
    apart = tiny_models.speaker("gru", layers=1, embedding=5, tied=False).double()
    with torch.no_grad():
        apart.load_state_dict(network.state_dict())
    places = tokens(2, 6)
    torch.testing.assert_close(input_gradient_norms(network, *places, 5), input_gradient_norms(apart, *places, 5))


@pytest.mark.parametrize("gradients", [state_gradient_norms, input_gradient_norms])
def test_places_are_averaged_however_many_are_taken_at_once(gradients: gradient_profile.GradientNorms) -> None:
    network = tiny_models.speaker("lstm", dropout=0.5).double().train()
    input_NT, target_N = tokens(2 * BATCH_POSITIONS + 5, 6)
    flow = measure_gradient_profile(network, input_NT, target_N, 4, gradients)
    assert network.training
    network.eval()
    alone = [gradients(network, input_NT[[row]], target_N[[row]], 4) for row in range(len(target_N))]
    np.testing.assert_allclose(flow.norms, torch.cat(alone, dim=1).mean(dim=1), rtol=1e-12)
    assert flow.positions == 2 * BATCH_POSITIONS + 5


@pytest.mark.parametrize("steps", [0, 6])
def test_too_few_tokens_or_steps(steps: int) -> None:
    with pytest.raises(ValueError, match=f"{steps} steps back need more than 6 tokens"):
        measure_gradient_profile(tiny_models.speaker(), *tokens(2, 6), steps, state_gradient_norms)


def test_shares() -> None:
    flow = GradientProfile((4.0, 8.0, 2.0, 0.02, 3.0), 7)
    assert flow.relative == (1.0, 2.0, 0.5, 0.005, 0.75)
    assert (flow.falls_below(0.6), flow.falls_below(0.01), flow.falls_below(0.001)) == (2, 3, None)
    assert GradientProfile((0.0, 0.0), 1).relative == (0.0, 0.0)


@pytest.mark.parametrize(
    ("norms", "factor"),
    [
        ((9.0, 8.0, 4.0, 2.0), 0.5),
        ((1.0, 1.0, 9.0, 9.0), 3.0),
        ((1.0, 2.0, 0.0), 0.0),
        ((1.0, 2.0), None),
        ((1.0, 0.0, 0.0), None),
    ],
)
def test_what_a_step_leaves(norms: tuple[float, ...], factor: float | None) -> None:
    assert GradientProfile(norms, 1).factor == (None if factor is None else pytest.approx(factor))


def test_places_of_a_text() -> None:
    ids = np.arange(10, 10 + 4 * WARMUP_TOKENS, dtype=np.uint16)
    input_NT, target_N = choose_positions(ids, 7, 5)
    assert input_NT.shape == (5, WARMUP_TOKENS + 8)
    assert input_NT[0, 0] == special_tokens.EOS  # before the first token, as everywhere
    assert input_NT[0, 1:].tolist() == list(range(10, 10 + WARMUP_TOKENS + 7))
    assert (target_N == input_NT[:, -1] + 1).all()
    assert target_N[-1] == ids[-1]
    assert len(set(target_N.tolist())) == 5


def test_places_of_a_short_text() -> None:
    ids = np.array([7, 8, 9, 5, 3])
    input_NT, target_N = choose_positions(ids, 4, 9)
    assert (input_NT.tolist(), target_N.tolist()) == ([[special_tokens.EOS, 7, 8, 9, 5]], [3])
    with pytest.raises(ValueError, match="5 steps back need 6 tokens, the text has 5"):
        choose_positions(ids, 5, 9)


def test_drawn_places_are_the_seed_s() -> None:
    input_NT, target_N = random_positions(11, 5, 40, seed=3)
    assert input_NT.shape == (40, WARMUP_TOKENS + 6)
    assert (int(input_NT.min()), int(input_NT.max())) == (4, 10)
    assert torch.equal(random_positions(11, 5, 40, seed=3)[0], input_NT)
    assert not torch.equal(random_positions(11, 5, 40, seed=4)[0], input_NT)
    assert 4 <= int(target_N.min()) <= int(target_N.max()) <= 10


@pytest.mark.parametrize("start", kinds.INITIALIZATIONS)
@pytest.mark.parametrize("arch", ARCHS)
def test_the_seed_decides_and_nothing_outside_changes(arch: kinds.LanguageArch, start: kinds.Initialization) -> None:
    config = LMConfig(arch, 11, embedding=5, hidden=7, layers=2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (gradient_profile.initialize_model(config, start, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(one.layers.parameters(), same.layers.parameters(), other.layers.parameters(), strict=True))
    assert all(torch.equal(mine, again) for mine, again, _ in pairs)
    assert not all(torch.equal(mine, others) for mine, _, others in pairs)


def test_orthogonal_state_matrices() -> None:
    layer = gradient_profile.initialize_model(LMConfig("rnn", 11, hidden=7, embedding=7), "orthogonal", 3).layers[0]
    assert isinstance(layer, RecurrentLayer)
    weight = layer.hidden_weights[0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(7))


@pytest.mark.parametrize("arch", ARCHS)
def test_uniform_weights_are_those_of_torch_s_layers(arch: kinds.LanguageArch) -> None:
    network = gradient_profile.initialize_model(
        LMConfig(arch, 11, hidden=49, embedding=5, layers=2, tied=False), "uniform", 3
    )
    numbers = torch.cat([parameter.detach().flatten() for parameter in network.layers.parameters()])
    assert float(numbers.abs().max()) <= 1 / 7
    assert float(numbers.abs().max()) > 0.99 / 7
    assert abs(float(numbers.std()) - 1 / 7 / 3**0.5) < 0.002
    assert float(network.embedding.weight.detach().abs().max()) <= 0.1  # these start as they always do
