"""What `--dry-run` says, held against what then happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workspaces import make_text_workspace, make_workspace

TRIES = 3
"""Programs that share caches and memory may slow down one of two runs that are compared."""

MARGIN = 1.3

MEASURED = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", *sys.argv[1:]])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and prints its greatest memory last. A process's memory counts that of the one that started it, so it
is started by a small one and not by the tests."""

PROGRAM = """
import time
time.perf_counter = time.monotonic = time.process_time
from rnnkit.cli.start import main
main()
"""
"""A command that measures durations in processor time, so that other programs on the machine do not count."""

TRANSLATION = ["--batch-tokens", "400", "--max-steps", "100", "--validate-every", "50", "--threads", "1"]
CONFIGURATIONS = {
    "lstm": ("translation", ["--arch", "lstm", "--hidden", "256", "--embedding", "128", *TRANSLATION]),
    "transformer": ("translation", ["--arch", "transformer", "--hidden", "128", "--layers", "2", *TRANSLATION]),
    "language model": (
        "text",
        ["--arch", "gru", "--hidden", "256", "--embedding", "256", "--max-steps", "100", "--validate-every", "50",
         "--batch-size", "20", "--steps", "35", "--threads", "1"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "translation": make_workspace(tmp_path_factory.mktemp("pairs")),
        "text": make_text_workspace(tmp_path_factory.mktemp("text")),
    }


def run(work: Path, *more: str) -> tuple[str, int]:
    """What a run printed, and its greatest resident memory in bytes."""
    words = ["train", "--work", str(work), "--patience", "0", "--quiet", *more]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.splitlines()[-1])


def ratios(work: Path, options: list[str]) -> tuple[float, float]:
    """Time and memory that a run took, each as a multiple of what was said beforehand."""
    said = json.loads(run(work, *options, "--dry-run", "--json")[0])
    _, peak = run(work, *options, "--overwrite")
    metrics = [json.loads(line) for line in (work / "model" / "metrics.jsonl").read_text().splitlines()]
    seconds = sum(record.get("seconds", 0) + record.get("validation", {}).get("seconds", 0) for record in metrics)
    return seconds / said["seconds"], peak / said["memory_bytes"]


def fits(found: tuple[float, float]) -> bool:
    return all(1 / MARGIN < ratio < MARGIN for ratio in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "language model", pytest.param("transformer", marks=pytest.mark.exhaustive)])
def test_time_and_memory_are_within_a_third(works: dict[str, Path], name: str) -> None:
    kind, options = CONFIGURATIONS[name]
    tried: list[tuple[float, float]] = []
    while len(tried) < TRIES and not (tried and fits(tried[-1])):
        tried.append(ratios(works[kind], options))
    assert fits(tried[-1]), f"time and memory against what was said: {tried}"


def test_memory_is_said_by_the_process_itself(works: dict[str, Path]) -> None:
    options = ["--arch", "gru", "--hidden", "12", "--max-steps", "2", "--validate-lines", "2", "--threads", "1"]
    output, peak = run(works["translation"], *options, "--dry-run", "--json")
    assert json.loads(output)["memory_bytes"] == pytest.approx(peak, rel=0.1)
