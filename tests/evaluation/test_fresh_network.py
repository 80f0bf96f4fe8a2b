"""Networks that have learned nothing: the seed's, and as their start says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from rnnkit.evaluation import fresh_network
from rnnkit.evaluation.perplexity import one_thread
from rnnkit.models.language_model import LMConfig
from rnnkit.nn import kinds
from rnnkit.nn.recurrent_layer import RecurrentLayer

ARCHS_of_fresh_network = [arch for arch in kinds.LANGUAGE_ARCHS if arch != "transformer"]


@pytest.fixture(autouse=True)
def _one_thread_of_fresh_network() -> Iterator[None]:
    """Networks so small gain nothing by a second thread."""
    with one_thread(torch.device("cpu")):
        yield


@pytest.mark.parametrize("start", kinds.INITIALIZATIONS)
@pytest.mark.parametrize("arch", ARCHS_of_fresh_network)
def test_the_seed_decides_and_nothing_outside_changes(arch: kinds.LanguageArch, start: kinds.Initialization) -> None:
    config = LMConfig(arch, 11, embedding=5, hidden=7, layers=2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (fresh_network.draw(config, start, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(one.layers.parameters(), same.layers.parameters(), other.layers.parameters(), strict=True))
    assert all(torch.equal(mine, again) for mine, again, _ in pairs)
    assert not all(torch.equal(mine, others) for mine, _, others in pairs)


def test_orthogonal_state_matrices() -> None:
    layer = fresh_network.draw(LMConfig("rnn", 11, hidden=7, embedding=7), "orthogonal", 3).layers[0]
    assert isinstance(layer, RecurrentLayer)
    weight = layer.hidden_weights[0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(7))


@pytest.mark.parametrize("arch", ARCHS_of_fresh_network)
def test_uniform_weights_are_those_of_torch_s_layers(arch: kinds.LanguageArch) -> None:
    network = fresh_network.draw(LMConfig(arch, 11, hidden=49, embedding=5, layers=2, tied=False), "uniform", 3)
    numbers = torch.cat([parameter.detach().flatten() for parameter in network.layers.parameters()])
    assert float(numbers.abs().max()) <= 1 / 7
    assert float(numbers.abs().max()) > 0.99 / 7
    assert abs(float(numbers.std()) - 1 / 7 / 3**0.5) < 0.002
    assert float(network.embedding.weight.detach().abs().max()) <= 0.1  # these start as they always do
