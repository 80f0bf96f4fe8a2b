"""Vectors of sixteen float32 lanes inside compiled code, so that a kernel says which numbers stay in registers.

LLVM turns sixteen lanes into one AVX-512 register, two of AVX2 or four of NEON, so the same source serves all. Kernels
know memory by its address: `load(address, index, count, half)` reads up to sixteen numbers from `index` on. A count
below sixteen leaves the other lanes zero and their memory alone, so that rows need no padding; a larger one counts as
sixteen. Nothing here checks bounds. `half` says that the numbers in memory are bfloat16, the upper halves of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from rnnkit.kernels.compiler import define_operators
from rnnkit.kernels.team import inlined

WIDTH = 16

FUSED = ("contract",)  # a multiplication and an addition may be one instruction; nothing else may change
_FLOAT, _INT, _LONG, _SHORT, _BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(16), ir.IntType(8)
VECTOR, INTEGERS, _HALVES, _BYTES = (ir.VectorType(kind, WIDTH) for kind in (_FLOAT, _INT, _SHORT, _BYTE))
_MASK = ir.VectorType(ir.IntType(1), WIDTH)
_NUMBERS = ir.Constant(INTEGERS, list(range(WIDTH)))
_MANTISSA_BITS, _BIAS, _HALF_BITS = 23, 127, 16  # of a float32; bits that a bfloat16 does not have


class Lanes(types.Type):
    """The type of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="SixteenLanes")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, VECTOR)


LANES = Lanes()

define_operators(Lanes, FUSED)


def _same(value: Any, kind: Any) -> Any:
    """A vector with that constant in every lane."""
    return ir.Constant(kind, [value] * WIDTH)


def repeated(builder: Any, value: Any, kind: Any) -> Any:
    """A vector with `value` in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(first, first, _same(0, INTEGERS))


def first_lanes(builder: Any, count: Any) -> Any:
    """True in the first `count` lanes."""
    return builder.icmp_signed("<", _NUMBERS, repeated(builder, builder.trunc(count, _INT), INTEGERS))


def pointer_to(builder: Any, address: Any, index: Any, element: Any, kind: Any) -> Any:
    """A pointer to a `kind` that begins `index` elements after an address."""
    elements = builder.inttoptr(address, element.as_pointer())
    return builder.bitcast(builder.gep(elements, [index]), kind.as_pointer())


def masked_load(builder: Any, address: Any, index: Any, mask: Any, kind: Any) -> Any:
    """A vector of `kind`; zero where the mask is false."""
    pointer = pointer_to(builder, address, index, kind.element, kind)
    name = f"llvm.masked.load.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [pointer.type, _INT, _MASK, kind]), name
    )
    return builder.call(function, [pointer, _INT(_bytes(kind)), mask, _same(0, kind)])


def masked_store(builder: Any, address: Any, index: Any, vector: Any, mask: Any) -> None:
    """Write a vector where the mask is true."""
    kind = vector.type
    pointer = pointer_to(builder, address, index, kind.element, kind)
    name = f"llvm.masked.store.v{WIDTH}{_suffix(kind)}.p0"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [kind, pointer.type, _INT, _MASK]), name
    )
    builder.call(function, [vector, pointer, _INT(_bytes(kind)), mask])


def _bytes(kind: Any) -> int:
    return 4 if kind is VECTOR else kind.element.width // 8


def _suffix(kind: Any) -> str:
    """How LLVM writes a lane's type in the names of its functions."""
    return "f32" if kind is VECTOR else f"i{kind.element.width}"


def _round_to_half(builder: Any, vector: Any) -> Any:
    """The bits of each lane rounded to the nearest bfloat16, to the even one of two, in the upper half."""
    bits = builder.bitcast(vector, INTEGERS)
    odd = builder.and_(builder.lshr(bits, _same(_HALF_BITS, INTEGERS)), _same(1, INTEGERS))
    rounded = builder.add(builder.add(bits, _same(0x7FFF, INTEGERS)), odd)
    is_number = builder.fcmp_ordered("ord", vector, vector)
    return builder.select(is_number, rounded, bits)


