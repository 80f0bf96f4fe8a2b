"""SIMD vectors: how many elements they load and store, and how they round to bfloat16."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnkit.kernels import threads
from rnnkit.kernels.simd import load, pack_bf16_pairs, store
from rnnkit.kernels.threads import FIRST_FIELD, next_task

COUNT, SOURCE, TARGET = range(FIRST_FIELD, FIRST_FIELD + 3)


def copy_float32(args: Any) -> None:
    if next_task(args) == 0:
        store(args[TARGET], 2, load(args[SOURCE], 1, args[COUNT], False), args[COUNT], False)


def copy_to_bf16(args: Any) -> None:
    if next_task(args) == 0:
        store(args[TARGET], 2, load(args[SOURCE], 1, args[COUNT], False), args[COUNT], True)


def copy_from_bf16(args: Any) -> None:
    if next_task(args) == 0:
        store(args[TARGET], 2, load(args[SOURCE], 1, args[COUNT], True), args[COUNT], False)


def interleave(args: Any) -> None:
    if next_task(args) == 0:
        store(
            args[TARGET],
            0,
            pack_bf16_pairs(load(args[SOURCE], 0, 16, False), load(args[SOURCE], 16, 16, False)),
            16,
            False,
        )


def copied(kernel: Any, source: Tensor, dtype: torch.dtype, count: int) -> Tensor:
    target = torch.full((20,), 7.0, dtype=dtype)
    threads.parallel_for(kernel, [count, source, target], 1)
    return target


@pytest.mark.parametrize("count", [-3, 0, 1, 7, 15, 16, 40])
def test_loads_and_stores_touch_count_elements(count: int) -> None:
    source = torch.arange(18.0)
    written = min(max(count, 0), 16)
    expected = torch.full((20,), 7.0)
    expected[2 : 2 + written] = source[1 : 1 + written]
    assert torch.equal(copied(copy_float32, source, torch.float32, count), expected)
    assert torch.equal(copied(copy_to_bf16, source, torch.bfloat16, count), expected.bfloat16())
    assert torch.equal(copied(copy_from_bf16, source.bfloat16(), torch.float32, count), expected)


def test_rounding_to_bfloat16_equals_torch() -> None:
    torch.manual_seed(4)
    edges = [0.0, -0.0, math.inf, -math.inf, math.nan, 1 + 2**-8, 1 + 3 * 2**-8, 3.39e38, 1e-40]
    source = torch.cat([torch.zeros(1), torch.tensor(edges), torch.randn(7)])
    found = copied(copy_to_bf16, source, torch.bfloat16, 16)[2:18]
    expected = source[1:].bfloat16()
    assert torch.equal(found.isnan(), expected.isnan())
    numbers = ~expected.isnan()
    assert torch.equal(found[numbers].view(torch.int16), expected[numbers].view(torch.int16))


def test_bf16_pairs_are_interleaved() -> None:
    source, target = torch.randn(32), torch.empty(16)
    threads.parallel_for(interleave, [0, source, target], 1)
    assert torch.equal(target.view(torch.bfloat16).view(16, 2), source.view(2, 16).T.bfloat16())
