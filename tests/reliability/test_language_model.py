"""A language model's training command, killed at any moment: it ends as a run that nothing happened to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reliability.runs import assert_survives_kills, run_whole
from tests.workspaces import SMALL_TEXT, make_text_workspace

SMALL = [*SMALL_TEXT, "--vary-steps", "--weight-drop", "0.2", "--mean-decay", "0.9"]
KILLS = 2
MANY_KILLS = 20


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_workspace(tmp_path_factory.mktemp("reliability"))


@pytest.fixture(scope="module")
def whole(work: Path) -> tuple[Path, float]:
    return run_whole(work, SMALL)


def test_killed_at_random_moments_it_ends_bit_equal(work: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    assert_survives_kills(work, SMALL, whole, tmp_path / "model", KILLS, seed=1)


@pytest.mark.slow
def test_killed_many_times_it_ends_bit_equal(work: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    for seed in range(2, 2 + MANY_KILLS // 5):
        assert_survives_kills(work, SMALL, whole, tmp_path / f"model{seed}", 5, seed)
