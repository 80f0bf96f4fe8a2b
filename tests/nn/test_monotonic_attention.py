"""Monotonic attention: the scan against the reference loop, properties from the paper, and the module."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.nn.attention import (
    MonotonicAttention,
    initial_weights,
    monotonic_alignments,
    reference_monotonic_alignments,
)

from .recurrent_attention_cases import LENGTHS, SIZE, assert_alike, attend, energies_and_previous

SHAPES = [(1, 1, 1), (3, 5, 7), (2, 7, 3), (5, 3, 33)]
"""Rows, steps, positions."""


def case(rows: int, steps: int, places: int, spread: float = 2.0, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return energies, and an alignment of sum below 1."""
    energies_NTS, previous_NS = energies_and_previous(rows, steps, places, spread, seed)
    return energies_NTS.requires_grad_(), (0.9 * previous_NS).requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_the_reference(shape: tuple[int, int, int]) -> None:
    assert_alike(monotonic_alignments, reference_monotonic_alignments, case(*shape))


def test_gradient_equals_finite_differences() -> None:
    energies_NTS, previous_NS = case(1, 3, 5)
    assert torch.autograd.gradcheck(monotonic_alignments, (energies_NTS, previous_NS))


def test_alignment_equals_the_closed_form_of_the_paper() -> None:
    """The paper's equation 9: a_ij = p_ij sum_k<=j a_i-1,k prod_l=k..j-1 (1 - p_il)."""
    energies_NTS, previous_NS = case(1, 1, 7)
    p_S, before_S = torch.sigmoid(energies_NTS[0, 0]), previous_NS[0]
    expected = [p_S[j] * sum(before_S[k] * (1 - p_S[k:j]).prod() for k in range(j + 1)) for j in range(7)]
    torch.testing.assert_close(monotonic_alignments(energies_NTS, previous_NS)[0, 0], torch.stack(expected))


@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.1, 1.0, 10.0, 100.0]))
def test_mass_never_moves_left_or_grows(seed: int, spread: float) -> None:
    """The mass on the first positions never grows, however many they are: the expected position never moves left."""
    energies_NTS, previous_NS = case(3, 5, 7, spread, seed)
    alignment_NTS = torch.cat([previous_NS.unsqueeze(1), monotonic_alignments(energies_NTS, previous_NS)], dim=1)
    assert (alignment_NTS >= 0).all()
    within_NTS = alignment_NTS.cumsum(2)
    assert (within_NTS.diff(dim=1) <= 1e-12).all()
    # Mass that has left the source counts as lying after its last position.
    behind_NT = 1 - within_NTS[:, :, -1]
    expected_NT = (alignment_NTS * torch.arange(7)).sum(2) + 7 * behind_NT
    assert (expected_NT.diff(dim=1) >= -1e-12).all()


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 4))
def test_resuming_from_an_alignment_equals_one_run(seed: int, cut: int) -> None:
    energies_NTS, previous_NS = case(3, 5, 7, seed=seed)
    whole_NTS = monotonic_alignments(energies_NTS, previous_NS)
    first_NTS = monotonic_alignments(energies_NTS[:, :cut], previous_NS)
    then_NTS = monotonic_alignments(energies_NTS[:, cut:], first_NTS[:, -1])
    torch.testing.assert_close(torch.cat([first_NTS, then_NTS], dim=1), whole_NTS)


def test_long_sources_do_not_underflow() -> None:
    """The product of all 1 - p is about 1e-1000 here; division by it would give NaN."""
    energies_NTS = torch.full((1, 3, 5001), -0.4, requires_grad=True)
    alignment_NTS = monotonic_alignments(energies_NTS, initial_weights(torch.zeros(1, 5001, dtype=torch.bool)))
    torch.testing.assert_close(alignment_NTS.sum(2), torch.ones(1, 3))
    (gradient,) = torch.autograd.grad((alignment_NTS * torch.arange(5001)).sum(), energies_NTS)
    assert gradient.isfinite().all()
    sure_NTS = torch.full((1, 4, 3), 200.0, requires_grad=True)
    stays_NTS = monotonic_alignments(sure_NTS, initial_weights(torch.zeros(1, 3, dtype=torch.bool)))
    torch.testing.assert_close(stays_NTS, torch.tensor([1.0, 0.0, 0.0]).expand(1, 4, 3))


def test_mass_beyond_the_source_does_not_return() -> None:
    passing = torch.full((1, 1, 3), -math.inf)
    energies_NTS = torch.cat([passing, torch.full((1, 2, 3), 5.0)], dim=1)
    assert (monotonic_alignments(energies_NTS, initial_weights(torch.zeros(1, 3, dtype=torch.bool))) == 0).all()


def test_module_equals_the_equations_and_excludes_padding() -> None:
    attention, query_BTH, memory_BSH, context_BTH, weights_BTS = attend(MonotonicAttention)
    for row, length in enumerate(LENGTHS):
        real_SH = memory_BSH[row, :length]
        energies_TS = query_BTH[row] @ (real_SH @ attention.key.weight.T).T / math.sqrt(SIZE) + attention.offset
        before_1S = torch.eye(1, length)
        expected_TS = reference_monotonic_alignments(energies_TS.unsqueeze(0), before_1S)[0]
        torch.testing.assert_close(weights_BTS[row, :, :length], expected_TS)
        torch.testing.assert_close(context_BTH[row], expected_TS @ real_SH)
        assert (weights_BTS[row, :, length:] == 0).all()


def test_noise_is_added_in_training_only() -> None:
    attention, query_BTH, memory_BSH, _, weights_BTS = attend(MonotonicAttention)
    torch.testing.assert_close(attend(MonotonicAttention).weights_BTS, weights_BTS)
    assert not torch.allclose(attend(MonotonicAttention, training=True).weights_BTS, weights_BTS)
    many_BTH, keys_BSH = query_BTH.repeat(1, 400, 1), attention.keys(memory_BSH)
    clean_BTS = attention.energies(many_BTH, keys_BSH)
    noise_BTS = attention.train().energies(many_BTH, keys_BSH) - clean_BTS
    assert noise_BTS.mean().item() == pytest.approx(0, abs=0.03)
    assert noise_BTS.std().item() == pytest.approx(1, abs=0.03)
