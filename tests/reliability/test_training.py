"""The real training command, killed, signalled and starved of disk: it ends as a run that nothing happened to."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.workspaces import SMALL, make_workspace

from rnnkit.files import manifest
from rnnkit.training import checkpoint

SAME = ("best.safetensors", "last/weights.safetensors", "last/optimiser.safetensors", "last/random.safetensors")
KILLS = 3
MANY_KILLS = 25


def command(work: Path, model: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "rnnkit", "train", "--work", str(work), "--output", str(model), *more]


def start(work: Path, model: Path, *more: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(command(work, model, *more), stderr=subprocess.PIPE, text=True, preexec_fn=limit)


def finish(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("reliability"))


@pytest.fixture(scope="module")
def whole(work: Path) -> tuple[Path, float]:
    """A run that nothing happened to, and the seconds that it took."""
    began = time.monotonic()
    finish(start(work, work / "whole", *SMALL, "--save-every", "0"))
    return work / "whole", time.monotonic() - began


def assert_same(model: Path, whole: Path) -> None:
    for name in SAME:
        assert (model / name).read_bytes() == (whole / name).read_bytes(), name
    assert manifest.faults(model) == []


def begin(work: Path, model: Path) -> subprocess.Popen[str]:
    """Start the run, or go on with it; a checkpoint every step, so that many kills fall into the writing of one."""
    if (model / manifest.NAME).exists():
        return start(work, model, "--resume", "--threads", "1", "--save-every", "0")
    return start(work, model, *SMALL, "--save-every", "0", "--overwrite")


def assert_survives_kills(work: Path, whole: tuple[Path, float], model: Path, kills: int, seed: int) -> None:
    """Kill runs of the command at random moments, resume each, and compare what comes out in the end."""
    moments = random.Random(seed)
    for _ in range(kills):
        process = begin(work, model)
        time.sleep(moments.uniform(0.4, 1.1) * whole[1])
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if checkpoint.exists(model / "last"):
            checkpoint.load(model / "last")
    finish(begin(work, model))
    assert_same(model, whole[0])


def test_killed_at_random_moments_it_ends_bit_equal(work: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    assert_survives_kills(work, whole, tmp_path / "model", KILLS, seed=1)


@pytest.mark.slow
def test_killed_many_times_it_ends_bit_equal(work: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    for seed in range(2, 2 + MANY_KILLS // 5):
        assert_survives_kills(work, whole, tmp_path / f"model{seed}", 5, seed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(
    work: Path, whole: tuple[Path, float], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    model = tmp_path / "model"
    process = start(work, model, *SMALL, "--save-every", "0")
    wait_for(lambda: (model / "last" / "meta.json").exists(), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the run was over before the signal came")
    assert process.returncode == code, errors
    assert "interrupted" in errors
    assert "everything is saved" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    finish(start(work, model, "--resume", "--threads", "1", "--save-every", "0"))
    assert_same(model, whole[0])


def test_a_full_disk_leaves_the_old_checkpoint_and_loses_nothing(
    work: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    process = start(work, model, *SMALL, "--save-every", "0")
    wait_for(lambda: (model / "last" / "meta.json").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert checkpoint.exists(model / "last")
    before = checkpoint.load(model / "last").counters["loop"]["step"]
    if before == 24:
        pytest.skip("the run was over before it could be stopped")
    smallest = (model / "last" / "optimiser.safetensors").stat().st_size // 2
    starved = start(work, model, "--resume", "--threads", "1", "--save-every", "0", limit_bytes=smallest)
    _, errors = starved.communicate(timeout=60)
    assert starved.returncode == 1, errors
    assert "the disk is full" in errors
    assert "what was there before is untouched" in errors
    assert "Traceback" not in errors
    assert checkpoint.load(model / "last").counters["loop"]["step"] >= before
    finish(start(work, model, "--resume", "--threads", "1", "--save-every", "0"))
    assert_same(model, whole[0])


def test_two_runs_do_not_share_a_directory(work: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    first = start(work, model, *SMALL, "--max-steps", "100000")
    wait_for(lambda: (model / ".lock").exists(), first)
    second = start(work, model, "--resume")
    _, errors = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 1
    assert f"{model} is in use" in errors
    assert f"process {first.pid}" in errors


def wait_for(there: object, process: subprocess.Popen[str]) -> None:
    assert callable(there)
    for _ in range(1200):
        if there() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("nothing was saved in a minute")
