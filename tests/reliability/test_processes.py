"""The real training command in two processes: it takes the steps of one, and survives signals and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.reliability.runs import assert_same, finish, start, wait_for
from tests.workspaces import SMALL, SMALL_TEXT, make_labelled_workspace, make_text_workspace, make_workspace

from rnnkit.io import manifest
from rnnkit.training import checkpoint

TWO = ["--processes", "2"]
TEXT = [*SMALL_TEXT, "--vary-steps", "--mean-decay", "0.9"]
LABELS = [
    "--hidden", "6", "--embedding", "5", "--character-hidden", "4", "--batch-tokens", "60", "--max-steps", "64",
    "--validate-every", "8",
]  # fmt: skip
DRY = {
    "pairs": [*SMALL, "--dropout", "0"],
    "text": [*TEXT, "--dropout", "0", "--dropout-input", "0", "--dropout-hidden", "0", "--activation-penalty", "1"],
    "labels": [*LABELS, "--dropout", "0", "--dropout-ngrams", "0", "--word-dropout", "0"],
}
LONG_STEPS = 200
LONG = ["--max-steps", str(LONG_STEPS), "--validate-every", str(LONG_STEPS)]
ALWAYS = ["--save-every", "0"]

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes in /proc")


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "pairs": make_workspace(tmp_path_factory.mktemp("pairs")),
        "text": make_text_workspace(tmp_path_factory.mktemp("text")),
        "labels": make_labelled_workspace(tmp_path_factory.mktemp("labels"), "tags"),
    }


def workers(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """The process of each rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks = [entry[5:] for entry in environment if entry.startswith(b"RANK=")]
        if ranks:
            found[int(ranks[0])] = int(child)
    return found


def assert_ended(processes: Iterable[int]) -> None:
    """None of them runs any more; one that nobody has asked for its exit code may still be listed."""
    for process in processes:
        stat = Path(f"/proc/{process}/stat")
        for _ in range(100):
            if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"process {process} is left behind")


def saved(model: Path) -> Callable[[], bool]:
    """Whether some steps were taken and saved."""
    return lambda: (model / "metrics.jsonl").exists() and (model / "last" / "meta.json").exists()


def records(model: Path) -> list[dict[str, float]]:
    """What was measured, without what depends on the clock."""
    found = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    for record in found:
        record.update(record.pop("validation", {}))
        for name in ("seconds", "target_tokens_per_second"):
            record.pop(name, None)
    return found


