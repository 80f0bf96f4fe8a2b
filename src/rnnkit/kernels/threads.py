"""Run compiled kernels in parallel on torch's own threads.

Between two pieces of work, torch's CPU threads spin in a busy loop. Threads of our own would compete with them for the
cores and lose half their time. Kernels therefore join torch's OpenMP team, through the entry point that compilers emit
for parallel regions (`GOMP_parallel`). If torch was built without it, the calling thread does all the work.

Work is split into tasks beforehand, and each thread takes the next task until none is left (dynamic scheduling). Which
thread runs a task does not change any result.

A kernel is a Python function of one argument, `args`, a pointer to int64: the arguments block. Its first two fields are
the task counter and the number of tasks; the kernel's own fields follow from `FIRST_FIELD` on. They are integers and
the addresses of tensors, as a struct in C would hold them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from torch import Tensor

from rnnkit.kernels.compiler import Compiler, cache_on_disk, emit
from rnnkit.kernels.dispatch import parallel_region

Arguments = Sequence[int]
"""The arguments block, as a kernel sees it."""

Kernel = Callable[[Arguments], None]
"""`kernel(args)`, a Python function for Numba: runs tasks until none is left."""

TASKS, FIRST_FIELD = 1, 2
"""Index in an arguments block of the number of tasks, and of the kernel's first own field."""

_SOURCE_DIR = Path(__file__).parent
_SIGNATURE = types.void(types.CPointer(types.int64))


@emit(types.int64, types.CPointer(types.int64))
def next_task(builder: ir.IRBuilder, args: ir.Value) -> ir.Value:
    """Take the next task by an atomic increment; return its number, at least `args[TASKS]` if none is left."""
    return builder.atomic_rmw("add", args, ir.IntType(64)(1), "seq_cst")


inlined = Compiler(_SOURCE_DIR, allocates=False).inlined
"""Decorator for functions that kernels call; they become part of the kernel."""


def parallel_for(kernel: Kernel, fields: Sequence[int | Tensor], tasks: int) -> None:
    """Run all tasks of a kernel, on as many threads as torch uses.

    Args:
        kernel: The kernel.
        fields: The kernel's own fields: integers, and contiguous tensors, which are passed by address.
        tasks: Number of tasks.
    """
    numbers = [field if isinstance(field, int) else field.data_ptr() for field in fields]
    args = (ctypes.c_int64 * (FIRST_FIELD + len(numbers)))(0, tasks, *numbers)
    entry, parallel = _compile(kernel).ctypes, parallel_region()
    threads = min(tasks, torch.get_num_threads())
    if threads <= 1 or parallel is None:
        entry(ctypes.cast(args, ctypes.POINTER(ctypes.c_int64)))
    else:
        parallel(entry, args, threads, 0)


@cache
def _compile(kernel: Kernel) -> CFunc:
    """Compile a kernel to a C function, or load it from the disk cache."""
    compiled = CFunc(kernel, (_SIGNATURE.args, _SIGNATURE.return_type), locals={}, options={"error_model": "numpy"})
    cache_on_disk(compiled, _SOURCE_DIR)
    compiled.compile()
    return compiled
