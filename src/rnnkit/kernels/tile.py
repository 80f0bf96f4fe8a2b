"""The product of a few rows with a few columns, its sums in registers: the innermost part of `products.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rnnkit.kernels.lanes import FUSED, INTEGERS, VECTOR, WIDTH, first_lanes, masked_store, pointer_to, repeated
from rnnkit.kernels.processor import HAS_HALF
from rnnkit.kernels.team import inlined

_FLOAT, _LONG = ir.FloatType(), ir.IntType(64)
_ALIGNMENT = 4  # bytes


def make_tile(rows: int, vectors: int) -> Any:
    """A function for `rows` rows and a panel of `vectors` x 16 columns.

    `tile(a, row_stride, stride, places, panel, c, c_stride, columns, half)`: place k of row r of the factor stands
    `r * row_stride + k * stride` places after address `a`; rows have `places` of them, and so many rows has the panel.
    Row r of the result begins `r * c_stride` numbers after `c`; only its first `columns` columns are written. A place
    is one float32, or with `half` two bfloat16 numbers, whose products are both added; only for processors that can.

    Args:
        rows: Rows.
        vectors: Vectors of columns; rows x vectors sums need as many registers, and some more.
    """
    single_tile = _make_tile(rows, vectors, half=False)
    half_tile = _make_tile(rows, vectors, half=HAS_HALF)

    @inlined
    def tile(
        a: int, row_stride: int, stride: int, places: int, panel: int, c: int, c_stride: int, columns: int, half: bool
    ) -> None:
        if half:
            half_tile(a, row_stride, stride, places, panel, c, c_stride, columns)
        else:
            single_tile(a, row_stride, stride, places, panel, c, c_stride, columns)

    return tile


def _make_tile(rows: int, vectors: int, half: bool) -> Any:
    width = vectors * WIDTH

    def add_row(builder: Any, sums: Sequence[Any], number: Any, panel_row: Sequence[Any]) -> None:
        factor = repeated(builder, number, VECTOR)
        for place, numbers in zip(sums, panel_row, strict=True):
            builder.store(_add_product(builder, builder.load(place), factor, numbers, half), place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        a, row_stride, stride, places, panel, c, c_stride, columns = arguments
        zeros = ir.Constant(VECTOR, [0.0] * WIDTH)
        sums = [[cgutils.alloca_once_value(builder, zeros) for _ in range(vectors)] for _ in range(rows)]
        with cgutils.for_range(builder, places) as loop:
            start = builder.mul(loop.index, _LONG(width))
            starts = [builder.add(start, _LONG(WIDTH * vector)) for vector in range(vectors)]
            pointers = [pointer_to(builder, panel, index, _FLOAT, VECTOR) for index in starts]
            panel_row = [builder.load(pointer, align=_ALIGNMENT) for pointer in pointers]
            for row in range(rows):
                index = builder.add(builder.mul(row_stride, _LONG(row)), builder.mul(stride, loop.index))
                add_row(builder, sums[row], builder.load(pointer_to(builder, a, index, _FLOAT, _FLOAT)), panel_row)
        for vector in range(vectors):
            mask = first_lanes(builder, builder.sub(columns, _LONG(WIDTH * vector)))
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
        return builder.fadd(sums, builder.fmul(factor, numbers, flags=FUSED), flags=FUSED)
    kind = ir.FunctionType(VECTOR, [VECTOR, INTEGERS, INTEGERS])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
    return builder.call(function, [sums, builder.bitcast(factor, INTEGERS), builder.bitcast(numbers, INTEGERS)])
