"""Matrix products inside compiled kernels (GEMM): of few rows in panels, and the passes around int8 products.

Libraries are at their best with many rows. With the ten to thirty rows of a recurrent step, it pays to keep the sums of
a tile, a few rows by one panel of columns, in registers while the depth runs by. A matrix is packed into panels first:
(depth, PANEL_WIDTH) each, contiguous, with zeros where the matrix has no more columns, so that they stream from the
cache.

With `bf16`, rows and matrix are bfloat16 and the sums float32. Each 32-bit element then holds two numbers that are
adjacent in depth, as the instruction `VDPBF16PS` takes them, so that the depth in elements is half as long; it must be
even.

int8 products are torch's; `quantize` and `dequantize` go over their input and output once each:

    q_ni = round(x_ni / s_n)           s_n = max_i |x_ni| / 127
    y_no = s_n t_o a_no + b_o          a: int32 product of q and the quantized weights, t_o: scale of each output
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from torch import Tensor

from rnnkit.kernels import threads
from rnnkit.kernels.compiler import emit
from rnnkit.kernels.dispatch import cpu_features
from rnnkit.kernels.simd import (
    CONTRACT,
    VECTOR_F32,
    VECTOR_I32,
    WIDTH,
    broadcast,
    element_pointer,
    lane_mask,
    load,
    load_int32,
    masked_store,
    maximum,
    offset,
    pack_bf16_pairs,
    read_float32,
    reduce_max,
    round_nearest,
    splat,
    store,
    store_int8,
    write_float32,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, Arguments, inlined, next_task

_FLOAT, _LONG = ir.FloatType(), ir.IntType(64)
_ALIGNMENT = 4  # bytes
_ZERO = np.float32(0)


class LeftFactor(NamedTuple):
    """The left factor of a product, some rows of a matrix.

    Attributes:
        address: Address of the first element.
        row_stride: Elements from one row to the next.
        stride: Elements from one column to the next.
        depth: Columns, in elements.
        bf16: Whether an element of both factors is a pair of bfloat16 numbers instead of one float32; it needs a
            processor with AVX512-BF16.
    """

    address: int
    row_stride: int
    stride: int
    depth: int
    bf16: bool


Tile = Callable[[LeftFactor, int, int, int, int], None]
"""`tile(a, panel, c, c_stride, columns)` multiplies rows with a panel: a compiled function."""


def make_microkernel(rows: int, vectors: int) -> Tile:
    """Return the function that multiplies `rows` rows with a panel of `vectors` x 16 columns, sums in registers.

    Row r of the result starts `r * c_stride` elements after the address `c`; only its first `columns` columns are
    written. With `bf16`, the two products of a pair are both added.

    Args:
        rows: Rows of a tile.
        vectors: Vectors per row; the sums take rows x vectors registers, besides some for the factors.
    """
    float32_tile = _make_microkernel(rows, vectors, bf16=False)
    bf16_tile = _make_microkernel(rows, vectors, bf16=cpu_features().avx512_bf16)

    @inlined
    def tile(a: LeftFactor, panel: int, c: int, c_stride: int, columns: int) -> None:
        if a.bf16:
            bf16_tile(a, panel, c, c_stride, columns)
        else:
            float32_tile(a, panel, c, c_stride, columns)

    return tile


def _make_microkernel(rows: int, vectors: int, bf16: bool) -> Tile:
    width = vectors * WIDTH

    def add_row(
        builder: ir.IRBuilder, sums: Sequence[ir.Value], element: ir.Value, panel_row: Sequence[ir.Value]
    ) -> None:
        factor = splat(builder, element, VECTOR_F32)
        for slot, vector in zip(sums, panel_row, strict=True):
            builder.store(_multiply_add(builder, builder.load(slot), factor, vector, bf16), slot)

    @emit(types.void, None, types.int64, types.int64, types.int64, types.int64)
    def tile(
        builder: ir.IRBuilder, a: ir.Value, panel: ir.Value, c: ir.Value, c_stride: ir.Value, columns: ir.Value
    ) -> None:
        address, row_stride, stride, depth, _ = cgutils.unpack_tuple(builder, a)
        zeros = ir.Constant(VECTOR_F32, [0.0] * WIDTH)
        # Stack slots, which LLVM promotes to registers.
        sums = [[cgutils.alloca_once_value(builder, zeros) for _ in range(vectors)] for _ in range(rows)]
        with cgutils.for_range(builder, depth) as loop:
            start = builder.mul(loop.index, _LONG(width))
            starts = [builder.add(start, _LONG(WIDTH * vector)) for vector in range(vectors)]
            pointers = [element_pointer(builder, panel, index, _FLOAT, VECTOR_F32) for index in starts]
            panel_row = [builder.load(pointer, align=_ALIGNMENT) for pointer in pointers]
            for row in range(rows):
                index = builder.add(builder.mul(row_stride, _LONG(row)), builder.mul(stride, loop.index))
                element = builder.load(element_pointer(builder, address, index, _FLOAT, _FLOAT))
                add_row(builder, sums[row], element, panel_row)
        for vector in range(vectors):
            mask = lane_mask(builder, builder.sub(columns, _LONG(WIDTH * vector)))
            for row in range(rows):
                index = builder.add(builder.mul(c_stride, _LONG(row)), _LONG(WIDTH * vector))
                masked_store(builder, c, index, builder.load(sums[row][vector]), mask)

    return tile


def _multiply_add(builder: ir.IRBuilder, sums: ir.Value, factor: ir.Value, vector: ir.Value, bf16: bool) -> ir.Value:
    """Emit sums + factor * vector, lane by lane; for bfloat16, the products of both numbers of a pair."""
    if not bf16:
        return builder.fadd(sums, builder.fmul(factor, vector, flags=CONTRACT), flags=CONTRACT)
    kind = ir.FunctionType(VECTOR_F32, [VECTOR_F32, VECTOR_I32, VECTOR_I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
    return builder.call(function, [sums, builder.bitcast(factor, VECTOR_I32), builder.bitcast(vector, VECTOR_I32)])


_HAS_AVX512 = cpu_features().avx512

_TILE_ROWS = (8, 4, 2, 1) if _HAS_AVX512 else (6, 4, 2, 1)
"""Rows of the tiles, the largest first: AVX-512 has 32 registers, which hold more sums than the 16 of AVX2."""

PANEL_WIDTH = 2 * WIDTH if _HAS_AVX512 else WIDTH
"""Columns of a panel."""

_ROWS_PER_TASK = 48
"""Most rows of a large product that one task computes, so that they stay in the cache."""

_ROWS_A, _ROWS_B, _ROWS_C, _ROWS_D = _TILE_ROWS
_TEN = 10
_tile_ten = make_microkernel(_TEN, PANEL_WIDTH // WIDTH)
_tile_a, _tile_b, _tile_c, _tile_d = (make_microkernel(rows, PANEL_WIDTH // WIDTH) for rows in _TILE_ROWS)


@inlined
def multiply_packed(a: LeftFactor, rows: int, panels: int, c: int, columns: int) -> None:
    """Compute C = A M with a packed M; for use inside kernels.

    Args:
        a: A.
        rows: Rows of A and C.
        panels: Address of the packed M (depth, columns).
        c: Address of C (rows, columns), float32.
        columns: Columns of C.
    """
    for start in range(0, columns, PANEL_WIDTH):
        panel = offset(panels, start * a.depth, False)
        remaining = columns - start
        row = 0
        while row < rows:
            first = offset(a.address, row * a.row_stride, False)
            a_rows = LeftFactor(first, a.row_stride, a.stride, a.depth, a.bf16)
            c_tile = offset(c, row * columns + start, False)
            # Ten rows are half of a batch of twenty; tiles of eight and two take longer.
            if _HAS_AVX512 and _TEN <= rows - row < _ROWS_A + _ROWS_B:
                _tile_ten(a_rows, panel, c_tile, columns, remaining)
                row += _TEN
            elif rows - row >= _ROWS_A:
                _tile_a(a_rows, panel, c_tile, columns, remaining)
                row += _ROWS_A
            elif rows - row >= _ROWS_B:
                _tile_b(a_rows, panel, c_tile, columns, remaining)
                row += _ROWS_B
            elif rows - row >= _ROWS_C:
                _tile_c(a_rows, panel, c_tile, columns, remaining)
                row += _ROWS_C
            else:
                _tile_d(a_rows, panel, c_tile, columns, remaining)
                row += _ROWS_D


def matmul(a: Tensor, m: Tensor, transposed_a: bool = False, transposed_m: bool = False) -> Tensor:
    """Multiply two matrices, both float32 or both bfloat16; either may be passed transposed.

    In float32, at the sizes of recurrent networks, this is somewhat faster than torch's product, and much faster where
    other programs occupy some of the cores, as threads take rows dynamically. In bfloat16 it calls torch.
    """
    if a.dtype != torch.float32:
        return (a.T if transposed_a else a) @ (m.T if transposed_m else m)
    return matmul_packed(a, pack_panels(m, transposed_m), m.shape[0] if transposed_m else m.shape[1], transposed_a)


def matmul_packed(a: Tensor, panels: Tensor, columns: int, transposed_a: bool = False) -> Tensor:
    """Multiply A with a packed M, both float32.

    Args:
        a: A, or its transpose.
        panels: `pack_panels(M)`.
        columns: Columns of M.
        transposed_a: Whether `a` is the transpose.
    """
    a = a.contiguous()
    rows, depth = (a.shape[1], a.shape[0]) if transposed_a else a.shape
    row_stride, stride = (1, rows) if transposed_a else (depth, 1)
    product = a.new_empty(rows, columns)
    block = max(1, min(_ROWS_PER_TASK, -(-rows // torch.get_num_threads())))
    fields: list[int | Tensor] = [a, row_stride, stride, rows, panels, depth, product, columns, block]
    threads.parallel_for(_multiply_blocks, fields, -(-rows // block))
    return product


def _multiply_blocks(args: Arguments) -> None:
    """Multiply; each task is a block of rows."""
    a, row_stride, stride, rows = args[FIRST_FIELD], args[FIRST_FIELD + 1], args[FIRST_FIELD + 2], args[FIRST_FIELD + 3]
    panels, depth, product = args[FIRST_FIELD + 4], args[FIRST_FIELD + 5], args[FIRST_FIELD + 6]
    columns, block = args[FIRST_FIELD + 7], args[FIRST_FIELD + 8]
    task = next_task(args)
    while task < args[TASKS]:
        row = task * block
        a_rows = LeftFactor(offset(a, row * row_stride, False), row_stride, stride, depth, False)
        c_row = offset(product, row * columns, False)
        multiply_packed(a_rows, min(block, rows - row), panels, c_row, columns)
        task = next_task(args)


def pack_panels(matrix: Tensor, transposed: bool = False, bf16: bool = False) -> Tensor:
    """Pack a matrix (depth, columns) into panels (columns / PANEL_WIDTH, depth in elements, PANEL_WIDTH).

    Args:
        matrix: Matrix in float32.
        transposed: Whether it is passed as (columns, depth).
        bf16: Round to bfloat16 and put pairs of rows into one element.
    """
    rows, row_size = matrix.shape
    depth, columns = (row_size, rows) if transposed else (rows, row_size)
    elements = depth // 2 if bf16 else depth
    panels = matrix.new_empty(-(-columns // PANEL_WIDTH), elements, PANEL_WIDTH)
    if bf16 and transposed:
        matrix = matrix.bfloat16().view(torch.float32)  # numbers that are adjacent in memory form a pair
    kernel = _pack_transposed if transposed else _pack_pairs if bf16 else _pack_rows
    threads.parallel_for(kernel, [matrix.contiguous(), panels, elements, columns], len(panels))
    return panels


def _pack_rows(args: Arguments) -> None:
    """Copy slices of the matrix's rows; each task is a panel."""
    matrix, panels = args[FIRST_FIELD], args[FIRST_FIELD + 1]
    depth, columns = args[FIRST_FIELD + 2], args[FIRST_FIELD + 3]
    task = next_task(args)
    while task < args[TASKS]:
        for start in range(0, PANEL_WIDTH, WIDTH):
            column = task * PANEL_WIDTH + start
            for k in range(depth):
                vector = load(matrix, k * columns + column, columns - column, False)
                store(panels, (task * depth + k) * PANEL_WIDTH + start, vector, WIDTH, False)
        task = next_task(args)


