"""How kernels are compiled by Numba: at the first call, for this machine, and then kept on disk.

Threads run a kernel side by side, as it holds no lock of the interpreter. Each room that has kernels says in its own
`compiled.py` what they may rely on.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import types
from numba.extending import lower_builtin, type_callable

from rnnkit.errors import ConfigError

_REORDERED = {"nsz", "arcp", "contract", "reassoc"}
"""Of `fastmath` what lets sums be reordered; a number that is none stays so, for whoever looks to notice."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Compiler:
    """What the kernels of a room may rely on.

    Attributes:
        room: The folder of their sources.
        reordered: Sums may be reordered, as vector registers need it; always in the same way.
        counted: Kernels make or return arrays, so that Numba counts references to them, for each slice too.
    """

    room: Path
    reordered: bool = False
    counted: bool = True

    def kernel(self, function: F) -> F:
        """Compile what Python calls."""
        compiled = self._compile(function, forceinline=False)
        keep_on_disk(compiled, self.room)
        return compiled

    def inlined(self, function: F) -> F:
        """Compile what a kernel calls for every word: it becomes part of its caller, as a call costs more than that."""
        return self._compile(function, forceinline=True)

    def _compile(self, function: F, forceinline: bool) -> F:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": forceinline}
        options |= {"fastmath": _REORDERED} if self.reordered else {}
        options |= {} if self.counted else {"_nrt": False}
        if numba.config.DISABLE_JIT:
            raise ConfigError("NUMBA_DISABLE_JIT keeps kernels from being compiled", hint="unset NUMBA_DISABLE_JIT")
        compiled: F = numba.njit(**options)(function)
        return compiled


def keep_on_disk(compiled: Any, room: Path) -> None:
    """Let Numba find a kernel on the disk where it was compiled before from the same sources, those of its room."""
    try:
        compiled.enable_caching()
    except RuntimeError:  # there is no folder to write to, so that each process compiles for itself
        return
    # Numba compiles anew once a kernel's own file has changed, but what became part of the kernel stands in others.
    file = compiled._cache._cache_file
    file._source_stamp = (file._source_stamp, _hash_sources(room))


@cache
def _hash_sources(room: Path) -> str:
    """A hash of everything that may be part of a kernel."""
    sources = [Path(__file__), *sorted(room.glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def define_operators(lanes: type[types.Type], flags: Sequence[str]) -> None:
    """Let `+`, `-`, `*` and `/` of two vectors be one instruction each.

    Args:
        lanes: The vectors' class; both have to be of one type.
        flags: LLVM's, for what the instruction may do to the result.
    """
    for symbol, instruction in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):
        _define_operator(lanes, symbol, instruction, flags)


def _define_operator(
    lanes: type[types.Type], symbol: Callable[[Any, Any], Any], instruction: str, flags: Sequence[str]
) -> None:
    def type_of(context: Any) -> Callable[[Any, Any], Any]:
        return lambda a, b: a if isinstance(a, lanes) and a is b else None

    def lower(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return getattr(builder, instruction)(*arguments, flags=flags)

    type_callable(symbol)(type_of)
    lower_builtin(symbol, lanes, lanes)(lower)
