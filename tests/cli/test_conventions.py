"""Streams, exit codes and signals of real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rnnkit.cli import app
from rnnkit.cli.commands import COMMANDS

from .conftest import Run

Process = Callable[..., "subprocess.Popen[str]"]

SECONDS = r"(\d+ min )?\d+(\.\d)? s"
"""How a summary states its duration, however long a busy machine took."""


def test_results_on_stdout_and_everything_else_on_stderr(run: Run) -> None:
    outcome = run("toy", "--act", "talk")
    assert (outcome.code, outcome.out) == (0, "a result\n")
    note, warning, finished = outcome.err.splitlines()
    assert (note, warning) == ("a note with [brackets]", "warning: a warning")
    assert re.fullmatch(rf"work: 30 steps in {SECONDS}, loss 0\.5", finished)


def test_typer_s_own_runner_drives_the_application(run: Run) -> None:
    everything = app.build(COMMANDS.values())
    result = CliRunner().invoke(everything, ["toy", "--beam", "3", "a.txt"])
    assert (result.exit_code, "beam=3" in result.stdout, result.stderr) == (0, True, "")
    assert CliRunner().invoke(everything, ["toy", "--act", "saved"]).exit_code == 143


def test_quiet_leaves_results_and_errors(run: Run) -> None:
    talk = run("toy", "--act", "talk", "--quiet")
    assert (talk.code, talk.out, talk.err) == (0, "a result\n", "")
    assert run("toy", "--act", "data", "--quiet").err.startswith("error: the line is bad\n")


def test_json_is_one_object_on_one_line(run: Run) -> None:
    outcome = run("toy", "--json", "--act", "ähnlich")
    assert outcome.out.count("\n") == 1
    assert json.loads(outcome.out)["act"] == "ähnlich"


def test_reader_that_goes_away(process: Process) -> None:
    started = process("toy", "--act", "flood")
    assert started.stdout is not None
    assert started.stderr is not None
    assert started.stdout.readline() == "line 0\n"
    started.stdout.close()
    assert (started.wait(), started.stderr.read()) == (141, "")
    started.stderr.close()


def test_reader_that_goes_away_before_the_last_flush(process: Process) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    started = process("toy", stdout=writing)
    os.close(writing)
    _, err = started.communicate()
    assert (started.returncode, err) == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_listener_on_stderr_that_goes_away_stops_nothing(process: Process, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    started = process("toy", "--act", "talk", stderr=writing, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(writing)
    out, _ = started.communicate()
    assert (started.returncode, out) == (0, "a result\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full_under_redirected_output(process: Process) -> None:
    with Path("/dev/full").open("w") as full:
        _, err = (started := process("toy", stdout=full)).communicate()
    assert started.returncode == 1
    assert err.startswith("error: the disk is full: a file or stream could not be written whole\n")
    assert "Exception ignored" not in err


def test_closed_streams(process: Process) -> None:
    """Started with `<&- >&-`, there is nothing to read and nobody to tell, and no traceback either."""
    started = process("toy", preexec_fn=lambda: os.closerange(0, 2))
    _, err = started.communicate()
    assert (started.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_signals_where_no_stage_listens(process: Process, number: int, code: int, word: str) -> None:
    # Tests in the background may have inherited that interrupts are ignored.
    started = process("toy", "--act", "wait", preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert started.stderr is not None
    assert started.stderr.readline() == "waiting\n"
    started.send_signal(number)
    _, err = started.communicate()
    assert (started.returncode, err) == (code, f"{word}\n")


def test_output_is_utf8_whatever_the_locale_says(process: Process) -> None:
    out, err = process("toy", "--act", "ü", env={"LC_ALL": "POSIX", "PYTHONIOENCODING": "latin-1"}).communicate()
    assert "act=ü" in out
    assert err == ""


def on_terminal(process: Process, *words: str, env: dict[str, str]) -> str:
    """What a command writes to a standard error that is a terminal."""
    ours, theirs = pty.openpty()
    started = process(*words, stderr=theirs, env={"COLUMNS": "80", "NO_COLOR": "", **env})
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 4096):
            seen += block
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    out, _ = started.communicate()
    assert out == "a result\n"
    return seen.decode()


def test_terminal_gets_bars_and_colours(process: Process) -> None:
    seen = on_terminal(process, "toy", "--act", "talk", env={"TERM": "xterm-256color"})
    assert "━" in seen
    assert "/30 steps" in seen
    assert "left" in seen
    assert "\x1b[33mwarning:\x1b[0m a warning" in seen
    assert re.match(rf"work: 30 steps in {SECONDS}", seen.splitlines()[-1])
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")  # the cursor is given back


def test_a_prompt_shows_when_to_type(process: Process) -> None:
    """The bar of the work before the first line is removed, and does not move while the user types."""
    ours, theirs = pty.openpty()
    env = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm-256color"}
    started = process("toy", "--act", "echo", stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen, asked = "", 0
    answers = {1: b"one\n", 2: b"two\n", 3: b"\x04"}
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while block := os.read(ours, 4096):
            seen += block.decode()
            if seen.count("> ") > asked:
                asked += 1
                time.sleep(1)
                os.write(ours, answers[asked])
    os.close(ours)
    assert started.wait() == 0
    preparing, *dialog = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", part) for part in seen.split("> ")]
    assert "preparing" in preparing
    assert dialog == ["one\nONE\n", "two\nTWO\n", "\n"]


def test_no_color_keeps_the_bars_and_drops_the_colours(process: Process) -> None:
    seen = on_terminal(process, "toy", "--act", "talk", env={"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert "━" in seen
    assert "\x1b[3" not in seen
    assert "warning: a warning" in seen


def test_dumb_terminal_gets_plain_lines(process: Process) -> None:
    seen = on_terminal(process, "toy", "--act", "talk", env={"TERM": "dumb"})
    assert "\x1b" not in seen
    assert seen.splitlines()[:2] == ["a note with [brackets]", "warning: a warning"]
