"""The loop with a task made of plain numbers: stops, validations, resumption, signals."""

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

from rnnkit.errors import Interrupted, TrainingError
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.training import checkpoint, metrics
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.schedules import Schedule
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import LossScaling, StepReport, Validation
from rnnkit.training.trainer import Trainer, TrainingPlan


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
    """Learns the sum of rate times batch, stirred by a random number: any step lost or done twice shows."""

    def __init__(self) -> None:
        self.value = np.zeros(1)
        self.random = np.random.default_rng(5)
        self.kept: list[tuple[str, int]] = []
        self.before_step: Callable[[int], None] = lambda batch: None

    def step(self, batch: int, rate: float) -> StepReport:
        self.before_step(batch)
        self.value = self.value * 1.01 + rate * batch * self.random.random()
        return StepReport(loss=2.0 * batch, nll=1.0 * batch, tokens=2, gradient_norm=float(batch))

    def state_dict(self) -> Mapping[str, Arrays]:
        state = json.dumps(self.random.bit_generator.state).encode()
        return {"value": {"value": self.value}, "random": {"state": np.frombuffer(state, dtype=np.uint8)}}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        self.value = state["value"]["value"]
        self.random.bit_generator.state = json.loads(state["random"]["state"].tobytes())

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        self.kept.append((name, facts["step"]))


def make(folder: Path, scores: list[float] | None = None, heard: list[Event] | None = None, **plan: Any) -> Any:
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
    return task, Trainer(task, Numbers(), schedule, TrainingPlan(**settings), folder, validate, listen)


def test_it_runs_to_the_end_and_keeps_the_best(tmp_path: Path) -> None:
    heard: list[Event] = []
    task, loop = make(tmp_path, [1.0, 3.0, 2.0], heard)
    counters = loop.run()
    assert (counters.step, counters.best_step, counters.best_score, counters.tokens) == (12, 8, 3.0, 24)
    assert [kept for kept in task.kept if kept[0] == "best"] == [("best", 4), ("best", 8)]
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert "step 8: loss -3 (best so far)" in notes
    assert "  ein Satz -> a sentence" in notes


def test_metrics_are_means_a_token_and_the_norm_before_clipping(tmp_path: Path) -> None:
    make(tmp_path)[1].run()
    first = next(iter(metrics.read(tmp_path / metrics.METRICS_FILE)))
    assert first["step"] == 3
    assert first["loss"] == pytest.approx((2 + 4 + 6) / 6)
    assert first["nll"] == pytest.approx((1 + 2 + 3) / 6)
    assert first["gradient_norm"] == pytest.approx(2.0)
    assert first["learning_rate"] == 1.0
    assert first["target_tokens_per_second"] > 0


def test_patience_ends_it(tmp_path: Path) -> None:
    heard: list[Event] = []
    _, loop = make(tmp_path, [5.0, 4.0, 3.0, 9.0], heard, steps=100, patience=2)
    assert loop.run().step == 12
    assert Note("no better for 2 validations: training ends here") in heard


@pytest.mark.parametrize("stop_at", [1, 4, 5, 8, 11, 12])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_resumed_run_equals_one_never_interrupted(tmp_path: Path, stop_at: int, number: signal.Signals) -> None:
    """The signal saves a checkpoint."""
    whole_task, whole = make(tmp_path / "whole", [1.0, 0.5, 0.2])
    whole.run()
    task, loop = make(tmp_path / "cut", [1.0, 0.5, 0.2])
    task.before_step = lambda batch: os.kill(os.getpid(), number) if batch == stop_at else None
    with pytest.raises(Interrupted) as raised:
        loop.run()
    assert raised.value.exit_code == 128 + number
    assert f"at step {stop_at}" in str(raised.value)
    assert "--resume" in str(raised.value)

    done = sum(1 for step in (4, 8, 12) if step < stop_at)
    task, loop = make(tmp_path / "cut", [1.0, 0.5, 0.2][done:])
    loop.resume()
    counters = loop.run()
    assert counters.step == 12
    assert task.value.tobytes() == whole_task.value.tobytes()
    assert counters.best_step == whole.counters.best_step
    steps = [
        record["step"] for record in metrics.read(tmp_path / "cut" / metrics.METRICS_FILE) if "validation" in record
    ]
    assert steps == [4, 8, 12]


