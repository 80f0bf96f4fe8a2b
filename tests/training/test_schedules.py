"""Learning rates against their formulas."""

from __future__ import annotations

import math

import pytest

from rnnkit.training.schedules import SCHEDULES, Schedule


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "onecycle"])
def test_every_schedule_warms_up_to_the_peak(name: str) -> None:
    schedule = Schedule(name, peak=0.4, warmup=4, total=20)  # type: ignore[arg-type]
    assert [schedule.learning_rate(step) for step in range(1, 5)] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_cosine_falls_to_zero_over_the_steps_after_warm_up() -> None:
    schedule = Schedule("cosine", peak=2.0, warmup=10, total=50)
    assert schedule.learning_rate(30) == pytest.approx(1.0)
    assert schedule.learning_rate(40) == pytest.approx(1 + math.cos(0.75 * math.pi))
    assert schedule.learning_rate(50) == pytest.approx(0.0)
    assert schedule.learning_rate(60) == pytest.approx(0.0), "it stays there"


def test_linear_keeps_a_rate_for_the_last_step() -> None:
    schedule = Schedule("linear", peak=2.0, warmup=0, total=5)
    assert [schedule.learning_rate(step) for step in range(1, 8)] == pytest.approx([2.0, 1.6, 1.2, 0.8, 0.4, 0.0, 0.0])
    warmed = Schedule("linear", peak=2.0, warmup=10, total=15)
    assert [warmed.learning_rate(step) for step in range(10, 17)] == pytest.approx([2.0, 2.0, 1.6, 1.2, 0.8, 0.4, 0.0])


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    schedule = Schedule("onecycle", peak=2.0, warmup=7, total=1000)
    rates = [schedule.learning_rate(step) for step in range(1, 1001)]
    assert rates[0] == pytest.approx(2.0 / 25, rel=0.01)
    assert max(rates) == pytest.approx(2.0)
    assert rates.index(max(rates)) + 1 == 300
    assert rates[149] == pytest.approx(2.0 * (1 / 25 + 1) / 2)
    assert rates[649] == pytest.approx(1.0, rel=0.01)
    assert rates[-1] == pytest.approx(2e-4)
    assert schedule.learning_rate(2000) == rates[-1], "it stays there"


def test_constant_stays() -> None:
    schedule = Schedule("constant", peak=0.5, warmup=0, total=10)
    assert schedule.learning_rate(1) == schedule.learning_rate(1000) == 0.5


def test_plateau_halves_when_patience_runs_out() -> None:
    schedule = Schedule("plateau", peak=1.0, warmup=0, total=10, plateau_patience=2)
    rates = []
    for improved in (True, False, False, False, True, False, False):
        schedule.update(improved)
        rates.append(schedule.learning_rate(5))
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_a_schedule_resumes_from_its_state() -> None:
    first, second = (Schedule("plateau", peak=1.0, warmup=0, total=10) for _ in range(2))
    for improved in (True, False, False, False):
        first.update(improved)
    second.load_state_dict(first.state_dict())
    first.update(False)
    second.update(False)
    assert first.learning_rate(9) == second.learning_rate(9) == 0.25
