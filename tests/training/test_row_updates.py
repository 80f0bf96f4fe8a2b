"""Updates of the used rows of embedding tables: equal to Adam without momentum over the whole table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rnnkit.nn.dropout import embedding_dropout
from rnnkit.training import row_updates
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.row_updates import RowGradient

ROWS, DIMENSION = 7, 3
EMA = 0.9


class Network(nn.Module):
    """A table of words, a table of n-grams, and an output."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.words = nn.Embedding(ROWS, DIMENSION, sparse=sparse)
        self.ngrams = nn.EmbeddingBag(ROWS, DIMENSION, mode="mean", sparse=sparse)
        self.output = nn.Linear(DIMENSION, 1)

    def loss(self, ids: list[int]) -> Tensor:
        ids_N = torch.tensor(ids)
        mean_ND = self.words(ids_N) + self.ngrams(ids_N, torch.arange(len(ids_N)))
        loss: Tensor = self.output(mean_ND).square().mean()
        return loss


def optimizer_of(network: nn.Module, clip: float = 0.5, folder: Path = Path(), **more: object) -> NetworkOptimizer:
    settings = OptimizerSettings("adam", clip=clip, ema_decay=EMA, **more)  # type: ignore[arg-type]
    return NetworkOptimizer(network, settings, folder)


def batches(seed: int, count: int = 9) -> Iterator[list[int]]:
    """Draw batches of few rows, with repeats; most rows are idle for some steps."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield generator.integers(0, ROWS, generator.integers(1, 4)).tolist()


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.05, 5.0]))
def test_row_updates_are_adam_without_momentum(seed: int, clip: float) -> None:
    """Weights and averages equal those of dense updates with beta1 = 0 in all steps, clipped by the same norm."""
    by_row, dense = Network(sparse=True), Network(sparse=False)
    rows, reference = optimizer_of(by_row, clip, beta1=0.0), optimizer_of(dense, clip, beta1=0.0)
    for step, ids in enumerate(batches(seed)):
        rate = 0.1 / (1 + step)
        norms = [each.step(network.loss(ids), rate) for each, network in ((rows, by_row), (reference, dense))]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4, abs=1e-6)
        for name, parameter in by_row.named_parameters():
            torch.testing.assert_close(parameter, dense.get_parameter(name), rtol=1e-3, atol=1e-5)
    with rows.ema_weights(), reference.ema_weights():
        for name, parameter in by_row.named_parameters():
            torch.testing.assert_close(parameter, dense.get_parameter(name), rtol=1e-3, atol=1e-5)


def test_an_idle_row_stays_and_its_average_follows() -> None:
    network = Network(sparse=True)
    optimizer = optimizer_of(network)
    start = network.words.weight.detach().clone()
    for _ in range(5):
        optimizer.step(network.loss([2, 2, 4]), 0.1)
    moved = network.words.weight.detach().clone()
    assert (moved != start).any(dim=1).tolist() == [row in (2, 4) for row in range(ROWS)]
    with optimizer.ema_weights():
        before = network.words.weight[2].detach() - moved[2]
    for _ in range(2):
        optimizer.step(network.loss([0]), 0.1)
    assert torch.equal(network.words.weight[2], moved[2])
    with optimizer.ema_weights():
        after = network.words.weight[2].detach() - moved[2]
        assert torch.equal(network.words.weight[1], start[1])
    torch.testing.assert_close(after, before * (7 / 16) * (8 / 17))  # the decays of steps 6 and 7


@pytest.mark.parametrize("shares", [(1,), (3, 5)])
def test_clipping_by_value_and_accumulation(shares: tuple[int, ...]) -> None:
    networks = Network(sparse=True), Network(sparse=False)
    optimizers = [optimizer_of(network, 0.0, clip_value=1e-3, beta1=0.0) for network in networks]
    for network, optimizer in zip(networks, optimizers, strict=True):
        for share, ids in zip(shares, ([1, 1, 3], [3, 5]), strict=False):
            optimizer.backward(network.loss(ids), share)
        optimizer.update(sum(shares), 0.1)
    torch.testing.assert_close(networks[0].words.weight, networks[1].words.weight)
    torch.testing.assert_close(networks[0].ngrams.weight, networks[1].ngrams.weight)


def test_a_state_resumes_exactly() -> None:
    network = Network(sparse=True)
    optimizer = optimizer_of(network)
    for ids in batches(1):
        optimizer.step(network.loss(ids), 0.1)
    saved = {
        group: {key: np.copy(value) for key, value in arrays.items()}
        for group, arrays in optimizer.state_dict().items()
    }
    resumed = Network(sparse=True)
    other = optimizer_of(resumed)
    other.step(resumed.loss([6]), 0.1)
    other.load_state_dict(saved)
    for ids in batches(2):
        optimizer.step(network.loss(ids), 0.1)
        other.step(resumed.loss(ids), 0.1)
    for group, arrays in optimizer.state_dict().items():
        again = other.state_dict()[group]
        assert all(np.array_equal(array, again[name]) for name, array in arrays.items()), group
    with optimizer.ema_weights(), other.ema_weights():
        assert torch.equal(network.words.weight, resumed.words.weight)


def test_discarded_gradients_change_nothing() -> None:
    network = Network(sparse=True)
    optimizer = optimizer_of(network)
    start = network.words.weight.detach().clone()
    optimizer.backward(network.loss([1, 2]), 1)
    optimizer.discard_gradients()
    optimizer.step(network.loss([5]), 0.1)
    changed = (network.words.weight != start).any(dim=1).nonzero()[:, 0]
    assert changed.tolist() == [5]


def test_sparse_and_dense_gradients_have_the_same_rows() -> None:
    network = Network(sparse=True)
    torch.autograd.backward(network.loss([5, 1, 5]))
    assert network.words.weight.grad is not None
    found = RowGradient.of(network.words.weight.grad)
    row_updates.make_dense([network.words.weight])
    dense = RowGradient.of(network.words.weight.grad)
    assert found.row_R.tolist() == dense.row_R.tolist() == [1, 5]
    torch.testing.assert_close(found.values_RD, dense.values_RD)


def test_frozen_and_dense_tables_are_not_updated_by_rows() -> None:
    network = Network(sparse=True)
    network.words.weight.requires_grad_(False)
    assert list(row_updates.sparse_tables(network)) == ["ngrams.weight"]
    assert not row_updates.sparse_tables(Network(sparse=False))


def test_embedding_dropout_has_sparse_gradients() -> None:
    gradients = []
    for sparse in (True, False):
        weight_VE = torch.arange(21.0).view(ROWS, DIMENSION).requires_grad_()
        torch.manual_seed(1)
        torch.autograd.backward(embedding_dropout(weight_VE, torch.tensor([[1, 5, 1]]), 0.5, True, sparse).sum())
        assert weight_VE.grad is not None
        assert weight_VE.grad.is_sparse == sparse
        gradients.append(weight_VE.grad.to_dense())
    assert torch.equal(*gradients)
