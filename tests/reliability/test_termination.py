"""SIGTERM and Ctrl-C at any moment from the first line on: the command ends soon, with the right code, and alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import tiny_models
from tests.covering import parametrize
from tests.workspaces import SMALL, SMALL_TEXT, make_text_workspace, make_workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PROGRAM = "from rnnkit.cli.start import main; import os; os.write(1, b'begun\\n'); main()"
"""A command whose beginning can be seen: the interpreter's own start is not the project's."""

MARK = "TEST_OF_TERMINATION"
SOON = 60.0
"""Seconds within which a command ends on a machine that does much else."""

ENDLESS = ["--max-steps", "1000000", "--epochs", "1000000", "--patience", "1000000"]


@dataclass(frozen=True)
class Run:
    """How a command ended.

    Attributes:
        code: As a shell has it.
        err: Its standard error.
        seconds: From the signal to the end.
        left: Processes that it has started and that run still.
    """

    code: int
    err: str
    seconds: float
    left: list[int]


def stop(folder: Path, words: list[str], number: int, moment: float) -> Run | None:
    """Run a command and send it a signal some seconds after its first line; None where it is done before."""
    mark = uuid.uuid4().hex
    # Tests in the background may have inherited that interrupts are ignored.
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], cwd=folder, env={**os.environ, MARK: mark},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(moment)
    if process.poll() is not None:
        process.communicate()
        return None
    began = time.monotonic()
    process.send_signal(number)
    try:
        # What its children say comes through the same pipe, so its end is theirs too.
        _, err = process.communicate(timeout=SOON)
    finally:
        process.kill()
    seconds = time.monotonic() - began
    code = process.returncode
    return Run(128 - code if code < 0 else code, err, seconds, _running(mark))


def _running(mark: str) -> list[int]:
    """Processes with the mark in their environment; those that are about to end have some time for it."""
    for _ in range(50):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("termination")
    make_workspace(folder)
    (folder / "text").mkdir()
    make_text_workspace(folder / "text")
    tiny_models.translator_folder(folder / "tiny", tiny_models.translator())
    (folder / "long.de").write_text("the king sat on the mat .\n" * 200_000)
    return folder


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "train": lambda name: ["train", *SMALL, *ENDLESS, "--processes", "2", "--output", name],
    "train-lm": lambda name: [
        "train-lm", *SMALL_TEXT, *ENDLESS, "--processes", "2", "--work", "text/work", "--output", name,
    ],
    "train-alone": lambda name: ["train", *SMALL, *ENDLESS, "--output", name],
    "tokenize": lambda name: ["tokenize", "long.de", "--type", "words", "--processes", "2", "--work", name],
    "vocab": lambda name: ["vocab", "long.de", "--processes", "2", "--output", f"{name}.tsv"],
    "decode": lambda name: ["decode", "long.de", "--model", "tiny/model", "--output", f"{name}.hyp"],
}  # fmt: skip

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
MOMENTS = {"start": 0.0, "imports": 0.4, "work": 4.0}


def check(folder: Path, command: str, number: int, moment: float) -> None:
    ran = stop(folder, COMMANDS[command](uuid.uuid4().hex), number, moment)
    if ran is None:
        return
    told = f"{command} after {moment:.2f} s: {ran}"
    assert ran.code == 128 + number, told
    assert ran.left == [], told
    assert "Traceback" not in ran.err, told
    assert "Exception ignored" not in ran.err, told
    assert "defect" not in ran.err, told
    assert "error:" not in ran.err, told


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("command", ["train", "tokenize", "decode"])
def test_sigterm(folder: Path, command: str, moment: str) -> None:
    check(folder, command, signal.SIGTERM, MOMENTS[moment])


@pytest.mark.slow
@parametrize(1, command=list(COMMANDS), number=SIGNALS, longest=[0.3, 3.0, 10.0])
def test_any_moment(folder: Path, command: str, number: int, longest: float) -> None:
    dice = random.Random(f"{command}{number}{longest}")
    check(folder, command, number, longest * dice.random())
