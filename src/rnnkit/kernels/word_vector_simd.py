"""Compiler settings and SIMD vectors of float32 for the word-vector kernels.

In Numba's scalar loops, what stays in registers is left to LLVM's vectorizer; here the source determines it, and
`a = a + x * load16(rows, d)` is one fused multiply-add on 16 numbers. LLVM maps 16 lanes to one AVX-512 register, two
of AVX2 or four of NEON, so one source serves all. Nothing checks bounds: rows are padded to whole vectors.

The kernels allocate nothing and return no array, so Numba's reference counting is off. With that, and with the
functions that run once per window inlined into their callers, training is 30 % faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from rnnkit.kernels.compiler import Compiler, define_operators

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


class FloatLanes(types.Type):
    """The Numba type of a vector of `count` float32 lanes."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(FloatLanes)
class _FloatLanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: FloatLanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(_FLOAT, lanes.count))


LANES16 = FloatLanes(WIDTH)
LANES8 = FloatLanes(SCORES)

define_operators(FloatLanes, _FAST)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _make_load(lanes: FloatLanes) -> Any:
    @intrinsic
    def load(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
            vector = ir.VectorType(_FLOAT, lanes.count).as_pointer()
            return builder.load(builder.bitcast(address, vector), align=_FLOAT_BYTES)

        return lanes(array, types.intp), generate

    return load


def _make_store(lanes: FloatLanes) -> Any:
    @intrinsic
    def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
            vector = ir.VectorType(_FLOAT, lanes.count).as_pointer()
            builder.store(arguments[2], builder.bitcast(address, vector), align=_FLOAT_BYTES)
            return context.get_dummy_value()

        return types.void(array, types.intp, lanes), generate

    return store


def _make_fill(lanes: FloatLanes) -> Any:
    @intrinsic
    def fill(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            empty = ir.Constant(ir.VectorType(_FLOAT, lanes.count), ir.Undefined)
            first = builder.insert_element(empty, arguments[0], ir.IntType(32)(0))
            return _shuffle(builder, first, first, [0] * lanes.count)

        return lanes(types.float32), generate

    return fill


def _shuffle(builder: Any, a: Any, b: Any, picks: Sequence[int]) -> Any:
    """Select lanes by index; the lanes of `b` follow those of `a`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), list(picks)))


load16, load8 = _make_load(LANES16), _make_load(LANES8)
"""`load16(array, index)` loads 16 numbers of a flat float32 array, starting at `index`."""

store16, store8 = _make_store(LANES16), _make_store(LANES8)
"""`store16(array, index, vector)` stores 16 numbers."""

broadcast16, broadcast8 = _make_fill(LANES16), _make_fill(LANES8)
"""`broadcast16(number)` sets every lane to a float32."""


@intrinsic
def horizontal_sums8(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Sum the lanes of six vectors into the first six lanes of one; the last two are zero.

    The vectors are folded pairwise, which costs a third of six separate sums.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        zero = ir.Constant(ir.VectorType(_FLOAT, WIDTH), [0.0] * WIDTH)
        vectors = [*arguments, zero, zero]
        run = 1
        while len(vectors) > 1:
            vectors = [_fold(builder, x, y, run) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
            run *= 2
        (both,) = vectors
        low, high = (_shuffle(builder, both, both, range(start, start + SCORES)) for start in (0, SCORES))
        return builder.fadd(low, high, flags=_FAST)

    return LANES8(*[LANES16] * 6), generate


def _fold(builder: Any, x: Any, y: Any, run: int) -> Any:
    """Add adjacent runs of lanes of `x` and of `y`, and interleave the results."""
    even: list[int] = []
    odd: list[int] = []
    for start in range(0, WIDTH, 2 * run):
        for vector in (0, WIDTH):
            even += range(vector + start, vector + start + run)
            odd += range(vector + start + run, vector + start + 2 * run)
    return builder.fadd(_shuffle(builder, x, y, even), _shuffle(builder, x, y, odd), flags=_FAST)


def _make_choice(comparison: str) -> Any:
    @intrinsic
    def choose(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            first, second = arguments
            chosen = builder.select(builder.fcmp_unordered(comparison, first, second), first, second)
            return builder.select(builder.fcmp_unordered("uno", second, second), second, chosen)

        return a(a, b), generate

    return choose


minimum, maximum = _make_choice("<"), _make_choice(">")
"""Minimum and maximum of two vectors, lane by lane; NaN in either operand is kept."""


@intrinsic
def round8(typing: Any, vector: Any) -> Any:
    """Round each lane to the nearest integer, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        vector = arguments[0].type
        rounded = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), f"llvm.nearbyint.v{SCORES}f32"
        )
        return builder.call(rounded, arguments)

    return LANES8(LANES8), generate


@intrinsic
def power_of_two8(typing: Any, exponents: Any) -> Any:
    """Compute 2 to the power of each lane; the lanes are integers from -126 to 127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        integers = ir.VectorType(ir.IntType(32), SCORES)
        biased = builder.add(builder.fptosi(arguments[0], integers), ir.Constant(integers, [_BIAS] * SCORES))
        bits = builder.shl(biased, ir.Constant(integers, [_MANTISSA_BITS] * SCORES))
        return builder.bitcast(bits, ir.VectorType(_FLOAT, SCORES))

    return LANES8(LANES8), generate


@intrinsic
def exponent8(typing: Any, vector: Any) -> Any:
    """Return e for x = m * 2**e with 1 <= m < 2, of each positive lane, as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        integers = ir.VectorType(ir.IntType(32), SCORES)
        biased = builder.lshr(builder.bitcast(arguments[0], integers), ir.Constant(integers, [_MANTISSA_BITS] * SCORES))
        return builder.sitofp(
            builder.sub(biased, ir.Constant(integers, [_BIAS] * SCORES)), ir.VectorType(_FLOAT, SCORES)
        )

    return LANES8(LANES8), generate


@intrinsic
def mantissa8(typing: Any, vector: Any) -> Any:
    """Return m for x = m * 2**e with 1 <= m < 2, of each positive lane; NaN is kept."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        integers = ir.VectorType(ir.IntType(32), SCORES)
        bits = builder.bitcast(arguments[0], integers)
        kept = builder.and_(bits, ir.Constant(integers, [(1 << _MANTISSA_BITS) - 1] * SCORES))
        one = ir.Constant(integers, [_BIAS << _MANTISSA_BITS] * SCORES)
        mantissa = builder.bitcast(builder.or_(kept, one), ir.VectorType(_FLOAT, SCORES))
        is_number = builder.fcmp_ordered("ord", arguments[0], arguments[0])
        return builder.select(is_number, mantissa, arguments[0])

    return LANES8(LANES8), generate


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of `array[index]` for writing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        byte_pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = ir.FunctionType(ir.VoidType(), [byte_pointer, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0i8")
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        for_writing, into_nearest_cache, data = number(1), number(3), number(1)
        builder.call(fetch, [builder.bitcast(address, byte_pointer), for_writing, into_nearest_cache, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
