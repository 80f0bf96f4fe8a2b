"""Inputs and comparisons shared by the tests of monotonic and location-relative attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from rnnkit.nn.attention import RecurrentAttention, initial_weights

A = TypeVar("A", bound=RecurrentAttention)

BATCH, STEPS, SOURCE, SIZE = 3, 5, 7, 4
LENGTHS = (7, 2, 5)


def energies_and_previous(rows: int, steps: int, positions: int, spread: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return float64 energies (N, T, S), minus infinity at padding, and previous weights that sum to 1."""
    generator = torch.Generator().manual_seed(seed)
    energies_NTS = spread * torch.randn(rows, steps, positions, generator=generator, dtype=torch.float64)
    padding_NS = torch.arange(positions) >= torch.arange(positions, positions - rows, -1).clamp_min(1).unsqueeze(1)
    previous_NS = torch.rand(rows, positions, generator=generator, dtype=torch.float64).masked_fill(padding_NS, 0)
    return energies_NTS.masked_fill(padding_NS.unsqueeze(1), -torch.inf), previous_NS / previous_NS.sum(1, keepdim=True)


def assert_alike(fast: Callable[..., Tensor], reference: Callable[..., Tensor], leaves: Sequence[Tensor]) -> None:
    """Compare values and gradients of a fast implementation with the reference."""
    fast_NTS, reference_NTS = fast(*leaves), reference(*leaves)
    torch.testing.assert_close(fast_NTS, reference_NTS, rtol=1e-12, atol=1e-14)
    weights_NTS = torch.randn_like(reference_NTS)
    found, expected = (torch.autograd.grad((a_NTS * weights_NTS).sum(), leaves) for a_NTS in (fast_NTS, reference_NTS))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


class Attended(NamedTuple, Generic[A]):
    """A module with its input and output."""

    attention: A
    query_BTH: Tensor
    memory_BSH: Tensor
    context_BTH: Tensor
    weights_BTS: Tensor


def attend(kind: type[A], training: bool = False) -> Attended[A]:
    """Run a new module for STEPS steps over padded sentences, from the initial weights."""
    torch.manual_seed(2)
    attention = kind(SIZE).train(training)
    query_BTH, memory_BSH = torch.randn(BATCH, STEPS, SIZE), torch.randn(BATCH, SOURCE, SIZE)
    padding_BS = torch.arange(SOURCE).unsqueeze(0) >= torch.tensor(LENGTHS).unsqueeze(1)
    keys_BSH = attention.keys(memory_BSH)
    context_BTH, weights_BTS = attention(query_BTH, keys_BSH, memory_BSH, padding_BS, initial_weights(padding_BS))
    return Attended(attention, query_BTH, memory_BSH, context_BTH, weights_BTS)
