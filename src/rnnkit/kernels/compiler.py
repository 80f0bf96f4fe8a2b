"""How kernels are compiled by Numba: at the first call, for this machine, and then kept on disk.

Threads run a kernel side by side, as it holds no lock of the interpreter. Each room that has kernels says in its own
`compiled.py` what they may rely on.
"""

from __future__ import annotations

import hashlib
import operator
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
from numba import types
from numba.core import caching, compiler
from numba.core.serialize import dumps
from numba.extending import lower_builtin, type_callable

from rnnkit.errors import ConfigError
from rnnkit.kernels import kernel_cache

_REASSOCIATION_FLAGS = {"nsz", "arcp", "contract", "reassoc"}
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
        cache_on_disk(compiled, self.room)
        return compiled

    def inlined(self, function: F) -> F:
        """Compile what a kernel calls for every word: it becomes part of its caller, as a call costs more than that."""
        return self._compile(function, forceinline=True)

    def _compile(self, function: F, forceinline: bool) -> F:
        require_compiler()
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": forceinline}
        options |= {"fastmath": _REASSOCIATION_FLAGS} if self.reordered else {}
        options |= {} if self.counted else {"_nrt": False}
        if numba.config.DISABLE_JIT:
            raise ConfigError("NUMBA_DISABLE_JIT keeps kernels from being compiled", hint="unset NUMBA_DISABLE_JIT")
        compiled: F = numba.njit(**options)(function)
        return compiled


def require_compiler() -> None:
    """Raise ConfigError where the environment switches the compiler off."""
    if numba.config.DISABLE_JIT:
        raise ConfigError(
            "NUMBA_DISABLE_JIT switches off the compiler that rnnkit's kernels need", hint="unset NUMBA_DISABLE_JIT"
        )


def cache_on_disk(compiled: Any, room: Path) -> None:
    """Let Numba find a kernel on the disk where it was compiled before from the same sources, those of its room."""
    function = compiled.py_func if hasattr(compiled, "py_func") else compiled._pyfunc
    compiled._cache = DiskCache(function, room)


class DiskCache:
    """Takes the place of Numba's own cache of a function, whose files may be anyone's and are never checked.

    It fits the interface by its shape (`numba.core.caching._Cache`). Whatever goes wrong, the kernel is compiled.

    Args:
        function: The kernel in Python.
        room: The folder of its sources.
    """

    def __init__(self, function: Callable[..., Any], room: Path) -> None:
        self._function = function
        self._room = room

    @property
    def cache_path(self) -> str:
        """The folder of the files."""
        return str(kernel_cache.cache_dir(self._store.named) or "")

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """What was compiled before for a signature; None where that is not on the disk."""
        target_context.refresh()
        name, origin = self._identify(signature, target_context.codegen())
        payload = self._store.read(name, origin)
        if payload is not None:
            # The one place where a pickle is read: what only this user can have written, its checksum being right.
            with suppress(Exception):  # written by a library that has changed and kept its version's number
                found = compiler.CompileResult._rebuild(target_context, *caching.pickle.loads(payload))
                caching._cache_log("[cache] data loaded from %r", name)
                return found
        kernel_cache.report_compilation()
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled for a signature, where it can be kept."""
        if result.library.has_dynamic_globals or any(not lifted.can_cache for lifted in result.lifted):
            return
        name, origin = self._identify(signature, result.codegen)
        self._store.write(name, origin, dumps(result._reduce()))
        caching._cache_log("[cache] data saved to %r", name)

    def flush(self) -> None:
        """Do nothing: a file that is out of date is not read, and is replaced by the next of its name."""

    enable = disable = flush

    @property
    def _store(self) -> kernel_cache.KernelStore:
        place = hashlib.sha256(str(self._room).encode()).hexdigest()[:16]
        return kernel_cache.KernelStore(str(numba.config.CACHE_DIR or ""), f"{self._room.name}-{place}")

    def _identify(self, signature: Any, codegen: Any) -> tuple[str, str]:
        """Name of the file, and the checksum of all that its content depends on.

        A new version of the sources has the same names, so that it replaces what an older one has left.
        """
        cells = [cell.cell_contents for cell in self._function.__closure__ or ()]
        kind = (
            self._function.__module__,
            self._function.__qualname__,
            signature,
            codegen.magic_tuple(),
            _VERSIONS,
            _hash(dumps(cells)),
            kernel_cache.codegen_settings(),
        )
        shown = f"{self._function.__module__.rpartition('.')[2]}.{self._function.__qualname__}"
        name = re.sub(r"[^\w.]", "", shown)[:80]
        sources = _hash_sources(self._room), _hash(self._function.__code__.co_code)
        named = _hash(repr(kind).encode())
        return f"{name}-{named[:24]}.nbc", _hash(repr((named, sources)).encode())


_VERSIONS = sys.version, numba.__version__, llvmlite.__version__


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