def test_a_finished_run_that_is_resumed_does_nothing(tmp_path: Path) -> None:
    task, loop = make(tmp_path)
    loop.run()
    again, loop = make(tmp_path)
    loop.resume()
    loop.run()
    assert again.value.tobytes() == task.value.tobytes()
    assert again.kept == []


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path) -> None:
    task, loop = make(tmp_path)
    step = task.step
    task.step = lambda batch, rate: StepReport(math.nan, 1.0, 1, 1.0) if batch == 6 else step(batch, rate)
    with pytest.raises(TrainingError) as raised:
        loop.run()
    assert "no longer a number at step 6" in str(raised.value)
    assert f"what is saved in {tmp_path} is from before" in str(raised.value)
    assert "--learning-rate" in str(raised.value)
    _, loop = make(tmp_path)
    loop.resume()
    assert loop.counters.step == 4, "the checkpoint of the last validation is whole"


def scale_losses(task: Sum, overflows: set[int], start: float = 1024.0) -> None:
    """Let the task skip the steps of these batches, and halve its scale."""
    step, scale = task.step, start

    def scaled(batch: int, rate: float) -> StepReport:
        nonlocal scale
        report, skipped = step(batch, rate), batch in overflows
        scale = scale / 2 if skipped else scale
        return replace(
            report, gradient_norm=0.0 if skipped else report.gradient_norm, scaling=LossScaling(scale, skipped)
        )

    task.step = scaled  # type: ignore[method-assign]


def test_skipped_steps_are_counted_and_reported(tmp_path: Path) -> None:
    """They are in every line of metrics; a warning comes if they are many."""
    heard: list[Event] = []
    task, loop = make(tmp_path, heard=heard, report_every=4)
    scale_losses(task, {1, 2, 4, 7})
    counters = loop.run()
    assert (counters.step, counters.skipped_steps) == (12, 4), (
        "a skipped step is a step, so that the plan stays what it is"
    )
    records = [record for record in metrics.read(tmp_path / metrics.METRICS_FILE) if "loss" in record]
    assert [(record["loss_scale"], record["skipped_steps"]) for record in records] == [(128, 3), (64, 1), (64, 0)]
    assert [record["gradient_norm"] for record in records] == [3, (5 + 6 + 8) / 3, (9 + 10 + 11 + 12) / 4]
    assert [event.text for event in heard if isinstance(event, WarningEvent)] == [
        "step 4: 3 of the last 4 steps were skipped, for their gradient overflowed float16; the loss scale is 128 now. "
        "--precision bf16 or fp32 skips none"
    ]
    shown = [event.facts.get("skipped") for event in heard if isinstance(event, Progress) and event.facts]
    assert shown == ["3 steps", "1 steps", None]
    assert checkpoint.load(tmp_path / "last").counters["loop"]["skipped"] == 4


def test_skipped_steps_are_counted_on_after_a_stop(tmp_path: Path) -> None:
    task, loop = make(tmp_path)
    task.before_step = lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == 7 else None
    scale_losses(task, {2, 6, 9})
    with pytest.raises(Interrupted):
        loop.run()
    task, loop = make(tmp_path)
    scale_losses(task, {2, 6, 9})
    loop.resume()
    assert loop.counters.skipped_steps == 2
    assert loop.run().skipped_steps == 3


def test_checkpoints_from_before_steps_could_be_skipped_are_read(tmp_path: Path) -> None:
    make(tmp_path)[1].run()
    saved = checkpoint.load(tmp_path / "last")
    del saved.counters["loop"]["skipped"]
    checkpoint.save(tmp_path / "last", saved)
    _, loop = make(tmp_path)
    loop.resume()
    assert (loop.counters.step, loop.counters.skipped_steps) == (12, 0)


