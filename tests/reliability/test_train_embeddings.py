"""The real command, signalled, killed and starved of disk while it learns word vectors: nothing is lost."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import unmeasured
from tests.topics import write_topics

from rnnkit.embeddings import formats
from rnnkit.io import manifest
from rnnkit.training import checkpoint

LEARN = ["--threads", "1", "--dimension", "37", "--epochs", "600"]
"""A run of 600 steps, about a second; with a checkpoint at each it is long enough to be stopped anywhere."""

ALWAYS = ["--save-every", "0"]
KILLS = 3


def start(folder: Path, *words: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    """Start the command on `text` in a folder, with files that cannot grow beyond a limit."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    command = [sys.executable, "-m", "rnnkit", "train-embeddings", *words]
    surroundings = None if limit_bytes is None else unmeasured.environment()
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, preexec_fn=limit, env=surroundings)


def resume(folder: Path, output: str, *words: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    return start(folder, "--output", output, "--resume", "--threads", "1", *words, limit_bytes=limit_bytes)


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if there() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("nothing was saved in a minute")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text of two topics, and vectors whose run nothing happened to."""
    folder = tmp_path_factory.mktemp("vectors")
    write_topics(folder / "text")
    finish(start(folder, "text", "--output", "whole", *LEARN))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but what measures time, the manifest with its checksum, and what a kill left half written."""
    left_out = (checkpoint.METRICS_FILE, manifest.NAME)
    files = (path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in left_out)
    return {path.name: path.read_bytes() for path in files}


def assert_same(folder: Path, output: str) -> None:
    """The vectors are those of the run that nothing happened to, byte for byte, and there is no checkpoint any more."""
    assert not any(path.is_dir() for path in (folder / output).iterdir())
    assert contents(folder / output) == contents(folder / "whole")
    assert manifest.find_mismatches(folder / output) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.exhaustive)]
)
def test_a_signal_saves_and_says_how_to_go_on(folder: Path, number: signal.Signals, code: int) -> None:
    output = folder / number.name
    process = start(folder, "text", "--output", number.name, *LEARN, *ALWAYS)
    wait_for(lambda: (output / "last" / "meta.json").exists(), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "interrupted\n  everything is saved in " in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    asked = subprocess.run(
        [sys.executable, "-m", "rnnkit", "neighbors", "wine", "--vectors", str(output), "--count", "3"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(asked.stdout.splitlines()) == 4, "the vectors as they are can be asked"
    finish(resume(folder, number.name))
    assert_same(folder, number.name)


def test_killed_at_random_moments_it_ends_byte_equal(folder: Path) -> None:
    moments, output = random.Random(1), folder / "killed"
    for _ in range(KILLS):
        begun = (output / manifest.NAME).exists()
        again = ["--resume", "--threads", "1"] if begun else ["text", *LEARN]
        process = start(folder, "--output", "killed", *again, *ALWAYS)
        wait_for(lambda: (output / manifest.NAME).exists(), process)
        time.sleep(moments.uniform(0, 1.5))
        process.kill()
        process.communicate()
        if checkpoint.exists(output / "last"):
            checkpoint.load(output / "last")
    finish(resume(folder, "killed"))
    assert_same(folder, "killed")


def test_killed_before_anything_is_written_it_starts_again(folder: Path) -> None:
    output = folder / "early"
    process = start(folder, "text", "--output", "early", *LEARN)
    wait_for(lambda: (output / ".lock").exists(), process)
    process.kill()
    process.communicate()
    again = resume(folder, "early") if (output / manifest.NAME).exists() else start(
        folder, "text", "--output", "early", *LEARN
    )  # fmt: skip
    finish(again)
    assert_same(folder, "early")


def test_a_full_disk_leaves_the_old_vectors(folder: Path) -> None:
    output = folder / "starved"
    process = start(folder, "text", "--output", "starved", *LEARN, *ALWAYS)
    wait_for(lambda: (output / "last" / "meta.json").exists(), process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    vectors = (output / "vectors.npy").read_bytes()
    step = checkpoint.load(output / "last").counters["loop"]["step"]
    starved = resume(folder, "starved", *ALWAYS, limit_bytes=len(vectors))
    _, errors = starved.communicate(timeout=60)
    assert starved.returncode == 1, errors
    assert "error: the disk is full: starved/last was not written" in errors
    assert "existing files are unchanged" in errors
    assert "Traceback" not in errors
    assert checkpoint.load(output / "last").counters["loop"]["step"] == step
    assert (output / "vectors.npy").read_bytes() == vectors
    assert len(formats.load(output).words) == 12
    finish(resume(folder, "starved"))
    assert_same(folder, "starved")
