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
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import DataModelManager
from numba.extending import models, register_model

from rnnkit.kernels.compiler import VectorType, define_operators, emit
from rnnkit.kernels.threads import inlined

WIDTH = 16

CONTRACT = ("contract",)  # LLVM may fuse a multiplication and an addition; it may not reorder anything
_FLOAT, _INT, _LONG, _SHORT, _BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(16), ir.IntType(8)
VECTOR_F32, VECTOR_I32, _VECTOR_I16, _VECTOR_I8 = (ir.VectorType(kind, WIDTH) for kind in (_FLOAT, _INT, _SHORT, _BYTE))
_MASK = ir.VectorType(ir.IntType(1), WIDTH)
_LANE_IDS = ir.Constant(VECTOR_I32, list(range(WIDTH)))
_MANTISSA_BITS, _EXPONENT_BIAS, _BF16_SHIFT = 23, 127, 16  # of a float32; bits that bfloat16 lacks


class Float32x16(VectorType):
    """A vector of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Float32x16")


@register_model(Float32x16)
class _Float32x16Model(models.PrimitiveModel):
    def __init__(self, manager: DataModelManager, lanes: Float32x16) -> None:
        super().__init__(manager, lanes, VECTOR_F32)


FLOAT32X16 = Float32x16()

define_operators(Float32x16, CONTRACT)


def _splat_constant(value: float, kind: ir.VectorType) -> ir.Constant:
    """Return a vector with a constant in every lane."""
    return ir.Constant(kind, [value] * WIDTH)


def splat(builder: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    """Emit a vector with `value` in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(first, first, _splat_constant(0, VECTOR_I32))


def lane_mask(builder: ir.IRBuilder, count: ir.Value) -> ir.Value:
    """Emit a mask that is true in the first `count` lanes."""
    return builder.icmp_signed("<", _LANE_IDS, splat(builder, builder.trunc(count, _INT), VECTOR_I32))


def element_pointer(
    builder: ir.IRBuilder, address: ir.Value, index: ir.Value, element: ir.Type, kind: ir.Type
) -> ir.Value:
    """Emit a pointer of type `kind` to the element at `index` from an address."""
    elements = builder.inttoptr(address, element.as_pointer())
    return builder.bitcast(builder.gep(elements, [index]), kind.as_pointer())


def masked_load(
    builder: ir.IRBuilder, address: ir.Value, index: ir.Value, mask: ir.Value, kind: ir.VectorType
) -> ir.Value:
    """Emit the load of a vector of type `kind`, with zeros where the mask is false."""
    pointer = element_pointer(builder, address, index, kind.element, kind)
    name = f"llvm.masked.load.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [pointer.type, _INT, _MASK, kind]), name
    )
    return builder.call(function, [pointer, _INT(_element_bytes(kind)), mask, _splat_constant(0, kind)])


def masked_store(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, vector: ir.Value, mask: ir.Value) -> None:
    """Emit the store of a vector where the mask is true."""
    kind = vector.type
    pointer = element_pointer(builder, address, index, kind.element, kind)
    name = f"llvm.masked.store.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [kind, pointer.type, _INT, _MASK]), name
    )
    builder.call(function, [vector, pointer, _INT(_element_bytes(kind)), mask])


def _element_bytes(kind: ir.VectorType) -> int:
    return 4 if kind is VECTOR_F32 else kind.element.width // 8


def _suffix(kind: ir.VectorType) -> str:
    """Return the lane type as in the names of LLVM's intrinsics."""
    return "f32" if kind is VECTOR_F32 else f"i{kind.element.width}"


