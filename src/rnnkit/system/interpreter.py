"""The Python interpreter that runs this program: its platform, its packages, and its isolation.

Users run commands in directories unpacked from elsewhere. A `secrets.py` or `matplotlibrc` there is data: `python -m`
must not import the one, and libraries must not read the other.

This module imports nothing that an unsupported platform lacks.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

from rnnkit.errors import RnnkitError

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # importing the classes would cost every command about 5 ms
    Loader = MetaPathFinder = object

SUPPORTED_PLATFORMS = "Linux (x86-64 and aarch64) and macOS (Apple silicon)"
"""Supported platforms. Tests run on Linux on x86-64."""

_OTHERS = {"win32": "Windows", "cygwin": "Cygwin", "emscripten": "Emscripten", "wasi": "WASI"}
_NEEDED = ("fcntl", "resource")
"""Python modules that only Unix systems have: file locks and resource limits."""

REQUIRED_PACKAGES = (
    "typer",
    "rich",
    "torch",
    "sentencepiece",
    "sacrebleu",
    "numpy",
    "numba",
    "safetensors",
    "matplotlib",
)
"""Required packages; each is imported by its own name."""

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - this file imports little
"""Directory that contains this `rnnkit` package."""

SETTINGS_READERS = {"matplotlib": None, "numba.core.config": "_config_fname"}
"""Modules that read a file in the current directory on import, with the variable that contains its name if a module
reads it again later."""

PARENT_VARIABLE = "_RNNKIT_PARENT"
"""Environment variable with the id of the parent process, which this process must not outlive."""


_CURRENT_DIRECTORY = {"", os.curdir}
"""Spellings of the current directory in a search path."""


def unsupported_platform() -> str | None:
    """Return an error message if the platform is not supported, otherwise None."""
    name = _OTHERS.get(sys.platform)
    if name is None:
        try:
            for module in _NEEDED:
                import_module(module)
        except ImportError:
            name = sys.platform
        else:
            return None
    lines = [f"rnnkit runs on {SUPPORTED_PLATFORMS}, not on {name}"]
    if name in ("Windows", "Cygwin"):
        lines.append("  hint: install it in the Windows Subsystem for Linux (WSL 2), where it runs as on Linux")
    return "\n".join(lines)


class InstallationError(RnnkitError):
    """A package that rnnkit needs is missing or cannot be imported."""


def explain_import_failure(failure: BaseException) -> InstallationError | None:
    """Convert a failed import to an error about the installation; return None for any other failure."""
    if isinstance(failure, ModuleNotFoundError) and failure.name in REQUIRED_PACKAGES:
        return InstallationError(
            f"{failure.name} is not installed, and rnnkit needs it", hint=f"pip install {failure.name}"
        )
    package = _importing(failure.__traceback__)
    if package is not None:
        return _broken(package, failure)
    if isinstance(failure, ImportError):
        return InstallationError(
            "rnnkit or Python cannot be loaded from their installation",
            _reason(failure),
            f"installed in {sys.prefix}",
            hint="check that this user can read that folder; otherwise install rnnkit again",
        )
    return None


def _broken(package: str, failure: BaseException) -> InstallationError:
    """Return the error for a package that fails on import, with its environment variables as possible causes."""
    prefixes = {"matplotlib": ("MPLCONFIG", "MATPLOTLIB"), "torch": ("TORCH", "PYTORCH")}.get(
        package, (package.upper(),)
    )
    given = [f"{name}={value} is set" for name, value in sorted(os.environ.items()) if name.startswith(prefixes)]
    return InstallationError(
        f"{package} is installed but cannot be imported",
        _reason(failure),
        *given,
        hint=f"pip install --force-reinstall {package}"
        + ("; if that does not help, unset these variables" if given else ""),
    )


def _reason(failure: BaseException) -> str:
    return traceback.format_exception_only(failure)[-1].strip()


def _importing(trace: TracebackType | None) -> str | None:
    """Return the required package that was being imported, the innermost of nested imports."""
    found = None
    while trace is not None:
        frame = trace.tb_frame
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and package in REQUIRED_PACKAGES:
            found = package
        trace = trace.tb_next
    return found


def interpreter_command(*arguments: str) -> list[str]:
    """Return the command line of an equal interpreter that does not import from the current directory."""
    return [sys.executable, "-P", *arguments]


def child_environment() -> dict[str, str]:
    """Return environment variables with which a child finds the same modules, and none in the current directory."""
    variables = {**os.environ, "PYTHONSAFEPATH": "1"}
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [entry for entry in given if entry not in _CURRENT_DIRECTORY]
    if ROOT not in {os.path.realpath(entry) for entry in [*named, *_installed()]}:
        named.append(ROOT)
    if named != given:
        variables["PYTHONPATH"] = os.pathsep.join(named)
    return variables


def search_path() -> list[str]:
    """Return `sys.path` with this `rnnkit`, and without the current directory unless that is an absolute path."""
    unwanted = set(_CURRENT_DIRECTORY)
    if _CURRENT_DIRECTORY & {
        *os.environ.get("PYTHONPATH", "x").split(os.pathsep)
    }:  # Python has converted it to an absolute path
        unwanted.add(os.path.realpath(os.curdir))
    path = [entry for entry in sys.path if entry not in unwanted]
    return path if ROOT in {os.path.realpath(entry) for entry in path} else [*path, ROOT]


def protect_imports() -> None:
    """Prevent this process and its future children from running code in the current directory."""
    sys.path[:] = search_path()
    os.environ.update(child_environment())
    os.environ["MPLBACKEND"] = "agg"  # figures are written to files; other backends may not be installed
    if not any(isinstance(finder, _IsolatingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _IsolatingFinder())


def _installed() -> list[str]:
    """Return the default entries of the interpreter's search path."""
    return [entry for entry in sys.path if entry.startswith((sys.prefix, sys.base_prefix))]


class _IsolatingFinder(MetaPathFinder):
    """Finds the modules of `SETTINGS_READERS` and loads them in another directory."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of the module with an isolating loader; None for other modules."""
        if name not in SETTINGS_READERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _IsolatingLoader(spec.loader)
        return spec


class _IsolatingLoader(Loader):
    """Executes a module in the root directory, where only the administrator can create files."""

    def __init__(self, original: Loader) -> None:
        self._original = original

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Delegate to the original loader."""
        return self._original.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module in the root directory."""
        with _in_root_directory():
            self._original.exec_module(module)
        name = SETTINGS_READERS[module.__name__]
        if name is not None:
            setattr(module, name, os.devnull)

    def __getattr__(self, name: str) -> object:
        return getattr(self._original, name)


@contextmanager
def _in_root_directory() -> Iterator[None]:
    try:
        here = os.open(os.curdir, getattr(os, "O_PATH", os.O_RDONLY))
    except OSError:  # the current directory is missing or unreadable, and so is any file in it
        yield
        return
    try:
        os.chdir(os.sep)
        yield
    finally:
        os.fchdir(here)
        os.close(here)
