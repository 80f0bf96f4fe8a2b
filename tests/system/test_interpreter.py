"""Unsupported platforms get a message instead of a failed import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rnnkit.system import interpreter

WITHOUT_MODULES = "sys.modules.update(dict.fromkeys(['fcntl', 'resource', 'termios', 'pwd', 'grp'])); "
ENTRIES = {
    "rnnkit": "from rnnkit.cli.app import main; main()",
    "python -m rnnkit": "import runpy; runpy.run_module('rnnkit', run_name='__main__')",
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(("name", "called"), [("win32", "Windows"), ("cygwin", "Cygwin"), ("emscripten", "Emscripten")])
def test_the_command_names_the_supported_systems(name: str, called: str, entry: str) -> None:
    # `runpy` is part of what starts Python's -m, and is imported before the system is another.
    program = f"import sys, runpy; {WITHOUT_MODULES}sys.platform = {name!r}; {ENTRIES[entry]}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    first, *rest = done.stderr.splitlines()
    assert first == f"error: rnnkit runs on {interpreter.SUPPORTED_PLATFORMS}, not on {called}"
    assert [line.split(":")[0] for line in rest] == (["  hint"] if name in ("win32", "cygwin") else [])
    assert (done.returncode, done.stdout) == (1, "")


def test_this_system_is_supported() -> None:
    assert interpreter.unsupported_platform() is None


def test_an_unknown_system_without_needed_modules_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    assert interpreter.unsupported_platform() is None
    monkeypatch.setattr(interpreter, "_NEEDED", ("fcntl", "there_is_no_such_module"))
    assert interpreter.unsupported_platform() == f"rnnkit runs on {interpreter.SUPPORTED_PLATFORMS}, not on plan9"