def _round_to_bf16(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Emit the bits of each lane rounded to bfloat16, in the upper half: to nearest, ties to even; NaN stays NaN."""
    bits = builder.bitcast(vector, VECTOR_I32)
    odd = builder.and_(builder.lshr(bits, _splat_constant(_BF16_SHIFT, VECTOR_I32)), _splat_constant(1, VECTOR_I32))
    rounded = builder.add(builder.add(bits, _splat_constant(0x7FFF, VECTOR_I32)), odd)
    is_number = builder.fcmp_ordered("ord", vector, vector)
    return builder.select(is_number, rounded, bits)


@emit(FLOAT32X16, types.int64, types.int64, types.int64)
def _load_f32(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, count: ir.Value) -> ir.Value:
    return masked_load(builder, address, index, lane_mask(builder, count), VECTOR_F32)


@emit(FLOAT32X16, types.int64, types.int64, types.int64)
def _load_bf16(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, count: ir.Value) -> ir.Value:
    bits = masked_load(builder, address, index, lane_mask(builder, count), _VECTOR_I16)
    upper = builder.shl(builder.zext(bits, VECTOR_I32), _splat_constant(_BF16_SHIFT, VECTOR_I32))
    return builder.bitcast(upper, VECTOR_F32)


@emit(types.void, types.int64, types.int64, FLOAT32X16, types.int64)
def _store_f32(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, vector: ir.Value, count: ir.Value) -> None:
    masked_store(builder, address, index, vector, lane_mask(builder, count))


@emit(types.void, types.int64, types.int64, FLOAT32X16, types.int64)
def _store_bf16(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, vector: ir.Value, count: ir.Value) -> None:
    rounded = builder.lshr(_round_to_bf16(builder, vector), _splat_constant(_BF16_SHIFT, VECTOR_I32))
    bits = builder.trunc(rounded, _VECTOR_I16)
    masked_store(builder, address, index, bits, lane_mask(builder, count))


@emit(FLOAT32X16, types.int64, types.int64, types.int64)
def load_int32(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, count: ir.Value) -> ir.Value:
    """Load int32 numbers as float32; otherwise like `load`."""
    bits = masked_load(builder, address, index, lane_mask(builder, count), VECTOR_F32)
    return builder.sitofp(builder.bitcast(bits, VECTOR_I32), VECTOR_F32)


@emit(types.void, types.int64, types.int64, FLOAT32X16, types.int64)
def store_int8(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, vector: ir.Value, count: ir.Value) -> None:
    """Store integers from -128 to 127 as int8; otherwise like `store`."""
    small = builder.trunc(builder.fptosi(vector, VECTOR_I32), _VECTOR_I8)
    masked_store(builder, address, index, small, lane_mask(builder, count))


@inlined
def load(address: int, index: int, count: int, bf16: bool) -> Float32x16:
    """Load up to sixteen elements from `index` on; lanes from `count` on are zero."""
    return _load_bf16(address, index, count) if bf16 else _load_f32(address, index, count)


@inlined
def store(address: int, index: int, vector: Float32x16, count: int, bf16: bool) -> None:
    """Store the first `count` lanes from `index` on."""
    if bf16:
        _store_bf16(address, index, vector, count)
    else:
        _store_f32(address, index, vector, count)


@inlined
def offset(address: int, index: int, bf16: bool) -> int:
    """Return the address of the element at `index`."""
    return address + index * (2 if bf16 else 4)


@emit(types.float32, types.int64, types.int64)
def read_float32(builder: ir.IRBuilder, address: ir.Value, index: ir.Value) -> ir.Value:
    """Read one float32."""
    return builder.load(element_pointer(builder, address, index, _FLOAT, _FLOAT))


@emit(types.void, types.int64, types.int64, types.float32)
def write_float32(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, number: ir.Value) -> None:
    """Write one float32."""
    builder.store(number, element_pointer(builder, address, index, _FLOAT, _FLOAT))


@emit(types.int64, types.int64, types.int64)
def read_int64(builder: ir.IRBuilder, address: ir.Value, index: ir.Value) -> ir.Value:
    """Read one int64."""
    return builder.load(element_pointer(builder, address, index, _LONG, _LONG))


@emit(types.void, types.int64, types.int64, types.int64)
def write_int64(builder: ir.IRBuilder, address: ir.Value, index: ir.Value, number: ir.Value) -> None:
    """Write one int64."""
    builder.store(number, element_pointer(builder, address, index, _LONG, _LONG))


@emit(FLOAT32X16, types.float32)
def broadcast(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return a vector with a float32 in every lane."""
    return splat(builder, value, VECTOR_F32)


@emit(FLOAT32X16, FLOAT32X16)
def round_nearest(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Round each lane to the nearest integer, ties to even."""
    kind = ir.FunctionType(VECTOR_F32, [VECTOR_F32])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nearbyint.v{WIDTH}f32")
    return builder.call(function, [vector])


@emit(FLOAT32X16, FLOAT32X16)
def exp2(builder: ir.IRBuilder, exponents: ir.Value) -> ir.Value:
    """Compute 2 to the power of each lane; the lanes hold integers from -126 to 127."""
    biased = builder.add(builder.fptosi(exponents, VECTOR_I32), _splat_constant(_EXPONENT_BIAS, VECTOR_I32))
    return builder.bitcast(builder.shl(biased, _splat_constant(_MANTISSA_BITS, VECTOR_I32)), VECTOR_F32)


@emit(FLOAT32X16, FLOAT32X16, types.float32)
def clamp(builder: ir.IRBuilder, vector: ir.Value, limit: ir.Value) -> ir.Value:
    """Clamp each lane between -limit and limit; NaN stays NaN."""
    limit = splat(builder, limit, VECTOR_F32)
    value = builder.select(builder.fcmp_ordered(">", vector, limit), limit, vector)
    lower = builder.fsub(_splat_constant(0.0, VECTOR_F32), limit)
    return builder.select(builder.fcmp_ordered("<", value, lower), lower, value)


@emit(FLOAT32X16, FLOAT32X16, FLOAT32X16)
def pack_bf16_pairs(builder: ir.IRBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    """Round two vectors to bfloat16 and pack each pair of lanes into 32 bits, `low` in the lower half."""
    low, high = (_round_to_bf16(builder, vector) for vector in (low, high))
    high = builder.and_(high, _splat_constant(-1 << _BF16_SHIFT, VECTOR_I32))
    return builder.bitcast(builder.or_(builder.lshr(low, _splat_constant(_BF16_SHIFT, VECTOR_I32)), high), VECTOR_F32)


@emit(FLOAT32X16, FLOAT32X16, FLOAT32X16)
def maximum(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    """Return the larger of both in each lane; `second` where `first` is NaN."""
    return builder.select(builder.fcmp_ordered(">", first, second), first, second)


def _define_reduction(name: str, *start: float) -> Callable[[Float32x16], np.float32]:
    """Return an intrinsic that reduces a vector to one float32 by LLVM's reduction `name`."""

    @emit(types.float32, FLOAT32X16)
    def reduce(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
        parts = [*(ir.Constant(_FLOAT, number) for number in start), vector]
        kind = ir.FunctionType(_FLOAT, [part.type for part in parts])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.{name}.v{WIDTH}f32")
        return builder.call(function, parts, fastmath=("reassoc",))

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
def _split_power(x: Float32x16) -> tuple[Float32x16, Float32x16]:
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
def exp(x: Float32x16) -> Float32x16:
    """Compute e^x."""
    scale, rest = _split_power(x)
    return scale + rest


@inlined
def expm1(x: Float32x16) -> Float32x16:
    """Compute e^x - 1."""
    scale, rest = _split_power(x)
    return rest + (scale - broadcast(_ONE))


@inlined
def sigmoid(x: Float32x16) -> Float32x16:
    """Compute the logistic function."""
    return broadcast(_ONE) / (broadcast(_TWO) + expm1(broadcast(_ZERO) - x))


@inlined
def tanh(x: Float32x16) -> Float32x16:
    """Compute the hyperbolic tangent."""
    power = expm1(x + x)
    return power / (power + broadcast(_TWO))
