"""Vectors of sixteen float32 lanes inside compiled kernels, as LLVM IR through Numba intrinsics.

Numba compiles loops over arrays but leaves the use of vector registers to LLVM's auto-vectorizer. These functions make
it explicit. LLVM maps sixteen lanes to one AVX-512 register, two of AVX2 or four of NEON, so that one source serves all
processors. `+`, `-`, `*` and `/` of two vectors are one instruction each.

Memory is accessed by address: `load(address, index, count, bf16)` reads up to sixteen elements from `index` on. With a
`count` below sixteen, the other lanes are zero and their memory is not touched, so that rows need no padding; a larger
`count` counts as sixteen. Nothing checks bounds. With `bf16`, the elements in memory are bfloat16, the upper halves of
float32.

Functions with a `builder` emit LLVM IR and are for use by other intrinsics; the others are called from kernels.

The functions of recurrent networks are computed from 2^n and a polynomial, accurate to a few units in the last place of
float32, near zero too:

    e^x - 1    = 2^n p(r) + (2^n - 1)     x = n ln 2 + r, n integer, |r| <= ln 2 / 2,   p(r) = e^r - 1 = r + r^2/2 + ...
    sigmoid(x) = 1 / (1 + e^-x)
    tanh(x)    = (e^2x - 1) / (e^2x - 1 + 2)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from rnnkit.kernels.compiler import define_operators
from rnnkit.kernels.threads import inlined

WIDTH = 16

CONTRACT = ("contract",)  # LLVM may fuse a multiplication and an addition; it may not reorder anything
_FLOAT, _INT, _LONG, _SHORT, _BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(16), ir.IntType(8)
VECTOR_F32, VECTOR_I32, _VECTOR_I16, _VECTOR_I8 = (ir.VectorType(kind, WIDTH) for kind in (_FLOAT, _INT, _SHORT, _BYTE))
_MASK = ir.VectorType(ir.IntType(1), WIDTH)
_LANE_IDS = ir.Constant(VECTOR_I32, list(range(WIDTH)))
_MANTISSA_BITS, _EXPONENT_BIAS, _BF16_SHIFT = 23, 127, 16  # of a float32; bits that bfloat16 lacks


class Float32x16(types.Type):
    """Numba type of a vector of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Float32x16")


@register_model(Float32x16)
class _Float32x16Model(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Float32x16) -> None:
        super().__init__(manager, lanes, VECTOR_F32)


FLOAT32X16 = Float32x16()

define_operators(Float32x16, CONTRACT)


def _splat_constant(value: Any, kind: Any) -> Any:
    """Return a vector with a constant in every lane."""
    return ir.Constant(kind, [value] * WIDTH)


def splat(builder: Any, value: Any, kind: Any) -> Any:
    """Emit a vector with `value` in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(first, first, _splat_constant(0, VECTOR_I32))


def lane_mask(builder: Any, count: Any) -> Any:
    """Emit a mask that is true in the first `count` lanes."""
    return builder.icmp_signed("<", _LANE_IDS, splat(builder, builder.trunc(count, _INT), VECTOR_I32))


def element_pointer(builder: Any, address: Any, index: Any, element: Any, kind: Any) -> Any:
    """Emit a pointer of type `kind` to the element at `index` from an address."""
    elements = builder.inttoptr(address, element.as_pointer())
    return builder.bitcast(builder.gep(elements, [index]), kind.as_pointer())


def masked_load(builder: Any, address: Any, index: Any, mask: Any, kind: Any) -> Any:
    """Emit the load of a vector of type `kind`, with zeros where the mask is false."""
    pointer = element_pointer(builder, address, index, kind.element, kind)
    name = f"llvm.masked.load.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [pointer.type, _INT, _MASK, kind]), name
    )
    return builder.call(function, [pointer, _INT(_element_bytes(kind)), mask, _splat_constant(0, kind)])


def masked_store(builder: Any, address: Any, index: Any, vector: Any, mask: Any) -> None:
    """Emit the store of a vector where the mask is true."""
    kind = vector.type
    pointer = element_pointer(builder, address, index, kind.element, kind)
    name = f"llvm.masked.store.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [kind, pointer.type, _INT, _MASK]), name
    )
    builder.call(function, [vector, pointer, _INT(_element_bytes(kind)), mask])


def _element_bytes(kind: Any) -> int:
    return 4 if kind is VECTOR_F32 else kind.element.width // 8


def _suffix(kind: Any) -> str:
    """Return the lane type as in the names of LLVM's intrinsics."""
    return "f32" if kind is VECTOR_F32 else f"i{kind.element.width}"


