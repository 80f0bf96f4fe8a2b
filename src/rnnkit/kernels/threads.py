"""Compiled kernels on torch's own threads.

Between two pieces of work torch's CPU threads wait in a busy loop. Threads of our own would have to share the cores
with them and lose half their time; so kernels join torch's, by the entry that compilers use for OpenMP's parallel
regions. Where torch was built without it, the calling thread does the work alone.

Work is cut into shares beforehand; each thread claims the next one until none is left. Which thread does which share
changes no result.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic
from torch import Tensor

from rnnkit.kernels.compiler import Compiler, cache_on_disk
from rnnkit.kernels.openmp import parallel_region

Kernel = Callable[[Any], None]
"""`kernel(job)`, in Python that Numba compiles: claims shares of the job until none is left."""

TASKS, FIRST_FIELD = 1, 2
"""Where in a job the number of shares stands, and the first of the kernel's own fields."""

_SOURCE_DIR = Path(__file__).parent
_SIGNATURE = types.void(types.CPointer(types.int64))


@intrinsic
def next_task(typing: Any, job: Any) -> Any:
    """The number of the next share; not less than the number of shares where none is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.atomic_rmw("add", arguments[0], ir.IntType(64)(1), "seq_cst")

    return types.int64(job), generate


inlined = Compiler(_SOURCE_DIR, counted=False).inlined
"""Compile what a kernel calls: it becomes part of the kernel."""


def parallel_for(kernel: Kernel, fields: Sequence[int | Tensor], shares: int) -> None:
    """Do all shares of some work.

    Args:
        kernel: What does it.
        fields: Numbers, and contiguous tensors, of which the kernel gets the address.
        shares: How many shares there are.
    """
    numbers = [field if isinstance(field, int) else field.data_ptr() for field in fields]
    job = (ctypes.c_int64 * (FIRST_FIELD + len(numbers)))(0, shares, *numbers)
    entry, parallel = _compile(kernel).ctypes, parallel_region()
    threads = min(shares, torch.get_num_threads())
    if threads <= 1 or parallel is None:
        entry(ctypes.cast(job, ctypes.POINTER(ctypes.c_int64)))
    else:
        parallel(entry, job, threads, 0)


@cache
def _compile(kernel: Kernel) -> Any:
    """The kernel as a C function, from the disk where it was compiled before."""
    compiled = CFunc(kernel, (_SIGNATURE.args, _SIGNATURE.return_type), locals={}, options={"error_model": "numpy"})
    cache_on_disk(compiled, _SOURCE_DIR)
    compiled.compile()
    return compiled
