"""Text stages over processes that are interrupted: all of them end, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 60.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def group(leader: int) -> list[int]:
    """The processes of a process group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(true: object) -> None:
    assert callable(true)
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGKILL, -9, "")],
)
def test_a_signal_ends_every_process(tmp_path: Path, number: int, code: int, said: str) -> None:
    text = tmp_path / "train.en"
    text.write_text("the quick brown fox, jumped\n" * 400_000, encoding="utf-8")
    command = [sys.executable, "-m", "rnnkit", "tokenize", str(text), "--type", "words", "--processes", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests that a shell started behind `&` would hand on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: len(group(process.pid)) >= 3)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does it
    else:
        process.send_signal(number)
    errors = process.communicate(timeout=SECONDS)[1]
    assert (process.returncode, errors.splitlines()[-1:]) == (code, [said] if said else errors.splitlines()[-1:])
    assert "Traceback" not in errors
    wait_for(lambda: not group(process.pid))
    litter = [path.name for path in tmp_path.rglob("*.tok*") if not path.name.endswith(".partial")]
    assert litter == []
    assert number == signal.SIGKILL or list(tmp_path.rglob(".*")) == []
