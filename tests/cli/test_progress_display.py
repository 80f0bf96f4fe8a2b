"""Bars on a terminal: what is on the screen after each event, with a clock of the test's own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from rnnkit.cli.console import Console, write_line
from rnnkit.cli.progress_display import (
    PATIENCE,
    REFRESH,
    Pace,
    ProgressDisplay,
    bar_of_dashes,
    bar_words,
    fit,
    short_duration,
)
from rnnkit.errors import escape_control
from rnnkit.events import Note, Progress, Status

FACTS = {"loss": "5.123", "gradient": "1.09", "tokens/s": "2,192"}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Screen = Callable[[], list[str]]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Screen:
    """The lines of the last drawing, on a terminal of 80 columns."""
    for name, value in {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def read() -> list[str]:
        text = capsys.readouterr().err
        drawn = re.split(r"\x1b\[2K", text)[-1]
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", drawn).split("\n") if line.strip()]

    return read


def animated(clock: Clock) -> Console:
    console = Console(clock=clock)
    console._animated = True
    return console


def test_the_bar_keeps_its_width_at_80_columns(clock: Clock, screen: Screen) -> None:
    """Facts that do not fit are left out, whole; nothing is cut."""
    console = animated(clock)
    console.listen(Progress("training", 0, 3367, "steps"))
    for step in (50, 100):
        clock.now += 30
        console.listen(Progress("training", step, 3367, "steps", FACTS))
    (line,) = screen()
    assert len(line) <= 80
    assert line.count("━") + line.count("╸") + line.count("╺") == 12
    assert line.endswith(" 100/3,367 steps  33 min left  loss 5.123  2,192 tokens/s")
    console.close()


def test_long_names_and_counts_leave_the_bar_alone(clock: Clock, screen: Screen) -> None:
    console = animated(clock)
    for done in (0, 2_000_000, 4_000_000):
        clock.now += 30
        console.listen(Progress(f"tokenize {'名' * 20}.de", done, 20_000_000))
    (line,) = screen()
    assert line.startswith("tokenize 名名名名名名名… ━")
    assert line.count("━") + line.count("╸") + line.count("╺") == 12
    assert line.endswith("4,000,000/20,000,000 lines  4 min 0 s left")
    console.close()


def test_tasks_within_a_task_have_their_own_bars(clock: Clock, screen: Screen) -> None:
    console = animated(clock)
    console.listen(Progress("training", 50, 100, "steps"))
    for done in (0, 10):
        clock.now += 1
        console.listen(Progress("validation", done, 20))
    first, second = screen()
    assert first.startswith("training   ━")
    assert second.startswith("validation ━")
    console.close()


def test_a_moving_bar_appears_when_nothing_happens(clock: Clock, screen: Screen) -> None:
    display = ProgressDisplay(clock)
    display.set_status("loading the model")
    display.refresh()
    assert screen() == []
    clock.now += PATIENCE
    display.refresh()
    assert [line.split()[:3] for line in screen()] == [["loading", "the", "model"]]
    clock.now += 9.5
    display.refresh()
    assert screen()[0].endswith(" 10 s")
    display.set_status("")
    clock.now += 60
    display.refresh()
    assert screen() == [], "the stage waits for the user"
    display.stop()


def test_a_status_ends_with_the_next_event(clock: Clock, screen: Screen) -> None:
    console = animated(clock)
    console.listen(Progress("training", 1, 9, "steps"))
    console.listen(Status("saving"))
    clock.now += 1
    console._display.refresh()
    assert [line.split()[0] for line in screen()] == ["training", "saving"]
    console.listen(Progress("training", 2, 9, "steps"))
    clock.now += 1
    console._display.refresh()
    assert [line.split()[0] for line in screen()] == ["training"]
    console.close()


def test_lines_come_above_the_bars(clock: Clock, screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    console = animated(clock)
    for done in (1, 2):
        clock.now += 1
        console.listen(Progress("training", done, 9, "steps"))
    screen()
    console.listen(Note("step 2: bleu 3.1"))
    before, after = capsys.readouterr().err.split("step 2: bleu 3.1")
    assert "\x1b[2K" in before
    assert "training" in after
    console.close()


def test_the_thread_draws_beside_the_work(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.cli.console.is_animated", lambda stream: True)
    with Console() as console:
        time.sleep(PATIENCE + 0.6)
        shown = screen()
        assert shown
        assert shown[-1].startswith("starting ")
        write_line("a warning of a library")
        assert screen()[-1] == "a warning of a library", "the bar is removed first"
        console.listen(Status(""))
        time.sleep(PATIENCE + 0.6)
        assert screen() == []


def test_bars_without_colors(clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a bar is dashed, because no color sets it off."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = animated(clock)
    for done in (0, 25):
        clock.now += 1
        console.listen(Progress("vocab", done, 100))
    assert screen() == ["vocab ━━━┄┄┄┄┄┄┄┄┄ 25/100 lines  3 s left  25 lines/s"]
    console.close()
    moving = [bar_of_dashes(0, None, step * REFRESH) for step in range(11)]
    assert moving[:2] == ["━━━┄┄┄┄┄┄┄┄┄", "┄━━━┄┄┄┄┄┄┄┄"]
    assert moving[9:] == ["┄┄┄┄┄┄┄┄┄━━━", moving[0]]


def test_facts_are_left_out_from_the_end() -> None:
    words = ["12 of 50", "3 s left", "loss 3.1"]
    assert fit(words, 40) == "12 of 50  3 s left  loss 3.1"
    assert fit(words, 27) == "12 of 50  3 s left"
    assert fit(words, 4) == "12 …"


def test_the_speed_is_measured_after_the_first_units() -> None:
    """The first step of training compiles kernels: it says nothing about the others."""
    pace = Pace.begin(Progress("training", 0, 100, "steps"), 0.0)
    first = Progress("training", 1, 100, "steps")
    pace.update(first, 60.0)
    assert pace.seconds_left(first, 60.0) == 99 * 60
    later = Progress("training", 11, 100, "steps")
    pace.update(later, 65.0)
    assert pace.seconds_left(later, 65.0) == pytest.approx(89 / 2)
    assert bar_words(later, pace, 65.0) == ["11/100 steps", "44 s left", "2.0 steps/s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (560, "9 min 20 s"), (2593, "43 min"), (7500, "2 h 5 min")],
)
def test_short_duration(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


def test_names_are_escaped(clock: Clock, screen: Screen) -> None:
    console = animated(clock)
    console.listen(Progress("\x1b[31mred\n", 1, 9, "\x1b]0;t\x07"))
    clock.now += 1
    console.listen(Progress("\x1b[31mred\n", 2, 9, "\x1b]0;t\x07"))
    (line,) = screen()
    assert escape_control(line) == line
    assert line.startswith(r"\x1b[31mred\n ")
    console.close()
