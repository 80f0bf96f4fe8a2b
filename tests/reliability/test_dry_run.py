"""What `--dry-run` says, held against what then happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.workspaces import make_text_workspace, make_workspace

TRIES = 3
"""A machine that others use may be busy in one of two runs that are compared."""

MARGIN = 1.3

TRANSLATION = ["--batch-tokens", "400", "--max-steps", "150", "--validate-every", "50", "--threads", "1"]
CONFIGURATIONS = {
    "lstm": ("translation", ["--arch", "lstm", "--hidden", "256", "--embedding", "128", *TRANSLATION]),
    "transformer": ("translation", ["--arch", "transformer", "--hidden", "128", "--layers", "2", *TRANSLATION]),
    "language model": (
        "text",
        ["--arch", "gru", "--hidden", "256", "--embedding", "256", "--max-steps", "150", "--validate-every", "50",
         "--columns", "20", "--steps", "35", "--threads", "1"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "translation": make_workspace(tmp_path_factory.mktemp("pairs")),
        "text": make_text_workspace(tmp_path_factory.mktemp("text")),
    }


def run(work: Path, *more: str) -> tuple[str, float, int]:
    """What a run printed, its seconds in all, and its greatest resident memory in bytes."""
    began = time.monotonic()
    words = [sys.executable, "-m", "rnnkit", "train", "--work", str(work), "--patience", "0", "--quiet", *more]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.stderr and process.stderr.read()
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return output, time.monotonic() - began, peak


def ratios(work: Path, options: list[str]) -> tuple[float, float]:
    """Time and memory that a run took, each as a multiple of what was said beforehand."""
    said = json.loads(run(work, *options, "--dry-run", "--json")[0])
    _, _, peak = run(work, *options, "--overwrite")
    metrics = [json.loads(line) for line in (work / "model" / "metrics.jsonl").read_text().splitlines()]
    seconds = sum(record.get("seconds", 0) + record.get("validation", {}).get("seconds", 0) for record in metrics)
    return seconds / said["seconds"], peak / said["memory_bytes"]


def fits(found: tuple[float, float]) -> bool:
    return all(1 / MARGIN < ratio < MARGIN for ratio in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_time_and_memory_are_within_a_third(works: dict[str, Path], name: str) -> None:
    kind, options = CONFIGURATIONS[name]
    tried: list[tuple[float, float]] = []
    while len(tried) < TRIES and not (tried and fits(tried[-1])):
        tried.append(ratios(works[kind], options))
    assert fits(tried[-1]), f"time and memory against what was said: {tried}"


def test_memory_is_said_by_the_process_itself(works: dict[str, Path]) -> None:
    options = ["--arch", "gru", "--hidden", "12", "--max-steps", "2", "--validate-lines", "2", "--threads", "1"]
    output, _, peak = run(works["translation"], *options, "--dry-run", "--json")
    assert json.loads(output)["memory_bytes"] == pytest.approx(peak, rel=0.1)
