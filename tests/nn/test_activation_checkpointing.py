"""Activation checkpointing: recomputation, random numbers, and segments of time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rnnkit.nn import activation_checkpointing, dropout
from rnnkit.nn.activation_checkpointing import CheckpointedLayer
from rnnkit.nn.bidirectional import make_layer, run_layer


@given(st.integers(1, 40), st.integers(1, 12))
def test_segments_are_balanced_and_cover_all_steps(steps: int, max_steps: int) -> None:
    x_BTE = torch.arange(3.0 * steps).view(3, steps, 1)
    segments = activation_checkpointing.split_segments(x_BTE, max_steps)
    sizes = [segment.shape[1] for segment in segments]
    assert len(sizes) == -(-steps // max_steps)
    assert max(sizes) <= max_steps
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat(list(segments), dim=1), x_BTE)


def test_recomputation_replays_dropout_masks() -> None:
    masks = []

    def drop(x: torch.Tensor) -> torch.Tensor:
        masks.append(dropout.elementwise_dropout(torch.ones_like(x), 0.5))
        return (x * masks[-1]).tanh()

    x = torch.randn(5, 7, requires_grad=True)
    torch.manual_seed(1)
    found = activation_checkpointing.checkpoint_call(drop, x)
    after = torch.rand(3)
    assert len(masks) == 1
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert len(masks) == 2
    assert torch.equal(*masks)
    torch.testing.assert_close(gradient, masks[0] * (1 - found.detach() ** 2))
    torch.manual_seed(1)
    drop(x)
    assert torch.equal(torch.rand(3), after), "the generator continues as without checkpointing"


def test_nothing_is_recomputed_without_gradients() -> None:
    seen: list[Tensor] = []

    def record(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    with torch.no_grad():
        assert activation_checkpointing.checkpoint_call(record, torch.ones(3)).sum() == 3
    assert len(seen) == 1


def test_enabling_affects_only_supporting_modules() -> None:
    network = nn.Sequential(CheckpointedLayer(), nn.Linear(3, 3), nn.Sequential(CheckpointedLayer()))
    other = CheckpointedLayer()
    activation_checkpointing.enable_checkpointing(network)
    assert [getattr(part, "checkpointing", None) for part in network.modules()] == [None, True, None, None, True]
    assert not other.checkpointing


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm", "mingru"])
@pytest.mark.parametrize("weight_drop", [0.0, 0.5])
@pytest.mark.parametrize("given_state", [True, False])
def test_segmented_layer_equals_the_layer(
    arch: Any, weight_drop: float, given_state: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_checkpointing, "MAX_SEGMENT_STEPS", 3)
    torch.manual_seed(1)
    layer = make_layer(arch, 4, 6)
    x_BTE = torch.randn(7, 8, 4, requires_grad=True)
    state = tuple(torch.randn_like(part).requires_grad_() for part in layer.zero_state(x_BTE)) if given_state else None
    leaves = [x_BTE, *layer.parameters(), *(state or ())]
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(2)
        h_BTH, last = run_layer(layer, x_BTE, state, weight_drop, checkpointing)
        assert h_BTH.transpose(0, 1).is_contiguous(), "time first in memory"
        loss = h_BTH.pow(2).sum() + sum(part.sum() for part in last)
        found.append((h_BTH, last, torch.autograd.grad(loss, leaves)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
