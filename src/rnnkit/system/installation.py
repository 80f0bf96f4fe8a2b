"""Supported platforms and required packages, and explanations of a missing or broken installation.

This module imports nothing that an unsupported platform lacks.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from types import TracebackType

from rnnkit.errors import RnnkitError

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


SUPPORTED_PLATFORMS = "Linux (x86-64 and aarch64) and macOS (Apple silicon)"
"""Supported platforms. Tests run on Linux on x86-64."""

_OTHERS = {"win32": "Windows", "cygwin": "Cygwin", "emscripten": "Emscripten", "wasi": "WASI"}
_NEEDED = ("fcntl", "resource")
"""Python modules that only Unix systems have: file locks and resource limits."""


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
