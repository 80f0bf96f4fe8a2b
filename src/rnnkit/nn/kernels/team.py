"""Compiled kernels on torch's own threads.

Between two pieces of work torch's CPU threads wait in a busy loop. Threads of our own would have to share the cores
with them and lose half their time; so kernels join torch's, by the entry that compilers use for OpenMP's parallel
regions. Where torch was built without it, the calling thread does the work alone.

Work is cut into shares beforehand; each thread claims the next one until none is left. Which thread does which share
changes no result.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
import torch
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic
from torch import Tensor

Kernel = Callable[[Any], None]
"""`kernel(job)`, in Python that Numba compiles: claims shares of the job until none is left."""

SHARES, FIELDS = 1, 2
"""Where in a job the number of shares stands, and the first of the kernel's own fields."""

_SIGNATURE = types.void(types.CPointer(types.int64))


@intrinsic
def claim(typing: Any, job: Any) -> Any:
    """The number of the next share; not less than the number of shares where none is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.atomic_rmw("add", arguments[0], ir.IntType(64)(1), "seq_cst")

    return types.int64(job), generate


def inlined(function: Callable[..., Any]) -> Any:
    """Compile what a kernel calls: it becomes part of the kernel."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)(function)


def run(kernel: Kernel, fields: Sequence[int | Tensor], shares: int) -> None:
    """Do all shares of some work.

    Args:
        kernel: What does it.
        fields: Numbers, and contiguous tensors, of which the kernel gets the address.
        shares: How many shares there are.
    """
    numbers = [field if isinstance(field, int) else field.data_ptr() for field in fields]
    job = (ctypes.c_int64 * (FIELDS + len(numbers)))(0, shares, *numbers)
    entry, parallel = _compile(kernel).ctypes, _parallel_region()
    threads = min(shares, torch.get_num_threads())
    if threads <= 1 or parallel is None:
        entry(ctypes.cast(job, ctypes.POINTER(ctypes.c_int64)))
    else:
        parallel(entry, job, threads, 0)


def reaches_torchs_threads() -> bool:
    """Whether more threads than the caller's own take part."""
    return _parallel_region() is not None


@cache
def _parallel_region() -> Any:
    """`GOMP_parallel(function, argument, threads, flags)` of the OpenMP that torch runs on, or None."""
    try:
        function = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@cache
def _compile(kernel: Kernel) -> Any:
    """The kernel as a C function, from the disk where it was compiled before."""
    compiled = CFunc(kernel, (_SIGNATURE.args, _SIGNATURE.return_type), locals={}, options={"error_model": "numpy"})
    try:
        compiled.enable_caching()
    except RuntimeError:  # there is no folder to write to, so that each process compiles for itself
        pass
    else:
        # Numba compiles anew once a kernel's own file has changed, but what became part of the kernel stands in others.
        file = cast(Any, compiled)._cache._cache_file
        file._source_stamp = (file._source_stamp, _hash_sources())
    compiled.compile()
    return compiled


@cache
def _hash_sources() -> str:
    """A hash of everything that may be part of a kernel."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
