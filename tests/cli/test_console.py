"""Progress lines and durations, with a clock of the test's own."""

from __future__ import annotations

import pytest

from rnnkit.cli.console import Console, amount, duration, write_line
from rnnkit.events import Note, Progress


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_plain_lines_come_at_intervals(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(clock=clock)
    for second in range(26):
        clock.now = 100.0 + second
        console.listen(Progress("training", 500 + 10 * second, 1000, "steps", {"tokens/s": "2,690", "loss": "3.2"}))
    clock.now = 150.0
    console.listen(Progress("training", 1000, 1000, "steps", {"loss": "3.1"}, finished=True))
    assert capsys.readouterr().err.splitlines() == [
        "training: 600 of 1,000 steps (60%), 40 s left, 2,690 tokens/s, loss 3.2",
        "training: 700 of 1,000 steps (70%), 30 s left, 2,690 tokens/s, loss 3.2",
        "training: 1,000 steps in 50 s, loss 3.1",
    ]


def test_a_rate_is_computed_where_the_stage_gives_none(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(clock=clock)
    console.listen(Progress("vocab", 0))
    clock.now += 20
    console.listen(Progress("vocab", 50_000))
    clock.now += 20
    console.listen(Progress("slow", 0))
    clock.now += 20
    console.listen(Progress("slow", 30))
    assert capsys.readouterr().err.splitlines() == ["vocab: 50,000 lines, 2,500 lines/s", "slow: 30 lines, 1.5 lines/s"]


def test_the_end_of_a_part_is_not_worth_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(clock=clock)
    console.listen(Progress("training", 1, 2, "steps"))
    console.listen(Progress("validation", 0, 5))
    clock.now += 5
    console.listen(Progress("validation", 5, 5, finished=True))
    console.listen(Progress("training", 2, 2, "steps", finished=True))
    assert capsys.readouterr().err.splitlines() == ["training: 2 steps in 5.0 s"]


def test_what_is_done_at_once_ends_without_a_word(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(clock=clock)
    console.listen(Progress("verify", 0, 3))
    clock.now += 0.9
    console.listen(Progress("verify", 3, 3, finished=True))
    assert capsys.readouterr().err == ""


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True, clock=clock)
    console.listen(Note("a note"))
    console.listen(Progress("vocab", 1, 1, finished=True))
    console.write("a result")
    assert capsys.readouterr() == ("a result\n", "")


def test_report_as_text_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console().report("BLEU 38.1", {"bleu": 38.1, "name": "ä"})
    Console(json=True).report("BLEU 38.1", {"bleu": 38.1, "name": "ä"})
    assert capsys.readouterr().out == 'BLEU 38.1\n{"bleu": 38.1, "name": "ä"}\n'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (45.4, "45 s"),
        (59.9, "1 min 0 s"),
        (723, "12 min 3 s"),
        (7500, "2 h 5 min"),
        (7199.9, "2 h 0 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_messages_are_broken_between_words_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets each message as one line."""
    hint = "  hint: leave out --hidden, or make another model"
    text = f"the model in {'a' * 30}/model was trained with other options\n{hint}"
    write_line(text)
    assert capsys.readouterr().err == f"{text}\n"
    monkeypatch.setattr("rnnkit.cli.console.is_animated", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "50")
    write_line("  hint: count the lines of both, for example with `rnnkit inspect FILE`")
    assert capsys.readouterr().err.splitlines() == [
        "  hint: count the lines of both, for example with",
        "    `rnnkit inspect FILE`",
    ]
    monkeypatch.delenv("NO_COLOR", raising=False)
    write_line(text, ("warning:", "33"))
    assert capsys.readouterr().err.splitlines() == [
        "\x1b[33mwarning:\x1b[0m the model in",
        f"  {'a' * 30}/model was trained",
        "  with other options",
        "  hint: leave out --hidden, or make another model",
    ]


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (1, "steps", "1 step"),
        (2000, "ids", "2,000 ids"),
        (1, "vocabularies", "1 vocabulary"),
        (0, "files", "0 files"),
    ],
)
def test_a_unit_agrees_with_its_number(number: int, unit: str, text: str) -> None:
    assert amount(number, unit) == text
