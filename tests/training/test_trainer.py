"""The trainer with a task of plain numbers: stopping, validation, resuming, signals."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import Interrupted, TrainingError
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.training import checkpoint
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.hyperparameter_search import HALVED, OUT_OF_TIME, STOPPED, SuccessiveHalving, TrialLimit
from rnnkit.training.schedules import Schedule
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import LossScaling, StepReport, Validation
from rnnkit.training.trainer import Trainer, TrainingContext, TrainingPlan


class Numbers:
    """Endless batches: 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self.next = 1

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.next += 1
        return self.next - 1

    def state_dict(self) -> dict[str, int]:
        return {"epoch": 0, "batch": self.next}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.next = state["batch"]


class Sum:
    """Sums learning rate times batch times a random number: a step that is lost or repeated changes the sum."""

    def __init__(self) -> None:
        self.value = np.zeros(1)
        self.random = np.random.default_rng(5)
        self.kept: list[tuple[str, int]] = []
        self.before_step: Callable[[int], None] = lambda batch: None

    def step(self, batch: int, learning_rate: float) -> StepReport:
        self.before_step(batch)
        self.value = self.value * 1.01 + learning_rate * batch * self.random.random()
        return StepReport(loss=2.0 * batch, nll=1.0 * batch, tokens=2, gradient_norm=float(batch))

    def state_dict(self) -> Mapping[str, Arrays]:
        state = json.dumps(self.random.bit_generator.state).encode()
        return {"value": {"value": self.value}, "random": {"state": np.frombuffer(state, dtype=np.uint8)}}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        self.value = state["value"]["value"]
        self.random.bit_generator.state = json.loads(state["random"]["state"].tobytes())

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        self.kept.append((name, facts["step"]))


def make(
    folder: Path,
    scores: list[float] | None = None,
    heard: list[Event] | None = None,
    limit: TrialLimit | None = None,
    **plan: Any,
) -> Any:
    folder.mkdir(exist_ok=True)
    task = Sum()
    remaining = iter(scores or [])

    def validate(stop: StopRequest) -> Validation | None:
        if stop:
            return None
        score = next(remaining, 0.0)
        return Validation(score, {"loss": -score}, ("ein Satz -> a sentence",))

    settings = {"steps": 12, "validate_every": 4, "report_every": 3, "save_seconds": 1e9, **plan}
    listen = heard.append if heard is not None else lambda event: None
    schedule = Schedule("plateau", peak=1.0, warmup=3, total=12, plateau_patience=1)
    context = TrainingContext(folder, listen, limit=limit)
    return task, Trainer(task, Numbers(), schedule, TrainingPlan(**settings), validate, context)


def test_a_run_keeps_the_best_weights(tmp_path: Path) -> None:
    heard: list[Event] = []
    task, trainer = make(tmp_path, [1.0, 3.0, 2.0], heard)
    counters = trainer.run()
    assert (counters.step, counters.best_step, counters.best_score, counters.tokens) == (12, 8, 3.0, 24)
    assert [kept for kept in task.kept if kept[0] == "best"] == [("best", 4), ("best", 8)]
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert "step 8: loss -3 (best so far)" in notes
    assert "  ein Satz -> a sentence" in notes


def test_metrics_are_means_per_token(tmp_path: Path) -> None:
    make(tmp_path)[1].run()
    first = next(iter(checkpoint.read_metrics(tmp_path / checkpoint.METRICS_FILE)))
    assert first["step"] == 3
    assert first["loss"] == pytest.approx((2 + 4 + 6) / 6)
    assert first["nll"] == pytest.approx((1 + 2 + 3) / 6)
    assert first["gradient_norm"] == pytest.approx(2.0)
    assert first["learning_rate"] == 1.0
    assert first["target_tokens_per_second"] > 0


