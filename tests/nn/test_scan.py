"""The doubling scan against the step-by-step reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rnnkit.nn.scan import doubling_scan, linear_scan, reference_scan

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65]


def random_scan(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(steps)
    shapes = (3, steps, 5), (3, steps, 5), (3, 5)
    a_BTH, b_BTH, start_BH = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return a_BTH, b_BTH, start_BH


@pytest.mark.parametrize("steps", LENGTHS)
def test_values_and_gradients_equal_the_reference(steps: int) -> None:
    leaves = random_scan(steps)
    fast_BTH, plain_BTH = linear_scan(*leaves), reference_scan(*leaves)
    torch.testing.assert_close(fast_BTH, plain_BTH)
    weights_BTH = torch.randn_like(plain_BTH)
    found, expected = (torch.autograd.grad((h_BTH * weights_BTH).sum(), leaves) for h_BTH in (fast_BTH, plain_BTH))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("steps", [1, 5])
def test_gradient_equals_finite_differences(steps: int) -> None:
    assert torch.autograd.gradcheck(linear_scan, random_scan(steps))


def test_reverse_scan_equals_scan_of_reversed_input() -> None:
    a_BTH, b_BTH, _ = random_scan(7)
    backwards_BTH = doubling_scan(a_BTH.flip(1), b_BTH.flip(1)).flip(1)
    torch.testing.assert_close(doubling_scan(a_BTH, b_BTH, reverse=True), backwards_BTH)


def test_factor_zero_forgets_and_factor_one_sums() -> None:
    b_BTH, start_BH = torch.randn(2, 6, 3), torch.randn(2, 3)
    torch.testing.assert_close(linear_scan(torch.zeros_like(b_BTH), b_BTH, start_BH), b_BTH)
    sums_BTH = start_BH.unsqueeze(1) + b_BTH.cumsum(1)
    torch.testing.assert_close(linear_scan(torch.ones_like(b_BTH), b_BTH, start_BH), sums_BTH)
