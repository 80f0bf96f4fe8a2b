"""Matrix products against torch, in sizes that no tile and no panel divides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rnnkit.kernels import threads
from rnnkit.kernels.dispatch import cpu_features
from rnnkit.kernels.gemm import PANEL_WIDTH, LeftFactor, matmul, multiply_packed, pack_panels
from rnnkit.kernels.threads import FIRST_FIELD, next_task

SIZES = [(1, 1, 1), (3, 5, 7), (8, 32, 32), (10, 33, 31), (17, 20, 97), (25, 64, 64), (120, 50, 70)]
"""Rows, depth, columns."""

ROWS, DEPTH, COLUMNS, A, PANELS, C = range(FIRST_FIELD, FIRST_FIELD + 6)


def multiply_once(args: Any) -> None:
    if next_task(args) == 0:
        a = LeftFactor(args[A], args[DEPTH], 1, args[DEPTH], False)
        multiply_packed(a, args[ROWS], args[PANELS], args[C], args[COLUMNS])


def multiply_once_bf16(args: Any) -> None:
    if next_task(args) == 0:
        a = LeftFactor(args[A], args[DEPTH], 1, args[DEPTH], True)
        multiply_packed(a, args[ROWS], args[PANELS], args[C], args[COLUMNS])


def random_factors(rows: int, depth: int, columns: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(rows)
    return torch.randn(rows, depth), torch.randn(depth, columns)


@pytest.mark.parametrize("sizes", SIZES)
def test_packed_product_equals_torch(sizes: tuple[int, int, int]) -> None:
    a, m = random_factors(*sizes)
    rows, depth, columns = sizes
    for panels in (pack_panels(m), pack_panels(m.T.contiguous(), transposed=True), pack_panels(m.T.contiguous().T)):
        c = torch.full((rows + 1, columns), 7.0)
        threads.parallel_for(multiply_once, [rows, depth, columns, a, panels, c], 1)
        torch.testing.assert_close(c[:rows], a @ m, rtol=1e-5, atol=1e-5)
        assert (c[rows] == 7).all()  # nothing is written after the last row


@pytest.mark.skipif(not cpu_features().avx512_bf16, reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize("sizes", [size for size in SIZES if size[1] % 2 == 0])
def test_bf16_product_sums_in_float32(sizes: tuple[int, int, int]) -> None:
    a, m = (factor.bfloat16() for factor in random_factors(*sizes))
    rows, depth, columns = sizes
    for panels in (
        pack_panels(m.float(), bf16=True),
        pack_panels(m.float().T.contiguous(), transposed=True, bf16=True),
    ):
        c = torch.empty(rows, columns)
        threads.parallel_for(multiply_once_bf16, [rows, depth // 2, columns, a, panels, c], 1)
        torch.testing.assert_close(c, a.float() @ m.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [1, PANEL_WIDTH - 1, PANEL_WIDTH, PANEL_WIDTH + 1])
def test_panels_are_padded_with_zeros(columns: int) -> None:
    matrix = torch.randn(5, columns)
    panels = pack_panels(matrix)
    flat = panels.transpose(0, 1).reshape(5, -1)
    assert panels.shape == (-(-columns // PANEL_WIDTH), 5, PANEL_WIDTH)
    assert torch.equal(flat[:, :columns], matrix)
    assert (flat[:, columns:] == 0).all()
    assert torch.equal(pack_panels(matrix.T.contiguous(), transposed=True), panels)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("transposed_a", [True, False])
@pytest.mark.parametrize("transposed_m", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_matmul_equals_torch(
    sizes: tuple[int, int, int], transposed_a: bool, transposed_m: bool, kind: torch.dtype
) -> None:
    a, m = (factor.to(kind) for factor in random_factors(*sizes))
    given_a = a.T.contiguous() if transposed_a else a
    given_m = m.T.contiguous() if transposed_m else m
    found = matmul(given_a, given_m, transposed_a, transposed_m)
    assert found.dtype == kind
    torch.testing.assert_close(found, a @ m, rtol=1e-5, atol=1e-5 if kind == torch.float32 else 1e-1)


def test_matmul_accepts_strided_factors() -> None:
    wide_a, wide_m = torch.randn(9, 30), torch.randn(12, 40)
    found = matmul(wide_a[:, 5:17], wide_m[:, ::2])
    torch.testing.assert_close(found, wide_a[:, 5:17] @ wide_m[:, ::2], rtol=1e-5, atol=1e-5)
