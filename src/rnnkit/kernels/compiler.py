"""Compile kernels with Numba: at the first call, for this machine, with a disk cache.

Kernels release the interpreter's lock, so that threads run them in parallel. A `Compiler` holds the compiler flags of a
group of kernels.
"""

from __future__ import annotations

import hashlib
import inspect
import operator
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import caching, compiler
from numba.core.base import BaseContext
from numba.core.codegen import Codegen
from numba.core.serialize import dumps
from numba.core.typing import Signature
from numba.extending import intrinsic, lower_builtin, type_callable
from numpy.typing import NDArray

from rnnkit.errors import ConfigError
from rnnkit.kernels import kernel_cache

_REASSOCIATION_FLAGS = {"nsz", "arcp", "contract", "reassoc"}
"""Flags of `fastmath` that allow sums to be reordered; NaN and infinity are preserved, so that checks find them."""

BoolArray = NDArray[np.bool_]
UInt8Array = NDArray[np.uint8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
"""Arrays that kernels take, named after their element type."""

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


@dataclass(frozen=True)
class Compiler:
    """Compiler flags of a group of kernels.

    Attributes:
        source_dir: Directory of their sources; a change of any file in it invalidates their cache entries.
        reassociate: Allow sums to be reordered, as vectorization needs it; the order is the same in every run.
        allocates: Kernels create or return arrays. Otherwise Numba's reference counting, which takes place for every
            slice of an array, is switched off.
    """

    source_dir: Path
    reassociate: bool = False
    allocates: bool = True

    def kernel(self, function: F) -> F:
        """Compile a function that Python calls."""
        compiled = self._compile(function, forceinline=False)
        cache_on_disk(compiled, self.source_dir)
        return compiled

    def inlined(self, function: F) -> F:
        """Compile a function for the inner loops of kernels; it is inlined, as a call costs more than its body."""
        return self._compile(function, forceinline=True)

    def _compile(self, function: F, forceinline: bool) -> F:
        require_compiler()
        options: dict[str, object] = {"nogil": True, "error_model": "numpy", "forceinline": forceinline}
        options |= {"fastmath": _REASSOCIATION_FLAGS} if self.reassociate else {}
        options |= {} if self.allocates else {"_nrt": False}
        compiled: F = numba.njit(**options)(function)
        return compiled


def require_compiler() -> None:
    """Check that the compiler is not disabled.

    Raises:
        ConfigError: `NUMBA_DISABLE_JIT` is set.
    """
    if numba.config.DISABLE_JIT:
        raise ConfigError(
            "NUMBA_DISABLE_JIT disables the compiler that rnnkit's kernels need", hint="unset NUMBA_DISABLE_JIT"
        )


def cache_on_disk(compiled: Any, source_dir: Path) -> None:
    """Attach the disk cache to a compiled function.

    Args:
        compiled: Function compiled by Numba.
        source_dir: Directory of the sources that the kernel depends on.
    """
    function = compiled.py_func if hasattr(compiled, "py_func") else compiled._pyfunc
    compiled._cache = DiskCache(function, source_dir)


class DiskCache:
    """Disk cache of a function, in place of Numba's own, which checks neither the owner nor the content of its files.

    It implements the interface of `numba.core.caching._Cache`. After any failure, the kernel is compiled.

    Args:
        function: The kernel in Python.
        source_dir: Directory of its sources.
    """

    def __init__(self, function: Callable[..., object], source_dir: Path) -> None:
        self._function = function
        self._source_dir = source_dir

    @property
    def cache_path(self) -> str:
        """Directory of the files; empty if there is none."""
        return str(kernel_cache.cache_dir(self._store.user_dir) or "")

    def load_overload(self, signature: Signature, target_context: BaseContext) -> compiler.CompileResult | None:
        """Load the code compiled for a signature; None if it is not cached."""
        target_context.refresh()
        name, origin = self._identify(signature, target_context.codegen())
        payload = self._store.read(name, origin)
        if payload is not None:
            # The only place where a pickle is read. Only this user can have written it, and its checksum is right.
            with suppress(Exception):  # Numba may have changed without changing its version
                result = compiler.CompileResult._rebuild(target_context, *caching.pickle.loads(payload))
                caching._cache_log("[cache] data loaded from %r", name)
                return result
        kernel_cache.report_compilation()
        return None

    def save_overload(self, signature: Signature, result: compiler.CompileResult) -> None:
        """Store the code compiled for a signature, if it can be serialized."""
        if result.library.has_dynamic_globals or any(not lifted.can_cache for lifted in result.lifted):
            return
        name, origin = self._identify(signature, result.codegen)
        self._store.write(name, origin, dumps(result._reduce()))
        caching._cache_log("[cache] data saved to %r", name)

    def flush(self) -> None:
        """Do nothing: an outdated file is not read, and is replaced by the next one of its name."""

    enable = disable = flush

    @property
    def _store(self) -> kernel_cache.KernelStore:
        path_hash = hashlib.sha256(str(self._source_dir).encode()).hexdigest()[:16]
        return kernel_cache.KernelStore(str(numba.config.CACHE_DIR or ""), f"{self._source_dir.name}-{path_hash}")

    def _identify(self, signature: Signature, codegen: Codegen) -> tuple[str, str]:
        """Return the file name and the checksum of everything that the compiled code depends on.

        The name does not depend on the sources, so that a new version replaces the files of an older one.
        """
        closure = [cell.cell_contents for cell in self._function.__closure__ or ()]
        identity = (
            self._function.__module__,
            self._function.__qualname__,
            signature,
            codegen.magic_tuple(),
            _VERSIONS,
            _hash(dumps(closure)),
            kernel_cache.codegen_settings(),
        )
        label = f"{self._function.__module__.rpartition('.')[2]}.{self._function.__qualname__}"
        name = re.sub(r"[^\w.]", "", label)[:80]
        sources = _hash_sources(self._source_dir), _hash(self._function.__code__.co_code)
        identity_hash = _hash(repr(identity).encode())
        return f"{name}-{identity_hash[:24]}.nbc", _hash(repr((identity_hash, sources)).encode())


_VERSIONS = sys.version, numba.__version__, llvmlite.__version__


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def _hash_sources(source_dir: Path) -> str:
    """Hash everything that may be part of a kernel."""
    sources = [Path(__file__), *sorted(source_dir.glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


class VectorType(types.Type):
    """The Numba type of vectors of float32 lanes. In kernels, which Numba types itself, it annotates their values."""

    if TYPE_CHECKING:

        def __add__(self, other: Self) -> Self: ...
        def __sub__(self, other: Self) -> Self: ...
        def __mul__(self, other: Self) -> Self: ...
        def __truediv__(self, other: Self) -> Self: ...


def define_operators(vector: type[VectorType], flags: Sequence[str]) -> None:
    """Define `+`, `-`, `*` and `/` of two vectors of one type as one LLVM instruction each.

    Args:
        vector: Numba class of the vector types.
        flags: Fast-math flags of the instructions.
    """
    for symbol, instruction in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):
        _define_operator(vector, symbol, instruction, flags)


def _define_operator(
    vector: type[VectorType], symbol: Callable[[T, T], T], instruction: str, flags: Sequence[str]
) -> None:
    def type_of(context: BaseContext) -> Callable[[types.Type, types.Type], types.Type | None]:
        return lambda a, b: a if isinstance(a, vector) and a is b else None

    def lower(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: Sequence[ir.Value]
    ) -> ir.Value:
        return getattr(builder, instruction)(*values, flags=flags)

    type_callable(symbol)(type_of)
    lower_builtin(symbol, vector, vector)(lower)


def emit(result: T, *parameters: types.Type | None) -> Callable[[Callable[..., ir.Value | None]], Callable[..., T]]:
    """Return a decorator that makes an intrinsic of a function that emits LLVM IR.

    The function takes the builder and the value of each argument, and returns that of the result, or None.

    Args:
        result: Numba type of the result.
        parameters: Numba types of the arguments; None for any type. Of an array, the function gets the address.
    """

    def decorate(function: Callable[..., ir.Value | None]) -> Callable[..., T]:
        def define(typing: BaseContext, *given: types.Type) -> tuple[Signature, Callable[..., ir.Value]]:
            wanted = [given[index] if kind is None else kind for index, kind in enumerate(parameters)]
            return result(*wanted), generate  # type: ignore[operator]

        def generate(
            context: BaseContext, builder: ir.IRBuilder, signature: Signature, values: Sequence[ir.Value]
        ) -> ir.Value:
            plain = [
                context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            emitted = function(builder, *plain)
            return context.get_dummy_value() if emitted is None else emitted

        own = list(inspect.signature(function).parameters.values())[1:]  # without the builder
        typing = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        define.__signature__ = inspect.Signature([typing, *own])  # type: ignore[attr-defined]
        define.__name__, define.__doc__, define.__module__ = function.__name__, function.__doc__, function.__module__
        compiled: Callable[..., T] = intrinsic(define)
        return compiled

    return decorate
