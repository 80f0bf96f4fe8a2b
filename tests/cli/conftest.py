"""The command line in this process, with the toy command added."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnkit.cli import app
from rnnkit.cli.commands import COMMANDS

from . import toy

TOY = Path(__file__).with_name("toy.py")


@dataclass(frozen=True)
class Outcome:
    """What a command line left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run words in this process, inside an empty folder, without any RNNKIT_ variable of the outside."""
    monkeypatch.setitem(sys.modules, "rnnkit.stages.toy", toy)
    monkeypatch.setitem(COMMANDS, "toy", toy.COMMAND)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith("RNNKIT_")]:
        monkeypatch.delenv(name)

    def call(*words: str) -> Outcome:
        code = app.run(words)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the toy command line as a process of its own."""

    def start(*words: str, env: dict[str, str] | None = None, **streams: object) -> subprocess.Popen[str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("RNNKIT_")}
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [sys.executable, TOY, *words],
            env={**outside, **(env or {})},
            cwd=tmp_path,
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    return start
