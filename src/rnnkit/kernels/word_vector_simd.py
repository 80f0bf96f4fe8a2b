"""Compiler settings and SIMD vectors of float32 for the word-vector kernels.

In Numba's scalar loops, what stays in registers is left to LLVM's vectorizer; here the source determines it, and
`a = a + x * load16(rows, d)` is one fused multiply-add on 16 numbers. LLVM maps 16 lanes to one AVX-512 register, two
of AVX2 or four of NEON, so one source serves all. Nothing checks bounds: rows are padded to whole vectors.

The kernels allocate nothing and return no array, so Numba's reference counting is off. With that, and with the
functions that run once per window inlined into their callers, training is 30 % faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import DataModelManager
from numba.extending import models, register_model

from rnnkit.kernels.compiler import Compiler, Float32Array, VectorType, define_operators, emit

_compiler = Compiler(Path(__file__).parent, reassociate=True, allocates=False)
kernel, inlined = _compiler.kernel, _compiler.inlined

WIDTH = 16
"""Lanes of a vector along the dimension of a row; rows are padded to a multiple of it."""

SCORES = 8
"""Lanes of a vector of logits, one per row."""

_FAST = ("nsz", "arcp", "contract", "reassoc")  # not "nnan": NaN in a loss must not be optimized away
_FLOAT = ir.FloatType()
_FLOAT_BYTES = 4
_MANTISSA_BITS, _BIAS = 23, 127  # of a float32


class FloatLanes(VectorType):
    """A vector of `count` float32 lanes."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(FloatLanes)
class _FloatLanesModel(models.PrimitiveModel):
    def __init__(self, manager: DataModelManager, lanes: FloatLanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(_FLOAT, lanes.count))


LANES16 = FloatLanes(WIDTH)
LANES8 = FloatLanes(SCORES)
_VECTOR8, _INTEGERS8 = ir.VectorType(_FLOAT, SCORES), ir.VectorType(ir.IntType(32), SCORES)

define_operators(FloatLanes, _FAST)


def _make_load(lanes: FloatLanes) -> Callable[[Float32Array, int], FloatLanes]:
    @emit(lanes, None, types.intp)
    def load(builder: ir.IRBuilder, array: ir.Value, index: ir.Value) -> ir.Value:
        pointer = ir.VectorType(_FLOAT, lanes.count).as_pointer()
        return builder.load(builder.bitcast(builder.gep(array, [index]), pointer), align=_FLOAT_BYTES)

    return load


def _make_store(lanes: FloatLanes) -> Callable[[Float32Array, int, FloatLanes], None]:
    @emit(types.void, None, types.intp, lanes)
    def store(builder: ir.IRBuilder, array: ir.Value, index: ir.Value, vector: ir.Value) -> None:
        pointer = ir.VectorType(_FLOAT, lanes.count).as_pointer()
        builder.store(vector, builder.bitcast(builder.gep(array, [index]), pointer), align=_FLOAT_BYTES)

    return store


