"""Location-relative attention: the convolution against the loop, what it is for, and the module around it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.nn.recurrent_attention import (
    MAX_SHIFT,
    LocationAttention,
    location_alignments,
    reference_location_alignments,
)

from .recurrent_attention_cases import LENGTHS, SIZE, assert_alike, attend, energies_and_before

SHAPES = [(1, 1, 1), (3, 5, 7), (2, 7, 3), (5, 3, 2 * MAX_SHIFT + 4)]
"""Rows, steps, places."""

FILTER = 2 * MAX_SHIFT + 1


def case(rows: int, steps: int, places: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Energies, jumps, and the weights before."""
    energies_NTS, before_NS = energies_and_before(rows, steps, places, 1.0, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    jumps_NTJ = 3 * torch.randn(rows, steps, FILTER, generator=generator, dtype=torch.float64)
    return energies_NTS.requires_grad_(), jumps_NTJ.requires_grad_(), before_NS.requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_those_of_the_loop(shape: tuple[int, int, int]) -> None:
    assert_alike(location_alignments, reference_location_alignments, case(*shape))


def test_gradient_is_that_of_finite_differences() -> None:
    energies_NTS, jumps_NTJ, before_NS = case(1, 3, 5)
    assert torch.autograd.gradcheck(location_alignments, (energies_NTS, jumps_NTJ, before_NS))


@given(seed=st.integers(0, 10_000))
def test_weights_sum_to_one_and_leave_padding_out(seed: int) -> None:
    energies_NTS, jumps_NTJ, before_NS = case(3, 5, 7, seed)
    found_NTS = location_alignments(energies_NTS, jumps_NTJ, before_NS)
    torch.testing.assert_close(found_NTS.sum(2), torch.ones(3, 5, dtype=torch.float64))
    assert (found_NTS[energies_NTS.isinf()] == 0).all()


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 4))
def test_going_on_from_weights_is_going_on(seed: int, cut: int) -> None:
    energies_NTS, jumps_NTJ, before_NS = case(3, 5, 7, seed)
    whole_NTS = location_alignments(energies_NTS, jumps_NTJ, before_NS)
    first_NTS = location_alignments(energies_NTS[:, :cut], jumps_NTJ[:, :cut], before_NS)
    then_NTS = location_alignments(energies_NTS[:, cut:], jumps_NTJ[:, cut:], first_NTS[:, -1])
    torch.testing.assert_close(torch.cat([first_NTS, then_NTS], dim=1), whole_NTS)


@pytest.mark.parametrize("distance", range(-MAX_SHIFT, MAX_SHIFT + 1))
def test_a_step_goes_as_far_as_it_wants_though_all_places_look_alike(distance: int) -> None:
    """What content cannot tell: of equal places each step finds the one that lies so far from the last."""
    places, begin = 4 * MAX_SHIFT + 1, 2 * MAX_SHIFT
    jumps_1TJ = torch.zeros(1, 2, FILTER)
    jumps_1TJ[:, :, MAX_SHIFT + distance] = 100.0
    before_1S = torch.eye(places)[begin : begin + 1]
    found_1TS = location_alignments(torch.zeros(1, 2, places), jumps_1TJ, before_1S)
    assert found_1TS.argmax(2).tolist() == [[begin + distance, begin + 2 * distance]]
    assert (found_1TS.max(2).values > 0.999).all()


def test_weights_and_context_follow_the_formula_and_leave_padding_out() -> None:
    attention, query_BTH, memory_BSH, context_BTH, weights_BTS = attend(LocationAttention)
    for row, length in enumerate(LENGTHS):
        real_SH = memory_BSH[row, :length]
        energies_TS = query_BTH[row] @ (real_SH @ attention.key.weight.T).T / math.sqrt(SIZE)
        jumps_TJ = query_BTH[row] @ attention.jump.weight.T + attention.jump.bias
        expected_TS = reference_location_alignments(energies_TS[None], jumps_TJ[None], torch.eye(1, length))[0]
        torch.testing.assert_close(weights_BTS[row, :, :length], expected_TS)
        torch.testing.assert_close(context_BTH[row], expected_TS @ real_SH)
        assert (weights_BTS[row, :, length:] == 0).all()
