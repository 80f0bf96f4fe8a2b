"""The real training commands, killed, signalled and starved of disk: they end as a run that nothing happened to."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.reliability.runs import assert_same, assert_survives_kills, finish, run_whole, start, wait_for
from tests.workspaces import SMALL, SMALL_TEXT, make_text_workspace, make_workspace

from rnnkit.training import checkpoint

TEXT = [*SMALL_TEXT, "--vary-steps", "--weight-drop", "0.2", "--mean-decay", "0.9"]


@dataclass(frozen=True)
class Victim:
    """A run that is to be killed, beside the same run to which nothing happened."""

    work: Path
    small: list[str]
    whole: tuple[Path, float]
    kills: int
    many_kills: int


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("reliability"))


@pytest.fixture(scope="module")
def whole(work: Path) -> tuple[Path, float]:
    return run_whole(work, SMALL)


@pytest.fixture(scope="module")
def translation(work: Path, whole: tuple[Path, float]) -> Victim:
    return Victim(work, SMALL, whole, kills=3, many_kills=25)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    work = make_text_workspace(tmp_path_factory.mktemp("reliability"))
    return Victim(work, TEXT, run_whole(work, TEXT), kills=2, many_kills=20)


@pytest.fixture(params=["translation", pytest.param("language_model", marks=pytest.mark.exhaustive)])
def victim(request: pytest.FixtureRequest) -> Victim:
    found: Victim = request.getfixturevalue(request.param)
    return found


def test_killed_at_random_moments_it_ends_bit_equal(victim: Victim, tmp_path: Path) -> None:
    assert_survives_kills(victim.work, victim.small, victim.whole, tmp_path / "model", victim.kills, seed=1)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_killed_many_times_it_ends_bit_equal(victim: Victim, tmp_path: Path) -> None:
    for seed in range(2, 2 + victim.many_kills // 5):
        assert_survives_kills(victim.work, victim.small, victim.whole, tmp_path / f"model{seed}", 5, seed)


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.exhaustive), (signal.SIGINT, 130)]
)
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
    assert "existing files are unchanged" in errors
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