def _make_fill(lanes: FloatLanes) -> Callable[[np.float32], FloatLanes]:
    @emit(lanes, types.float32)
    def fill(builder: ir.IRBuilder, number: ir.Value) -> ir.Value:
        empty = ir.Constant(ir.VectorType(_FLOAT, lanes.count), ir.Undefined)
        first = builder.insert_element(empty, number, ir.IntType(32)(0))
        return _shuffle(builder, first, first, [0] * lanes.count)

    return fill


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, picks: Sequence[int]) -> ir.Value:
    """Select lanes by index; the lanes of `b` follow those of `a`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), list(picks)))


load16, load8 = _make_load(LANES16), _make_load(LANES8)
"""`load16(array, index)` loads 16 numbers of a flat float32 array, starting at `index`."""

store16, store8 = _make_store(LANES16), _make_store(LANES8)
"""`store16(array, index, vector)` stores 16 numbers."""

broadcast16, broadcast8 = _make_fill(LANES16), _make_fill(LANES8)
"""`broadcast16(number)` sets every lane to a float32."""


@emit(LANES8, types.UniTuple(LANES16, 6))
def horizontal_sums8(builder: ir.IRBuilder, six: ir.Value) -> ir.Value:
    """Sum the lanes of six vectors into the first six lanes of one; the last two are zero.

    The vectors are folded pairwise, which costs a third of six separate sums.
    """
    zero = ir.Constant(ir.VectorType(_FLOAT, WIDTH), [0.0] * WIDTH)
    vectors = [*cgutils.unpack_tuple(builder, six), zero, zero]
    run = 1
    while len(vectors) > 1:
        vectors = [_fold(builder, x, y, run) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
        run *= 2
    (both,) = vectors
    low, high = (_shuffle(builder, both, both, range(start, start + SCORES)) for start in (0, SCORES))
    return builder.fadd(low, high, flags=_FAST)


def _fold(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, run: int) -> ir.Value:
    """Add adjacent runs of lanes of `x` and of `y`, and interleave the results."""
    even: list[int] = []
    odd: list[int] = []
    for start in range(0, WIDTH, 2 * run):
        for vector in (0, WIDTH):
            even += range(vector + start, vector + start + run)
            odd += range(vector + start + run, vector + start + 2 * run)
    return builder.fadd(_shuffle(builder, x, y, even), _shuffle(builder, x, y, odd), flags=_FAST)


def _make_choice(comparison: str) -> Callable[[FloatLanes, FloatLanes], FloatLanes]:
    @emit(LANES8, LANES8, LANES8)
    def choose(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        chosen = builder.select(builder.fcmp_unordered(comparison, a, b), a, b)
        return builder.select(builder.fcmp_unordered("uno", b, b), b, chosen)

    return choose


minimum, maximum = _make_choice("<"), _make_choice(">")
"""Minimum and maximum of two vectors, lane by lane; NaN in either operand is kept."""


@emit(LANES8, LANES8)
def round8(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Round each lane to the nearest integer, ties to even."""
    kind = ir.FunctionType(_VECTOR8, [_VECTOR8])
    rounded = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nearbyint.v{SCORES}f32")
    return builder.call(rounded, [vector])


@emit(LANES8, LANES8)
def power_of_two8(builder: ir.IRBuilder, exponents: ir.Value) -> ir.Value:
    """Compute 2 to the power of each lane; the lanes are integers from -126 to 127."""
    biased = builder.add(builder.fptosi(exponents, _INTEGERS8), _integers(_BIAS))
    return builder.bitcast(builder.shl(biased, _integers(_MANTISSA_BITS)), _VECTOR8)


@emit(LANES8, LANES8)
def exponent8(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Return e for x = m * 2**e with 1 <= m < 2, of each positive lane, as float32."""
    biased = builder.lshr(builder.bitcast(vector, _INTEGERS8), _integers(_MANTISSA_BITS))
    return builder.sitofp(builder.sub(biased, _integers(_BIAS)), _VECTOR8)


@emit(LANES8, LANES8)
def mantissa8(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Return m for x = m * 2**e with 1 <= m < 2, of each positive lane; NaN is kept."""
    kept = builder.and_(builder.bitcast(vector, _INTEGERS8), _integers((1 << _MANTISSA_BITS) - 1))
    mantissa = builder.bitcast(builder.or_(kept, _integers(_BIAS << _MANTISSA_BITS)), _VECTOR8)
    return builder.select(builder.fcmp_ordered("ord", vector, vector), mantissa, vector)


def _integers(number: int) -> ir.Constant:
    """Return eight lanes with the same integer."""
    return ir.Constant(_INTEGERS8, [number] * SCORES)


@emit(types.void, None, types.intp)
def prefetch(builder: ir.IRBuilder, array: ir.Value, index: ir.Value) -> None:
    """Prefetch the cache line of `array[index]` for writing."""
    byte_pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte_pointer, number, number, number])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    for_writing, into_nearest_cache, data = number(1), number(3), number(1)
    address = builder.bitcast(builder.gep(array, [index]), byte_pointer)
    builder.call(fetch, [address, for_writing, into_nearest_cache, data])
