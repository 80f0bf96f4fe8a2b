"""Location-relative attention: the convolution against the reference loop, its purpose, and the module."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.nn.attention import MAX_SHIFT, LocationAttention, location_alignments, reference_location_alignments

from .recurrent_attention_cases import LENGTHS, SIZE, assert_alike, attend, energies_and_previous

SHAPES = [(1, 1, 1), (3, 5, 7), (2, 7, 3), (5, 3, 2 * MAX_SHIFT + 4)]
"""Rows, steps, positions."""

FILTER = 2 * MAX_SHIFT + 1


def case(rows: int, steps: int, positions: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Return energies, filters and previous weights."""
    energies_NTS, previous_NS = energies_and_previous(rows, steps, positions, 1.0, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    filters_NTD = 3 * torch.randn(rows, steps, FILTER, generator=generator, dtype=torch.float64)
    return energies_NTS.requires_grad_(), filters_NTD.requires_grad_(), previous_NS.requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_the_reference(shape: tuple[int, int, int]) -> None:
    assert_alike(location_alignments, reference_location_alignments, case(*shape))


def test_gradient_equals_finite_differences() -> None:
    energies_NTS, filters_NTD, previous_NS = case(1, 3, 5)
    assert torch.autograd.gradcheck(location_alignments, (energies_NTS, filters_NTD, previous_NS))


@given(seed=st.integers(0, 10_000))
def test_weights_sum_to_one_and_exclude_padding(seed: int) -> None:
    energies_NTS, filters_NTD, previous_NS = case(3, 5, 7, seed)
    found_NTS = location_alignments(energies_NTS, filters_NTD, previous_NS)
    torch.testing.assert_close(found_NTS.sum(2), torch.ones(3, 5, dtype=torch.float64))
    assert (found_NTS[energies_NTS.isinf()] == 0).all()


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 4))
def test_resuming_from_weights_equals_one_run(seed: int, cut: int) -> None:
    energies_NTS, filters_NTD, previous_NS = case(3, 5, 7, seed)
    whole_NTS = location_alignments(energies_NTS, filters_NTD, previous_NS)
    first_NTS = location_alignments(energies_NTS[:, :cut], filters_NTD[:, :cut], previous_NS)
    then_NTS = location_alignments(energies_NTS[:, cut:], filters_NTD[:, cut:], first_NTS[:, -1])
    torch.testing.assert_close(torch.cat([first_NTS, then_NTS], dim=1), whole_NTS)


@pytest.mark.parametrize("distance", range(-MAX_SHIFT, MAX_SHIFT + 1))
def test_filter_shifts_attention_among_equal_positions(distance: int) -> None:
    """With equal content at all positions, each step attends to the position at this distance from the last one."""
    positions, begin = 4 * MAX_SHIFT + 1, 2 * MAX_SHIFT
    filters_1TD = torch.zeros(1, 2, FILTER)
    filters_1TD[:, :, MAX_SHIFT + distance] = 100.0
    previous_1S = torch.eye(positions)[begin : begin + 1]
    found_1TS = location_alignments(torch.zeros(1, 2, positions), filters_1TD, previous_1S)
    assert found_1TS.argmax(2).tolist() == [[begin + distance, begin + 2 * distance]]
    assert (found_1TS.max(2).values > 0.999).all()


def test_module_equals_the_equations_and_excludes_padding() -> None:
    attention, query_BTH, memory_BSH, context_BTH, weights_BTS = attend(LocationAttention)
    for row, length in enumerate(LENGTHS):
        real_SH = memory_BSH[row, :length]
        energies_TS = query_BTH[row] @ (real_SH @ attention.key.weight.T).T / math.sqrt(SIZE)
        filters_TD = query_BTH[row] @ attention.jump.weight.T + attention.jump.bias
        expected_TS = reference_location_alignments(energies_TS[None], filters_TD[None], torch.eye(1, length))[0]
        torch.testing.assert_close(weights_BTS[row, :, :length], expected_TS)
        torch.testing.assert_close(context_BTH[row], expected_TS @ real_SH)
        assert (weights_BTS[row, :, length:] == 0).all()
