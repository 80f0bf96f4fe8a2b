"""A barrier for threads that run a kernel together: none continues before all have arrived.

The threads must be in the kernel at the same time, without the interpreter's lock. Arrivals are counted by atomic
increments. A thread that waits spins for some microseconds, and then sleeps between two looks, so that threads that
have to share a core proceed.
"""

from __future__ import annotations

from typing import Final

from llvmlite import ir
from numba import types
from numba.core import cgutils

from rnnkit.kernels.compiler import Int64Array, emit
from rnnkit.kernels.word_vector_simd import inlined

RELEASED: Final = 1 << 62
"""A number of arrivals that lets all threads pass, for the case that one of them cannot be started."""

_SPINS: Final = 20_000
_SLEEP_MICROSECONDS: Final = 20
_INT, _LONG, _LONG_BYTES = ir.IntType(32), ir.IntType(64), 8


@emit(types.int64, None)
def _arrive(builder: ir.IRBuilder, arrivals: ir.Value) -> ir.Value:
    """Count an arrival; return the number of those before."""
    return builder.atomic_rmw("add", arrivals, _LONG(1), "acq_rel")


@emit(types.int64, None)
def _read(builder: ir.IRBuilder, arrivals: ir.Value) -> ir.Value:
    """Return the number of arrivals."""
    return builder.load_atomic(arrivals, "acquire", _LONG_BYTES)


@emit(types.void)
def _sleep(builder: ir.IRBuilder) -> None:
    """Sleep for some microseconds."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INT, [_INT]), "usleep")
    builder.call(function, [_INT(_SLEEP_MICROSECONDS)])


@inlined
def wait_for_all(arrivals: Int64Array, threads: int) -> None:
    """Wait until all threads have called this equally often.

    Args:
        arrivals: One number that the threads share, 0 at first.
        threads: Number of threads.
    """
    last = min((_arrive(arrivals) // threads + 1) * threads, RELEASED)
    spins = 0
    while _read(arrivals) < last:
        spins += 1
        if spins > _SPINS:
            _sleep()