def test_progress_is_reported_from_the_first_step_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two lines of metrics it shows those of the last window, until the new window is long enough."""
    monkeypatch.setattr("rnnkit.training.trainer.PROGRESS_SECONDS", 0.0)
    heard: list[Event] = []
    make(tmp_path, heard=heard, report_every=4, steps=8)[1].run()
    progress = [event for event in heard if isinstance(event, Progress)]
    assert [event.done for event in progress] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    losses = [event.facts["loss"] for event in progress[1:-1]]
    assert losses == ["1.000", "1.500", "2.000", "2.500", "2.500", "5.500", "6.000", "6.500"]
    records = checkpoint.read_metrics(tmp_path / checkpoint.METRICS_FILE)
    assert len([record for record in records if "loss" in record]) == 2


def test_progress_events_are_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.training.trainer.PROGRESS_SECONDS", 60.0)
    heard: list[Event] = []
    make(tmp_path, heard=heard, report_every=4, steps=8)[1].run()
    assert [event.done for event in heard if isinstance(event, Progress)] == [0, 4, 8, 8]


def test_early_stopping_ends_training(tmp_path: Path) -> None:
    heard: list[Event] = []
    _, trainer = make(tmp_path, [5.0, 4.0, 3.0, 9.0], heard, steps=100, patience=2)
    assert trainer.run().step == 12
    assert Note("early stopping: no improvement in 2 validations") in heard


@pytest.mark.parametrize("stop_at", [1, 4, 5, 8, 11, 12])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_resumed_run_equals_one_never_interrupted(tmp_path: Path, stop_at: int, number: signal.Signals) -> None:
    """The signal saves a checkpoint."""
    whole_task, whole = make(tmp_path / "whole", [1.0, 0.5, 0.2])
    whole.run()
    task, trainer = make(tmp_path / "cut", [1.0, 0.5, 0.2])
    task.before_step = lambda batch: os.kill(os.getpid(), number) if batch == stop_at else None
    with pytest.raises(Interrupted) as raised:
        trainer.run()
    assert raised.value.exit_code == 128 + number
    assert f"at step {stop_at}" in str(raised.value)
    assert "--resume" in str(raised.value)

    done = sum(1 for step in (4, 8, 12) if step < stop_at)
    task, trainer = make(tmp_path / "cut", [1.0, 0.5, 0.2][done:])
    trainer.resume()
    counters = trainer.run()
    assert counters.step == 12
    assert task.value.tobytes() == whole_task.value.tobytes()
    assert counters.best_step == whole.counters.best_step
    steps = [
        record["step"]
        for record in checkpoint.read_metrics(tmp_path / "cut" / checkpoint.METRICS_FILE)
        if "validation" in record
    ]
    assert steps == [4, 8, 12]


@pytest.mark.parametrize("why", [OUT_OF_TIME, HALVED, STOPPED])
def test_a_trial_ends_early_and_can_be_resumed(tmp_path: Path, why: str) -> None:
    whole_task, whole = make(tmp_path / "whole", [1.0, 0.5, 0.2])
    whole.run()
    halving, seconds = SuccessiveHalving(), [0.0]
    limit = TrialLimit(10.0, halving if why == HALVED else None, clock=lambda: seconds[0])
    for _ in range(2):
        halving.continues(0, 2.0)
    task, trainer = make(tmp_path / "cut", [1.0, 0.7], limit=limit)

    def before_step(batch: int) -> None:
        if batch == 6 and why == OUT_OF_TIME:
            seconds[0] = 10.0
        if batch == 6 and why == STOPPED:
            os.kill(os.getpid(), signal.SIGINT)

    task.before_step = before_step
    counters = trainer.run()
    assert counters.step == {OUT_OF_TIME: 6, HALVED: 4, STOPPED: 6}[why]
    assert (counters.done, counters.best_step, limit.ending, limit.score) == (False, 4, why, 1.0)
    task, trainer = make(tmp_path / "cut", [0.5, 0.2])
    trainer.resume()
    assert trainer.run().step == 12
    assert task.value.tobytes() == whole_task.value.tobytes()


def test_a_trial_without_a_validation_is_interrupted(tmp_path: Path) -> None:
    task, trainer = make(tmp_path, limit=TrialLimit(math.inf))
    task.before_step = lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == 2 else None
    with pytest.raises(Interrupted):
        trainer.run()


def test_a_trial_without_time_takes_a_step_and_is_validated(tmp_path: Path) -> None:
    _, trainer = make(tmp_path, [3.0], limit=TrialLimit(0.0))
    counters = trainer.run()
    assert (counters.step, counters.best_step, counters.best_score) == (1, 1, 3.0)


def test_a_finished_run_that_is_resumed_does_nothing(tmp_path: Path) -> None:
    task, trainer = make(tmp_path)
    trainer.run()
    again, trainer = make(tmp_path)
    trainer.resume()
    trainer.run()
    assert again.value.tobytes() == task.value.tobytes()
    assert again.kept == []


def test_a_loss_of_nan_ends_the_run(tmp_path: Path) -> None:
    task, trainer = make(tmp_path)
    step = task.step
    task.step = lambda batch, learning_rate: (
        StepReport(math.nan, 1.0, 1, 1.0) if batch == 6 else step(batch, learning_rate)
    )
    with raises(TrainingError, "diverged", "at step 6", "--learning-rate", path=tmp_path):
        trainer.run()
    _, trainer = make(tmp_path)
    trainer.resume()
    assert trainer.counters.step == 4, "the checkpoint of the last validation is complete"


def scale_losses(task: Sum, overflows: set[int], start: float = 1024.0) -> None:
    """Let the task skip the steps of these batches and halve its loss scale."""
    step, scale = task.step, start

    def scaled(batch: int, learning_rate: float) -> StepReport:
        nonlocal scale
        report, skipped = step(batch, learning_rate), batch in overflows
        scale = scale / 2 if skipped else scale
        return replace(
            report, gradient_norm=0.0 if skipped else report.gradient_norm, scaling=LossScaling(scale, skipped)
        )

    task.step = scaled  # type: ignore[method-assign]


def test_skipped_steps_are_counted_and_reported(tmp_path: Path) -> None:
    """They are in every line of metrics; a warning comes if they are many."""
    heard: list[Event] = []
    task, trainer = make(tmp_path, heard=heard, report_every=4)
    scale_losses(task, {1, 2, 4, 7})
    counters = trainer.run()
    assert (counters.step, counters.skipped_steps) == (12, 4), "a skipped step counts as a step of the plan"
    records = [record for record in checkpoint.read_metrics(tmp_path / checkpoint.METRICS_FILE) if "loss" in record]
    assert [(record["loss_scale"], record["skipped_steps"]) for record in records] == [(128, 3), (64, 1), (64, 0)]
    assert [record["gradient_norm"] for record in records] == [3, (5 + 6 + 8) / 3, (9 + 10 + 11 + 12) / 4]
    (warning,) = [event.text for event in heard if isinstance(event, WarningEvent)]
    for value in ("step 4", "3 of the last 4 steps", "loss scale is now 128", "--precision bf16"):
        assert value in warning
    reported = {event.done: event.facts for event in heard if isinstance(event, Progress) and event.facts}
    assert [reported[step].get("skipped") for step in (4, 8, 12)] == ["3 steps", "1 step", None]
    assert checkpoint.load(tmp_path / "last").counters["loop"]["skipped"] == 4


def test_a_resumed_run_keeps_the_count_of_skipped_steps(tmp_path: Path) -> None:
    task, trainer = make(tmp_path)
    task.before_step = lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == 7 else None
    scale_losses(task, {2, 6, 9})
    with pytest.raises(Interrupted):
        trainer.run()
    task, trainer = make(tmp_path)
    scale_losses(task, {2, 6, 9})
    trainer.resume()
    assert trainer.counters.skipped_steps == 2
    assert trainer.run().skipped_steps == 3


def test_older_checkpoints_without_skipped_steps_load(tmp_path: Path) -> None:
    make(tmp_path)[1].run()
    saved = checkpoint.load(tmp_path / "last")
    del saved.counters["loop"]["skipped"]
    checkpoint.save(tmp_path / "last", saved)
    _, trainer = make(tmp_path)
    trainer.resume()
    assert (trainer.counters.step, trainer.counters.skipped_steps) == (12, 0)


def test_a_gradient_that_always_overflows_ends_the_run(tmp_path: Path) -> None:
    """The error suggests precisions with a larger range."""
    task, trainer = make(tmp_path)
    scale_losses(task, {5, 6, 7, 8, 9, 10, 11}, start=4.0)
    with raises(TrainingError, "overflows float16", "at step 7", "--precision bf16", path=tmp_path):
        trainer.run()
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 4


def test_an_infinite_scaled_loss_ends_the_run(tmp_path: Path) -> None:
    task, trainer = make(tmp_path)
    task.step = lambda batch, learning_rate: StepReport(math.inf, 1.0, 1, scaling=LossScaling(2.0**15, True))
    with raises(TrainingError, "diverged", "at step 1", "--precision bf16"):
        trainer.run()


def test_signal_handlers_are_restored(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    make(tmp_path)[1].run()
    assert signal.getsignal(signal.SIGTERM) is before


def make_unvalidated(folder: Path, heard: list[Event] | None = None, **plan: Any) -> tuple[Sum, Trainer[int]]:
    """A run without validation, of a task that counts words."""
    folder.mkdir(exist_ok=True)
    task = Sum()
    step = task.step
    task.step = lambda batch, learning_rate: replace(step(batch, learning_rate), words=5)  # type: ignore[method-assign]
    settings = {"steps": 12, "validate_every": 12, "report_every": 3, "save_seconds": 1e9, **plan}
    schedule = Schedule("linear", peak=1.0, warmup=0, total=12)
    listen = heard.append if heard is not None else lambda event: None
    return task, Trainer(task, Numbers(), schedule, TrainingPlan(**settings), None, TrainingContext(folder, listen))


def test_a_run_without_validation_ends_after_its_steps(tmp_path: Path) -> None:
    heard: list[Event] = []
    task, trainer = make_unvalidated(tmp_path, heard)
    counters = trainer.run()
    assert (counters.step, counters.words, counters.done) == (12, 60, True)
    assert task.kept == [], "without validation no weights are best"
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 12
    records = list(checkpoint.read_metrics(tmp_path / checkpoint.METRICS_FILE))
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    assert records[0]["words_per_second"] > 0
    assert "target_tokens_per_second" not in records[0]
    assert records[-1]["learning_rate"] == pytest.approx(1 / 12), "the last step has a learning rate"
    progress = [event for event in heard if isinstance(event, Progress)]
    assert (progress[0].done, progress[0].total) == (0, 12), "the progress bar starts before the first step"
    shown = [event.facts for event in progress if event.facts]
    assert all("words/s" in facts and "tokens/s" not in facts for facts in shown)


@pytest.mark.parametrize("stop_at", [1, 3, 7, 11])
def test_a_run_without_validation_resumes(tmp_path: Path, stop_at: int) -> None:
    whole, trainer = make_unvalidated(tmp_path / "whole")
    trainer.run()
    task, trainer = make_unvalidated(tmp_path / "cut")
    task.before_step = lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == stop_at else None
    with pytest.raises(Interrupted, match=f"at step {stop_at}"):
        trainer.run()
    task, trainer = make_unvalidated(tmp_path / "cut")
    trainer.resume()
    assert trainer.counters.words == 5 * stop_at
    assert trainer.run().words == 60
    assert task.value.tobytes() == whole.value.tobytes()


def test_saving_at_the_end_can_be_disabled(tmp_path: Path) -> None:
    make_unvalidated(tmp_path, save_at_end=False)[1].run()
    assert not (tmp_path / "last").exists(), "the caller writes the result"
    make_unvalidated(tmp_path, save_at_end=False, save_seconds=0.0)[1].run()
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 11, "but earlier steps are"
