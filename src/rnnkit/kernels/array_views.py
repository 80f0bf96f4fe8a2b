"""Arrays over memory whose address a kernel gets, for kernels in plain loops; nothing is copied or checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types

from rnnkit.kernels.compiler import Compiler, emit

inlined = Compiler(Path(__file__).parent).inlined
"""Decorator for functions that such kernels call."""


def _define_view(element: types.Type, kind: ir.Type) -> Callable[[int, tuple[int, ...]], Any]:
    """Return a function for kernels that makes an array of an address and a shape."""

    @emit(types.CPointer(element), types.int64)
    def pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
        return builder.inttoptr(address, kind.as_pointer())

    @inlined
    def view(address: int, shape: tuple[int, ...]) -> Any:
        return numba.carray(pointer(address), shape)

    return view


float32_array = _define_view(types.float32, ir.FloatType())
float64_array = _define_view(types.float64, ir.DoubleType())
int64_array = _define_view(types.int64, ir.IntType(64))
"""`int64_array(address, shape)` is a contiguous array of int64 in kernels."""