def test_a_gradient_that_always_overflows_ends_the_run(tmp_path: Path) -> None:
    """The error suggests precisions with a larger range."""
    task, loop = make(tmp_path)
    scale_losses(task, {5, 6, 7, 8, 9, 10, 11}, start=4.0)
    with pytest.raises(TrainingError) as raised:
        loop.run()
    assert "the gradient overflows float16 although the loss is not scaled up any more at step 7" in str(raised.value)
    assert "--precision bf16 and fp32 have room for larger numbers" in str(raised.value.hint)
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 4


def test_a_scaled_loss_that_is_no_number_is_an_error_at_once(tmp_path: Path) -> None:
    task, loop = make(tmp_path)
    task.step = lambda batch, rate: StepReport(math.inf, 1.0, 1, scaling=LossScaling(2.0**15, True))
    with pytest.raises(TrainingError, match="no longer a number at step 1") as raised:
        loop.run()
    assert "--precision bf16 and fp32" in str(raised.value.hint)


def test_old_handlers_are_back_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    make(tmp_path)[1].run()
    assert signal.getsignal(signal.SIGTERM) is before


def make_unmeasured(folder: Path, heard: list[Event] | None = None, **plan: Any) -> tuple[Sum, Trainer[int]]:
    """A run that nobody validates, of a task that counts words."""
    folder.mkdir(exist_ok=True)
    task = Sum()
    step = task.step
    task.step = lambda batch, rate: replace(step(batch, rate), words=5)  # type: ignore[method-assign]
    settings = {"steps": 12, "validate_every": 12, "report_every": 3, "save_seconds": 1e9, **plan}
    schedule = Schedule("linear", peak=1.0, warmup=0, total=12)
    listen = heard.append if heard is not None else lambda event: None
    return task, Trainer(task, Numbers(), schedule, TrainingPlan(**settings), folder, None, listen)


def test_a_run_that_is_not_validated_ends_after_its_steps(tmp_path: Path) -> None:
    heard: list[Event] = []
    task, loop = make_unmeasured(tmp_path, heard)
    counters = loop.run()
    assert (counters.step, counters.words, counters.done) == (12, 60, True)
    assert task.kept == [], "no weights are better than others"
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 12
    records = list(metrics.read(tmp_path / metrics.METRICS_FILE))
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    assert records[0]["words_per_second"] > 0
    assert "target_tokens_per_second" not in records[0]
    assert records[-1]["learning_rate"] == pytest.approx(1 / 12), "the last step learns too"
    told = [event for event in heard if isinstance(event, Progress)]
    assert (told[0].done, told[0].total) == (0, 12), "the clock of the bar starts with the first step"
    shown = [event.facts for event in told if event.facts]
    assert all("words/s" in facts and "tokens/s" not in facts for facts in shown)


@pytest.mark.parametrize("stop_at", [1, 3, 7, 11])
def test_a_run_that_is_not_validated_goes_on_too(tmp_path: Path, stop_at: int) -> None:
    whole, loop = make_unmeasured(tmp_path / "whole")
    loop.run()
    task, loop = make_unmeasured(tmp_path / "cut")
    task.before_step = lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == stop_at else None
    with pytest.raises(Interrupted, match=f"at step {stop_at}"):
        loop.run()
    task, loop = make_unmeasured(tmp_path / "cut")
    loop.resume()
    assert loop.counters.words == 5 * stop_at
    assert loop.run().words == 60
    assert task.value.tobytes() == whole.value.tobytes()


def test_the_end_need_not_be_saved(tmp_path: Path) -> None:
    make_unmeasured(tmp_path, save_at_end=False)[1].run()
    assert not (tmp_path / "last").exists(), "whoever started the run writes what it came to"
    make_unmeasured(tmp_path, save_at_end=False, save_seconds=0.0)[1].run()
    assert checkpoint.load(tmp_path / "last").counters["loop"]["step"] == 11, "but on the way it was"