@intrinsic
def _load_single(typing: Any, address: Any, index: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return masked_load(builder, arguments[0], arguments[1], first_lanes(builder, arguments[2]), VECTOR)

    return LANES(types.int64, types.int64, types.int64), generate


@intrinsic
def _load_half(typing: Any, address: Any, index: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        halves = masked_load(builder, arguments[0], arguments[1], first_lanes(builder, arguments[2]), _HALVES)
        upper = builder.shl(builder.zext(halves, INTEGERS), _same(_HALF_BITS, INTEGERS))
        return builder.bitcast(upper, VECTOR)

    return LANES(types.int64, types.int64, types.int64), generate


@intrinsic
def _store_single(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        masked_store(builder, arguments[0], arguments[1], arguments[2], first_lanes(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, LANES, types.int64), generate


@intrinsic
def _store_half(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        rounded = builder.lshr(_round_to_half(builder, arguments[2]), _same(_HALF_BITS, INTEGERS))
        halves = builder.trunc(rounded, _HALVES)
        masked_store(builder, arguments[0], arguments[1], halves, first_lanes(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, LANES, types.int64), generate


@intrinsic
def load_whole(typing: Any, address: Any, index: Any, count: Any) -> Any:
    """Like `load`, of int32 numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        bits = masked_load(builder, arguments[0], arguments[1], first_lanes(builder, arguments[2]), VECTOR)
        return builder.sitofp(builder.bitcast(bits, INTEGERS), VECTOR)

    return LANES(types.int64, types.int64, types.int64), generate


@intrinsic
def store_bytes(typing: Any, address: Any, index: Any, vector: Any, count: Any) -> Any:
    """Like `store`, of whole numbers from -128 to 127 in one byte each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        small = builder.trunc(builder.fptosi(arguments[2], INTEGERS), _BYTES)
        masked_store(builder, arguments[0], arguments[1], small, first_lanes(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, LANES, types.int64), generate


@inlined
def load(address: int, index: int, count: int, half: bool) -> Any:
    """The numbers from `index` on, `count` of them at most."""
    return _load_half(address, index, count) if half else _load_single(address, index, count)


@inlined
def store(address: int, index: int, vector: Any, count: int, half: bool) -> None:
    """Write the first `count` lanes to the places from `index` on."""
    if half:
        _store_half(address, index, vector, count)
    else:
        _store_single(address, index, vector, count)


@inlined
def offset(address: int, index: int, half: bool) -> int:
    """The address of the number `index` places on."""
    return address + index * (2 if half else 4)


@intrinsic
def read(typing: Any, address: Any, index: Any) -> Any:
    """One float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.load(pointer_to(builder, arguments[0], arguments[1], _FLOAT, _FLOAT))

    return types.float32(types.int64, types.int64), generate


@intrinsic
def write(typing: Any, address: Any, index: Any, number: Any) -> Any:
    """Write one float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        builder.store(arguments[2], pointer_to(builder, arguments[0], arguments[1], _FLOAT, _FLOAT))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def read_whole(typing: Any, address: Any, index: Any) -> Any:
    """One int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.load(pointer_to(builder, arguments[0], arguments[1], _LONG, _LONG))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def write_whole(typing: Any, address: Any, index: Any, number: Any) -> Any:
    """Write one int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        builder.store(arguments[2], pointer_to(builder, arguments[0], arguments[1], _LONG, _LONG))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def fill(typing: Any, value: Any) -> Any:
    """That float32 in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return repeated(builder, arguments[0], VECTOR)

    return LANES(types.float32), generate


@intrinsic
def nearest(typing: Any, vector: Any) -> Any:
    """Each lane rounded to a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nearbyint.v{WIDTH}f32")
        return builder.call(function, arguments)

    return LANES(LANES), generate


@intrinsic
def power_of_two(typing: Any, exponents: Any) -> Any:
    """2 to the power of each lane; the lanes hold whole numbers from -126 to 127."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        biased = builder.add(builder.fptosi(arguments[0], INTEGERS), _same(_BIAS, INTEGERS))
        return builder.bitcast(builder.shl(biased, _same(_MANTISSA_BITS, INTEGERS)), VECTOR)

    return LANES(LANES), generate


@intrinsic
def clip(typing: Any, vector: Any, limit: Any) -> Any:
    """Each lane brought between -limit and limit; not-a-number stays so."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        value, limit = arguments[0], repeated(builder, arguments[1], VECTOR)
        value = builder.select(builder.fcmp_ordered(">", value, limit), limit, value)
        least = builder.fsub(_same(0.0, VECTOR), limit)
        return builder.select(builder.fcmp_ordered("<", value, least), least, value)

    return LANES(LANES, types.float32), generate


@intrinsic
def pairs(typing: Any, low: Any, high: Any) -> Any:
    """Each lane's two numbers as bfloat16, side by side in its 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        low, high = (_round_to_half(builder, vector) for vector in arguments)
        high = builder.and_(high, _same(-1 << _HALF_BITS, INTEGERS))
        return builder.bitcast(builder.or_(builder.lshr(low, _same(_HALF_BITS, INTEGERS)), high), VECTOR)

    return LANES(LANES, LANES), generate


@intrinsic
def larger(typing: Any, first: Any, second: Any) -> Any:
    """The larger of both in each lane; `second` where `first` is not a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return LANES(LANES, LANES), generate


def _define_reduction(name: str, *start: float) -> Any:
    """A function from a vector to one float32, by LLVM's reduction of that name."""

    @intrinsic
    def reduce(typing: Any, vector: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            parts = [*(ir.Constant(_FLOAT, number) for number in start), *arguments]
            kind = ir.FunctionType(_FLOAT, [part.type for part in parts])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.{name}.v{WIDTH}f32")
            return builder.call(function, parts, fastmath=("reassoc",))

        return types.float32(LANES), generate

    return reduce


greatest = _define_reduction("fmax")
"""The greatest lane."""

total = _define_reduction("fadd", -0.0)
"""The sum of all lanes."""
