"""How the kernels of n-grams are compiled: at the first call, for this machine, and then kept on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile what Python calls. It may call only kernels of its own file: Numba looks for changes nowhere else."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # there is no folder to write to, so that each process compiles for itself
        compiled.enable_caching()
    result: F = compiled
    return result


def inlined(function: F) -> F:
    """Compile what a kernel calls for every word: it becomes part of its caller."""
    result: F = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return result
