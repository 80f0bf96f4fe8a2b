"""How the kernels of word embeddings are compiled: for this machine, at the first call, and then kept on disk.

Threads run a kernel side by side, as it holds no lock of the interpreter. Sums may be reordered, as vector registers
need it; a number that is none stays so, for the loop to notice.

A kernel allocates nothing and returns no array, so Numba need not count references to arrays (`_nrt`), which it would
do for each slice of one. Without that, and with what is called in every window made part of its caller, training is
30 % faster.
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
    compiled = _compile(function)
    _keep_on_disk(compiled)
    return compiled


def inlined(function: F) -> F:
    """Compile what a kernel calls in every window: it becomes part of its caller, as a call costs more than it does."""
    return _compile(function, forceinline=True)


def _compile(function: F, forceinline: bool = False) -> F:
    compile_with = numba.njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=forceinline, _nrt=False)
    compiled: F = compile_with(function)
    return compiled


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
