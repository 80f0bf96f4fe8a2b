"""Activation functions of SIMD vectors against torch in double precision, limits included."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnkit.kernels import threads
from rnnkit.kernels.simd import WIDTH, load, sigmoid, store, tanh
from rnnkit.kernels.threads import FIRST_FIELD, next_task

COUNT, SOURCE, SIGMOIDS, TANHS = range(FIRST_FIELD, FIRST_FIELD + 4)


def apply_both(args: Any) -> None:
    if next_task(args) == 0:
        for j in range(0, args[COUNT], WIDTH):
            remaining = args[COUNT] - j
            x = load(args[SOURCE], j, remaining, False)
            store(args[SIGMOIDS], j, sigmoid(x), remaining, False)
            store(args[TANHS], j, tanh(x), remaining, False)


def both(x: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.full((2, len(x) + 1), 7.0)
    threads.parallel_for(apply_both, [len(x), x, found[0], found[1]], 1)
    assert found[:, -1].tolist() == [7.0, 7.0]  # nothing is written after the last element
    return found[0, :-1], found[1, :-1]


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 0.1, 1.0, 5.0, 20.0])
def test_functions_are_accurate_to_a_few_ulp(scale: float) -> None:
    torch.manual_seed(1)
    x = torch.randn(10_007) * scale
    sigmoids, tanhs = both(x)
    torch.testing.assert_close(sigmoids.double(), torch.sigmoid(x.double().clamp(-30, 30)), rtol=4e-7, atol=0)
    torch.testing.assert_close(tanhs.double(), torch.tanh(x.double()), rtol=4e-7, atol=0)


def test_functions_saturate_and_propagate_nan() -> None:
    sigmoids, tanhs = both(torch.tensor([0.0, math.inf, -math.inf, 200.0, -200.0, math.nan]))
    assert sigmoids[:5].tolist() == [0.5, 1.0, pytest.approx(0, abs=1e-12), 1.0, pytest.approx(0, abs=1e-12)]
    assert tanhs[:5].tolist() == [0.0, 1.0, -1.0, 1.0, -1.0]
    assert sigmoids[5].isnan() and tanhs[5].isnan()