def _pack_pairs(args: Arguments) -> None:
    """Round slices of the matrix's rows to bfloat16 and interleave each two of them; each task is a panel."""
    matrix, panels = args[FIRST_FIELD], args[FIRST_FIELD + 1]
    depth, columns = args[FIRST_FIELD + 2], args[FIRST_FIELD + 3]
    task = next_task(args)
    while task < args[TASKS]:
        for start in range(0, PANEL_WIDTH, WIDTH):
            column = task * PANEL_WIDTH + start
            for k in range(depth):
                low = load(matrix, 2 * k * columns + column, columns - column, False)
                high = load(matrix, (2 * k + 1) * columns + column, columns - column, False)
                store(panels, (task * depth + k) * PANEL_WIDTH + start, pack_bf16_pairs(low, high), WIDTH, False)
        task = next_task(args)


def _pack_transposed(args: Arguments) -> None:
    """Transpose rows of the matrix into columns of panels; each task is a panel."""
    matrix, panels = args[FIRST_FIELD], args[FIRST_FIELD + 1]
    depth, columns = args[FIRST_FIELD + 2], args[FIRST_FIELD + 3]
    task = next_task(args)
    while task < args[TASKS]:
        first = task * PANEL_WIDTH
        panel = offset(panels, first * depth, False)
        for column in range(PANEL_WIDTH):
            for k in range(depth):
                element = read_float32(matrix, (first + column) * depth + k) if first + column < columns else _ZERO
                write_float32(panel, k * PANEL_WIDTH + column, element)
        task = next_task(args)


