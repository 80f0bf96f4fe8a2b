"""The product of a few rows with a few columns, its sums in registers: the innermost part of `products.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from rnnkit.kernels import threads
from rnnkit.kernels.dispatch import HAS_HALF, HAS_WIDE
from rnnkit.kernels.simd import (
    CONTRACT,
    VECTOR_F32,
    VECTOR_I32,
    WIDTH,
    element_pointer,
    lane_mask,
    load,
    masked_store,
    offset,
    pack_bf16_pairs,
    read_float32,
    splat,
    store,
    write_float32,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

_FLOAT, _LONG = ir.FloatType(), ir.IntType(64)
_ALIGNMENT = 4  # bytes


def make_microkernel(rows: int, vectors: int) -> Any:
    """A function for `rows` rows and a panel of `vectors` x 16 columns.

    `tile(a, row_stride, stride, places, panel, c, c_stride, columns, half)`: place k of row r of the factor stands
    `r * row_stride + k * stride` places after address `a`; rows have `places` of them, and so many rows has the panel.
    Row r of the result begins `r * c_stride` numbers after `c`; only its first `columns` columns are written. A place
    is one float32, or with `half` two bfloat16 numbers, whose products are both added; only for processors that can.

    Args:
        rows: Rows.
        vectors: Vectors of columns; rows x vectors sums need as many registers, and some more.
    """
    single_tile = _make_microkernel(rows, vectors, half=False)
    half_tile = _make_microkernel(rows, vectors, half=HAS_HALF)

    @inlined
    def tile(
        a: int, row_stride: int, stride: int, places: int, panel: int, c: int, c_stride: int, columns: int, half: bool
    ) -> None:
        if half:
            half_tile(a, row_stride, stride, places, panel, c, c_stride, columns)
        else:
            single_tile(a, row_stride, stride, places, panel, c, c_stride, columns)

    return tile


def _make_microkernel(rows: int, vectors: int, half: bool) -> Any:
    width = vectors * WIDTH

    def add_row(builder: Any, sums: Sequence[Any], number: Any, panel_row: Sequence[Any]) -> None:
        factor = splat(builder, number, VECTOR_F32)
        for place, numbers in zip(sums, panel_row, strict=True):
            builder.store(_add_product(builder, builder.load(place), factor, numbers, half), place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        a, row_stride, stride, places, panel, c, c_stride, columns = arguments
        zeros = ir.Constant(VECTOR_F32, [0.0] * WIDTH)
        sums = [[cgutils.alloca_once_value(builder, zeros) for _ in range(vectors)] for _ in range(rows)]
        with cgutils.for_range(builder, places) as loop:
            start = builder.mul(loop.index, _LONG(width))
            starts = [builder.add(start, _LONG(WIDTH * vector)) for vector in range(vectors)]
            pointers = [element_pointer(builder, panel, index, _FLOAT, VECTOR_F32) for index in starts]
            panel_row = [builder.load(pointer, align=_ALIGNMENT) for pointer in pointers]
            for row in range(rows):
                index = builder.add(builder.mul(row_stride, _LONG(row)), builder.mul(stride, loop.index))
                add_row(builder, sums[row], builder.load(element_pointer(builder, a, index, _FLOAT, _FLOAT)), panel_row)
        for vector in range(vectors):
            mask = lane_mask(builder, builder.sub(columns, _LONG(WIDTH * vector)))
            for row in range(rows):
                index = builder.add(builder.mul(c_stride, _LONG(row)), _LONG(WIDTH * vector))
                masked_store(builder, c, index, builder.load(sums[row][vector]), mask)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typing: Any, a: Any, row_stride: Any, stride: Any, places: Any, panel: Any, c: Any, c_stride: Any, columns: Any
    ) -> Any:
        return types.void(*[types.int64] * 8), generate

    return tile


def _add_product(builder: Any, sums: Any, factor: Any, numbers: Any, half: bool) -> Any:
    """That is sums + factor * numbers, lane by lane; of pairs, the products of both."""
    if not half:
        return builder.fadd(sums, builder.fmul(factor, numbers, flags=CONTRACT), flags=CONTRACT)
    kind = ir.FunctionType(VECTOR_F32, [VECTOR_F32, VECTOR_I32, VECTOR_I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
    return builder.call(function, [sums, builder.bitcast(factor, VECTOR_I32), builder.bitcast(numbers, VECTOR_I32)])


_TILE_ROWS = (8, 4, 2, 1) if HAS_WIDE else (6, 4, 2, 1)
"""Rows whose sums are in registers together: 32 registers of AVX-512 hold more than those of other machines."""

PANEL_WIDTH = 2 * WIDTH if HAS_WIDE else WIDTH
"""Columns of a panel."""

_ROWS_PER_TASK = 48
"""Rows of a large product that are done together, so that they stay in the cache."""

_ZERO = np.float32(0)
_MANY, _SOME, _FEW, _ONE = _TILE_ROWS
_TEN = 10
_ten = make_microkernel(_TEN, PANEL_WIDTH // WIDTH)
_many, _some, _few, _one = (make_microkernel(rows, PANEL_WIDTH // WIDTH) for rows in _TILE_ROWS)


@inlined
def multiply_packed(
    a: int, row_stride: int, stride: int, rows: int, panels: int, places: int, c: int, columns: int, half: bool
) -> None:
    """C = A M, M being packed.

    Args:
        a: Address of A (rows, places).
        row_stride: Places from one row of A to the next.
        stride: Places from one column of A to the next.
        rows: Rows of A and of C.
        panels: Address of the packed M (places, columns).
        places: Columns of A, or of A in pairs.
        c: Address of C (rows, columns), in float32.
        columns: Columns of C.
        half: Whether a place of A and M is two bfloat16 numbers instead of one float32.
    """
    for start in range(0, columns, PANEL_WIDTH):
        panel = offset(panels, start * places, False)
        left = columns - start
        row = 0
        while row < rows:
            a_row = offset(a, row * row_stride, False)
            c_tile = offset(c, row * columns + start, False)
            if HAS_WIDE and _TEN <= rows - row < _MANY + _SOME:  # half of a batch of twenty; eight and two take longer
                _ten(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _TEN
            elif rows - row >= _MANY:
                _many(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _MANY
            elif rows - row >= _SOME:
                _some(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _SOME
            elif rows - row >= _FEW:
                _few(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _FEW
            else:
                _one(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _ONE


def matmul(a: Tensor, m: Tensor, transposed_a: bool = False, transposed_m: bool = False) -> Tensor:
    """A M of two matrices, both float32 or both bfloat16; either may be given transposed.

    In float32, for the sizes of recurrent networks, this is somewhat faster than torch's product, and much faster where
    other programs hold some of the cores, as threads share out the rows while they run. In bfloat16 it is torch's.
    """
    if a.dtype != torch.float32:
        return (a.T if transposed_a else a) @ (m.T if transposed_m else m)
    return matmul_packed(a, pack_panels(m, transposed_m), m.shape[0] if transposed_m else m.shape[1], transposed_a)


def matmul_packed(a: Tensor, panels: Tensor, columns: int, transposed_a: bool = False) -> Tensor:
    """A M, both float32.

    Args:
        a: A, or its transpose.
        panels: What `pack` has made of M.
        columns: Of M.
        transposed_a: Which of the two A is.
    """
    a = a.contiguous()
    rows, depth = (a.shape[1], a.shape[0]) if transposed_a else a.shape
    row_stride, stride = (1, rows) if transposed_a else (depth, 1)
    product = a.new_empty(rows, columns)
    block = max(1, min(_ROWS_PER_TASK, -(-rows // torch.get_num_threads())))
    threads.parallel_for(
        _multiply_blocks, [a, row_stride, stride, rows, panels, depth, product, columns, block], -(-rows // block)
    )
    return product


def _multiply_blocks(job: Any) -> None:
    """Each share is some rows of the product."""
    a, row_stride, stride, rows = job[FIRST_FIELD], job[FIRST_FIELD + 1], job[FIRST_FIELD + 2], job[FIRST_FIELD + 3]
    panels, depth, product = job[FIRST_FIELD + 4], job[FIRST_FIELD + 5], job[FIRST_FIELD + 6]
    columns, block = job[FIRST_FIELD + 7], job[FIRST_FIELD + 8]
    share = next_task(job)
    while share < job[TASKS]:
        row = share * block
        a_row, c_row = offset(a, row * row_stride, False), offset(product, row * columns, False)
        multiply_packed(a_row, row_stride, stride, min(block, rows - row), panels, depth, c_row, columns, False)
        share = next_task(job)


def pack_panels(matrix: Tensor, transposed: bool = False, half: bool = False) -> Tensor:
    """A matrix (depth, columns) in panels (columns / PANEL, places, PANEL); a place is one row, or two with `half`.

    Args:
        matrix: In float32.
        transposed: Whether it is given as (columns, depth).
        half: Whether its numbers become bfloat16.
    """
    rows, row_size = matrix.shape
    depth, columns = (row_size, rows) if transposed else (rows, row_size)
    places = depth // 2 if half else depth
    panels = matrix.new_empty(-(-columns // PANEL_WIDTH), places, PANEL_WIDTH)
    if half and transposed:
        matrix = matrix.bfloat16().view(torch.float32)  # what stands side by side there belongs together here
    kernel = _pack_transposed if transposed else _pack_pairs if half else _pack_rows
    threads.parallel_for(kernel, [matrix.contiguous(), panels, places, columns], len(panels))
    return panels


def _pack_rows(job: Any) -> None:
    """Each share is a panel: rows of the matrix, cut."""
    matrix, panels, places, columns = job[FIRST_FIELD], job[FIRST_FIELD + 1], job[FIRST_FIELD + 2], job[FIRST_FIELD + 3]
    share = next_task(job)
    while share < job[TASKS]:
        for start in range(0, PANEL_WIDTH, WIDTH):
            column = share * PANEL_WIDTH + start
            for place in range(places):
                numbers = load(matrix, place * columns + column, columns - column, False)
                store(panels, (share * places + place) * PANEL_WIDTH + start, numbers, WIDTH, False)
        share = next_task(job)


def _pack_pairs(job: Any) -> None:
    """Each share is a panel: rows of the matrix, cut, and each two of them woven into one."""
    matrix, panels, places, columns = job[FIRST_FIELD], job[FIRST_FIELD + 1], job[FIRST_FIELD + 2], job[FIRST_FIELD + 3]
    share = next_task(job)
    while share < job[TASKS]:
        for start in range(0, PANEL_WIDTH, WIDTH):
            column = share * PANEL_WIDTH + start
            for place in range(places):
                low = load(matrix, 2 * place * columns + column, columns - column, False)
                high = load(matrix, (2 * place + 1) * columns + column, columns - column, False)
                store(panels, (share * places + place) * PANEL_WIDTH + start, pack_bf16_pairs(low, high), WIDTH, False)
        share = next_task(job)


def _pack_transposed(job: Any) -> None:
    """Each share is a panel: rows of the matrix, which become its columns."""
    matrix, panels, places, columns = job[FIRST_FIELD], job[FIRST_FIELD + 1], job[FIRST_FIELD + 2], job[FIRST_FIELD + 3]
    share = next_task(job)
    while share < job[TASKS]:
        first = share * PANEL_WIDTH
        panel = offset(panels, first * places, False)
        for column in range(PANEL_WIDTH):
            for place in range(places):
                number = read_float32(matrix, (first + column) * places + place) if first + column < columns else _ZERO
                write_float32(panel, place * PANEL_WIDTH + column, number)
        share = next_task(job)
