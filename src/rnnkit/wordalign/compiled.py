"""How the kernels of word alignment are compiled: at the first call, for this machine, and then kept on disk.

Threads run a kernel side by side, as it holds no lock of the interpreter. Sums may be reordered, as vector registers
need it, but always in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

_FAST = {"nsz", "arcp", "contract", "reassoc"}

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile what Python calls."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=_FAST)(function)
    _keep_on_disk(compiled)
    result: F = compiled
    return result


def inlined(function: F) -> F:
    """Compile what a kernel calls: it becomes part of its caller."""
    result: F = numba.njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)(function)
    return result


def _keep_on_disk(compiled: Any) -> None:
    try:
        compiled.enable_caching()
    except RuntimeError:  # there is no folder to write to, so that each process compiles for itself
        return
    # Numba compiles anew once a kernel's own file has changed, but what became part of the kernel stands in others.
    file = compiled._cache._cache_file
    file._source_stamp = (file._source_stamp, _hash_sources())


@cache
def _hash_sources() -> str:
    """A hash of everything that may be part of a kernel."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