def _round_to_bf16(builder: Any, vector: Any) -> Any:
    """Emit the bits of each lane rounded to bfloat16, in the upper half: to nearest, ties to even; NaN stays NaN."""
    bits = builder.bitcast(vector, VECTOR_I32)
    odd = builder.and_(builder.lshr(bits, _splat_constant(_BF16_SHIFT, VECTOR_I32)), _splat_constant(1, VECTOR_I32))
    rounded = builder.add(builder.add(bits, _splat_constant(0x7FFF, VECTOR_I32)), odd)
    is_number = builder.fcmp_ordered("ord", vector, vector)
    return builder.select(is_number, rounded, bits)


@intrinsic
def _load_f32(typing: Any, address: Any, index: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return masked_load(builder, arguments[0], arguments[1], lane_mask(builder, arguments[2]), VECTOR_F32)

    return FLOAT32X16(types.int64, types.int64, types.int64), generate


@intrinsic
def _load_bf16(typing: Any, address: Any, index: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        bits = masked_load(builder, arguments[0], arguments[1], lane_mask(builder, arguments[2]), _VECTOR_I16)
        upper = builder.shl(builder.zext(bits, VECTOR_I32), _splat_constant(_BF16_SHIFT, VECTOR_I32))
        return builder.bitcast(upper, VECTOR_F32)

    return FLOAT32X16(types.int64, types.int64, types.int64), generate


@intrinsic
def _store_f32(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        masked_store(builder, arguments[0], arguments[1], arguments[2], lane_mask(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, FLOAT32X16, types.int64), generate


@intrinsic
def _store_bf16(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        rounded = builder.lshr(_round_to_bf16(builder, arguments[2]), _splat_constant(_BF16_SHIFT, VECTOR_I32))
        bits = builder.trunc(rounded, _VECTOR_I16)
        masked_store(builder, arguments[0], arguments[1], bits, lane_mask(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, FLOAT32X16, types.int64), generate


@intrinsic
def load_int32(typing: Any, address: Any, index: Any, count: Any) -> Any:
    """Load int32 numbers as float32; otherwise like `load`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        bits = masked_load(builder, arguments[0], arguments[1], lane_mask(builder, arguments[2]), VECTOR_F32)
        return builder.sitofp(builder.bitcast(bits, VECTOR_I32), VECTOR_F32)

    return FLOAT32X16(types.int64, types.int64, types.int64), generate


@intrinsic
def store_int8(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    """Store integers from -128 to 127 as int8; otherwise like `store`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        small = builder.trunc(builder.fptosi(arguments[2], VECTOR_I32), _VECTOR_I8)
        masked_store(builder, arguments[0], arguments[1], small, lane_mask(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, FLOAT32X16, types.int64), generate


@inlined
def load(address: int, index: int, count: int, bf16: bool) -> Any:
    """Load up to sixteen elements from `index` on; lanes from `count` on are zero."""
    return _load_bf16(address, index, count) if bf16 else _load_f32(address, index, count)


@inlined
def store(address: int, index: int, vector: Any, count: int, bf16: bool) -> None:
    """Store the first `count` lanes from `index` on."""
    if bf16:
        _store_bf16(address, index, vector, count)
    else:
        _store_f32(address, index, vector, count)


@inlined
def offset(address: int, index: int, bf16: bool) -> int:
    """Return the address of the element at `index`."""
    return address + index * (2 if bf16 else 4)


@intrinsic
def read_float32(typing: Any, address: Any, index: Any) -> Any:
    """Read one float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.load(element_pointer(builder, arguments[0], arguments[1], _FLOAT, _FLOAT))

    return types.float32(types.int64, types.int64), generate


@intrinsic
def write_float32(typing: Any, address: Any, index: Any, number: Any) -> Any:
    """Write one float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        builder.store(arguments[2], element_pointer(builder, arguments[0], arguments[1], _FLOAT, _FLOAT))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def read_int64(typing: Any, address: Any, index: Any) -> Any:
    """Read one int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.load(element_pointer(builder, arguments[0], arguments[1], _LONG, _LONG))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def write_int64(typing: Any, address: Any, index: Any, number: Any) -> Any:
    """Write one int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        builder.store(arguments[2], element_pointer(builder, arguments[0], arguments[1], _LONG, _LONG))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def broadcast(typing: Any, value: Any) -> Any:
    """Return a vector with a float32 in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return splat(builder, arguments[0], VECTOR_F32)

    return FLOAT32X16(types.float32), generate


@intrinsic
def round_nearest(typing: Any, vector: Any) -> Any:
    """Round each lane to the nearest integer, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.FunctionType(VECTOR_F32, [VECTOR_F32])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nearbyint.v{WIDTH}f32")
        return builder.call(function, arguments)

    return FLOAT32X16(FLOAT32X16), generate


@intrinsic
def exp2(typing: Any, exponents: Any) -> Any:
    """Compute 2 to the power of each lane; the lanes hold integers from -126 to 127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        biased = builder.add(builder.fptosi(arguments[0], VECTOR_I32), _splat_constant(_EXPONENT_BIAS, VECTOR_I32))
        return builder.bitcast(builder.shl(biased, _splat_constant(_MANTISSA_BITS, VECTOR_I32)), VECTOR_F32)

    return FLOAT32X16(FLOAT32X16), generate


@intrinsic
def clamp(typing: Any, vector: Any, limit: Any) -> Any:
    """Clamp each lane between -limit and limit; NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        value, limit = arguments[0], splat(builder, arguments[1], VECTOR_F32)
        value = builder.select(builder.fcmp_ordered(">", value, limit), limit, value)
        lower = builder.fsub(_splat_constant(0.0, VECTOR_F32), limit)
        return builder.select(builder.fcmp_ordered("<", value, lower), lower, value)

    return FLOAT32X16(FLOAT32X16, types.float32), generate


@intrinsic
def pack_bf16_pairs(typing: Any, low: Any, high: Any) -> Any:
    """Round two vectors to bfloat16 and pack each pair of lanes into 32 bits, `low` in the lower half."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        low, high = (_round_to_bf16(builder, vector) for vector in arguments)
        high = builder.and_(high, _splat_constant(-1 << _BF16_SHIFT, VECTOR_I32))
        return builder.bitcast(
            builder.or_(builder.lshr(low, _splat_constant(_BF16_SHIFT, VECTOR_I32)), high), VECTOR_F32
        )

    return FLOAT32X16(FLOAT32X16, FLOAT32X16), generate


@intrinsic
def maximum(typing: Any, first: Any, second: Any) -> Any:
    """Return the larger of both in each lane; `second` where `first` is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return FLOAT32X16(FLOAT32X16, FLOAT32X16), generate


def _define_reduction(name: str, *start: float) -> Any:
    """Return an intrinsic that reduces a vector to one float32 by LLVM's reduction `name`."""

    @intrinsic
    def reduce(typing: Any, vector: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            parts = [*(ir.Constant(_FLOAT, number) for number in start), *arguments]
            kind = ir.FunctionType(_FLOAT, [part.type for part in parts])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.{name}.v{WIDTH}f32")
            return builder.call(function, parts, fastmath=("reassoc",))

        return types.float32(FLOAT32X16), generate

    return reduce


reduce_max = _define_reduction("fmax")
"""Return the largest lane."""

reduce_sum = _define_reduction("fadd", -0.0)
"""Return the sum of all lanes."""


MAX_EXPONENT = np.float32(30.0)
"""Arguments of e^x are clamped to +-MAX_EXPONENT: beyond it, sigmoid and tanh are constant in float32."""

_PER_LN2 = np.float32(1 / math.log(2))
_LN2_HIGH = np.float32(0.693359375)  # few bits, so that its product with n is exact
_LN2_LOW = np.float32(math.log(2) - 0.693359375)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(i)) for i in range(2, 8))
_ONE, _TWO, _ZERO = np.float32(1), np.float32(2), np.float32(0)


@inlined
def _split_power(x: Any) -> Any:
    """Compute 2^n and 2^n p(r)."""
    x = clamp(x, MAX_EXPONENT)
    n = round_nearest(x * broadcast(_PER_LN2))
    r = x - n * broadcast(_LN2_HIGH) - n * broadcast(_LN2_LOW)
    series = broadcast(_C6) + r * broadcast(_C7)
    series = broadcast(_C5) + r * series
    series = broadcast(_C4) + r * series
    series = broadcast(_C3) + r * series
    series = broadcast(_C2) + r * series
    scale = exp2(n)
    return scale, scale * (r + r * r * series)


@inlined
def exp(x: Any) -> Any:
    """Compute e^x."""
    scale, rest = _split_power(x)
    return scale + rest


@inlined
def expm1(x: Any) -> Any:
    """Compute e^x - 1."""
    scale, rest = _split_power(x)
    return rest + (scale - broadcast(_ONE))


@inlined
def sigmoid(x: Any) -> Any:
    """Compute the logistic function."""
    return broadcast(_ONE) / (broadcast(_TWO) + expm1(broadcast(_ZERO) - x))


@inlined
def tanh(x: Any) -> Any:
    """Compute the hyperbolic tangent."""
    power = expm1(x + x)
    return power / (power + broadcast(_TWO))