@pytest.mark.parametrize("kind", ["pairs", "labels", pytest.param("text", marks=pytest.mark.exhaustive)])
def test_two_processes_equal_two_accumulated_batches(works: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Two processes take the steps of one that adds up the gradients of two batches."""
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(works[kind], one, *DRY[kind], "--accumulate", "2"))
    told = finish(start(works[kind], two, *DRY[kind], *TWO))
    assert told.count("best at step") == 1, "one of them speaks"
    for name in ("last/weights.safetensors", "best.safetensors"):
        expected, found = load_file(one / name), load_file(two / name)
        assert expected.keys() == found.keys()
        for key, array in expected.items():
            np.testing.assert_allclose(found[key], array, rtol=0, atol=2e-5, err_msg=key)
    assert len(records(one)) == len(records(two)) > 6
    for expected_record, record in zip(records(one), records(two), strict=True):
        assert record == pytest.approx(expected_record, rel=1e-3)
    assert manifest.load(two / manifest.NAME).options["processes"] == 2
    assert not (two / ".lock").exists()


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [("text", signal.SIGINT, 130), pytest.param("pairs", signal.SIGTERM, 143, marks=pytest.mark.exhaustive)],
)
def test_a_signal_saves_and_a_resumed_run_ends_bit_equal(
    works: dict[str, Path], tmp_path: Path, kind: str, number: signal.Signals, code: int
) -> None:
    options = {"pairs": SMALL, "text": [*TEXT, "--weight-drop", "0.2"]}[kind]
    finish(start(works[kind], tmp_path / "whole", *options, *TWO, "--accumulate", "2"))
    model = tmp_path / "model"
    process = start(works[kind], model, *options, *TWO, "--accumulate", "2", "--save-every", "0")
    wait_for(saved(model), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the run was over before the signal came")
    assert process.returncode == code, errors
    assert errors.count("interrupted\n  everything is saved in") == 1, errors
    assert "Traceback" not in errors
    finish(start(works[kind], model, "--resume", "--threads", "1", "--save-every", "0"))
    assert_same(model, tmp_path / "whole")
    random = load_file(model / "last" / "random.safetensors")
    assert set(random) == {"cpu", "process-1:cpu"}
    assert not np.array_equal(random["cpu"], random["process-1:cpu"]), "dropout differs from process to process"


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.exhaustive)])
def test_a_killed_worker_leaves_a_whole_checkpoint(works: dict[str, Path], tmp_path: Path, rank: int) -> None:
    """A killed worker ends the run, and the checkpoint is whole."""
    model = tmp_path / "model"
    process = start(works["text"], model, *TEXT, *LONG, *ALWAYS, *TWO)
    wait_for(saved(model), process)
    others = workers(process)
    os.kill(others.pop(rank), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert f"error: process {rank} was killed (SIGKILL)" in errors
    assert "hint: --resume continues from the last checkpoint" in errors
    assert "Traceback" not in errors
    assert "defect" not in errors
    assert_ended(others.values())
    assert checkpoint.exists(model / "last")
    assert 0 < checkpoint.load(model / "last").counters["loop"]["step"] < LONG_STEPS


@pytest.mark.slow
def test_a_restarted_run_ends_bit_equal(works: dict[str, Path], tmp_path: Path) -> None:
    """A run whose worker is killed goes on by itself, and ends bit for bit as one that was not."""
    finish(start(works["text"], tmp_path / "whole", *TEXT, *LONG, *TWO))
    model = tmp_path / "model"
    process = start(works["text"], model, *TEXT, *LONG, *ALWAYS, *TWO, "--restarts", "1")
    wait_for(saved(model), process)
    os.kill(workers(process)[1], signal.SIGKILL)
    errors = finish(process)
    assert "process 1 was killed (SIGKILL); resuming from the last checkpoint" in errors
    assert "resuming from step" in errors
    assert_same(model, tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_launcher_leaves_a_whole_checkpoint(works: dict[str, Path], tmp_path: Path) -> None:
    """A killed launcher leaves no process behind, and a whole checkpoint."""
    model = tmp_path / "model"
    process = start(works["text"], model, *TEXT, *LONG, *ALWAYS, *TWO)
    wait_for(saved(model), process)
    left = list(workers(process).values())
    process.kill()
    process.communicate(timeout=120)  # ends when those that hold the other end of the pipe have ended
    assert_ended(left)
    checkpoint.load(model / "last")
    assert not (model / ".lock").exists()


@pytest.fixture(scope="module")
def launched(works: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model that two processes under torchrun have trained, and what they said."""
    model = tmp_path_factory.mktemp("torchrun") / "model"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "rnnkit", "train", "--work", str(works["text"]), "--output", str(model), *TEXT, "--max-steps", "4"]
    done = subprocess.run([*torchrun, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return model, done.stderr


def test_torchrun_starts_it_too(launched: tuple[Path, str]) -> None:
    model, errors = launched
    assert "in each of 2 processes" in errors
    assert manifest.load(model / manifest.NAME).options["processes"] == 2


def test_another_number_of_processes_does_not_go_on(works: dict[str, Path], launched: tuple[Path, str]) -> None:
    process = start(works["text"], launched[0], "--resume", "--processes", "3")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.count("--processes: 2 in the run, 3 now") == 1, "one of three explains"
