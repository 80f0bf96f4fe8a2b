"""The systems that rnnkit runs on, known before anything is imported that others lack."""

from __future__ import annotations

import sys
from importlib import import_module

SUPPORTED = "Linux (x86-64 and aarch64) and macOS (Apple silicon)"
"""What the documentation states. Tests run on Linux on x86-64."""

_OTHERS = {"win32": "Windows", "cygwin": "Cygwin", "emscripten": "Emscripten", "wasi": "WASI"}
_NEEDED = ("fcntl", "resource")
"""Modules of Python that only systems of the Unix family have: locks that end with their process, limits."""


def refusal() -> str | None:
    """Why rnnkit cannot run here, with the way out; None where it can."""
    name = _OTHERS.get(sys.platform)
    if name is None:
        try:
            for module in _NEEDED:
                import_module(module)
        except ImportError:
            name = sys.platform
        else:
            return None
    lines = [f"rnnkit runs on {SUPPORTED}, not on {name}"]
    if name in ("Windows", "Cygwin"):
        lines.append("  hint: install it in the Windows Subsystem for Linux (WSL 2), where it runs as on Linux")
    return "\n".join(lines)
