"""Runs of the real training command that are killed, signalled, starved, resumed and compared."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import unmeasured

from rnnkit.io import manifest
from rnnkit.training import checkpoint

SAME = ("best.safetensors", "last/weights.safetensors", "last/optimiser.safetensors", "last/random.safetensors")


def command(work: Path, model: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "rnnkit", "train", "--work", str(work), "--output", str(model), *more]


def start(work: Path, model: Path, *more: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    surroundings = None if limit_bytes is None else unmeasured.environment()
    return subprocess.Popen(
        command(work, model, *more), stderr=subprocess.PIPE, text=True, preexec_fn=limit, env=surroundings
    )


def finish(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def run_whole(work: Path, small: Sequence[str]) -> tuple[Path, float]:
    """A run that nothing happened to, and the seconds that it took."""
    began = time.monotonic()
    finish(start(work, work / "whole", *small, "--save-every", "0"))
    return work / "whole", time.monotonic() - began


def assert_same(model: Path, whole: Path) -> None:
    carried = "last/carried.safetensors"
    for name in (*SAME, *([carried] if (whole / carried).exists() else [])):
        assert (model / name).read_bytes() == (whole / name).read_bytes(), name
    assert manifest.find_mismatches(model) == []


def begin(work: Path, model: Path, small: Sequence[str]) -> subprocess.Popen[str]:
    """Start the run, or go on with it; a checkpoint every step, so that many kills fall into the writing of one."""
    if (model / manifest.NAME).exists():
        return start(work, model, "--resume", "--threads", "1", "--save-every", "0")
    return start(work, model, *small, "--save-every", "0", "--overwrite")


def assert_survives_kills(
    work: Path, small: Sequence[str], whole: tuple[Path, float], model: Path, kills: int, seed: int
) -> None:
    """Kill runs of the command at random moments, resume each, and compare what comes out in the end."""
    moments = random.Random(seed)
    for _ in range(kills):
        process = begin(work, model, small)
        time.sleep(moments.uniform(0.4, 1.1) * whole[1])
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if checkpoint.exists(model / "last"):
            checkpoint.load(model / "last")
    finish(begin(work, model, small))
    assert_same(model, whole[0])


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if there() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("nothing was saved in a minute")