ROWS, COLUMNS, INPUT, QUANTIZED, SCALES = range(FIRST_FIELD, FIRST_FIELD + 5)
"""Fields of `quantize`: N, I, and the addresses of

    input      (N, I)  x, float32
    quantized  (N, I)  q, int8, output
    scales     (N)     s, float32, output
"""

SUMS, OUTPUT, ROW_SCALES, COLUMN_SCALES, BIAS = range(FIRST_FIELD + 2, FIRST_FIELD + 7)
"""Fields of `dequantize`: N and O as above, and the addresses of

    sums           (N, O)  a, int32
    output         (N, O)  y, float32, output; may overlay the sums
    row scales     (N)     s
    column scales  (O)     t
    bias           (O)     b
"""

INT8_MAX = np.float32(127)
_ONE, _MIN_SCALE = np.float32(1), np.float32(1e-30)


def quantize(args: Arguments) -> None:
    """Quantize rows; each task is a range of rows."""
    columns = args[COLUMNS]
    task = next_task(args)
    while task < args[TASKS]:
        for row in range(args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]):
            x_row = offset(args[INPUT], row * columns, False)
            largest = broadcast(_MIN_SCALE)
            for i in range(0, columns, WIDTH):
                x = load(x_row, i, columns - i, False)
                largest = maximum(maximum(x, broadcast(_ZERO) - x), largest)
            scale = reduce_max(largest) / INT8_MAX
            write_float32(args[SCALES], row, scale)
            inverse = broadcast(_ONE / scale)
            for i in range(0, columns, WIDTH):
                x = load(x_row, i, columns - i, False)
                store_int8(args[QUANTIZED], row * columns + i, round_nearest(x * inverse), columns - i)
        task = next_task(args)


def dequantize(args: Arguments) -> None:
    """Scale int32 sums and add the bias; each task is a range of rows."""
    columns = args[COLUMNS]
    task = next_task(args)
    while task < args[TASKS]:
        for row in range(args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]):
            scale = broadcast(read_float32(args[ROW_SCALES], row))
            for o in range(0, columns, WIDTH):
                remaining = columns - o
                sums = load_int32(args[SUMS], row * columns + o, remaining) * scale
                output = sums * load(args[COLUMN_SCALES], o, remaining, False) + load(args[BIAS], o, remaining, False)
                store(args[OUTPUT], row * columns + o, output, remaining, False)
        task = next_task(args)
