"""The one loop that everything trains in. It knows steps, validation, signals, resume, metrics and events; no torch.

A task takes a batch and does one step with it; the loop decides when to validate, save and stop. What is saved is
enough to end with the same weights, bit for bit, as a run that was never interrupted. Where several processes take
each step together, all of them run this loop: the first one validates, writes and tells the others what came of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from rnnkit.errors import Interrupted, TrainingError
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.training import checkpoint, loss_scaling, metrics, signals
from rnnkit.training.checkpoint import TrainingCheckpoint
from rnnkit.training.distributed import ProcessGroup
from rnnkit.training.schedules import Schedule
from rnnkit.training.task import BatchIterator, StepReport, Task, Validate, Validation

B = TypeVar("B")

SKIPPED_SHARE_TO_WARN = 0.1
"""A larger share of steps that are skipped is told, if it is more than `FEW` of them."""

SKIPPED_STEPS_TOLERATED = 2


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how often.

    Attributes:
        steps: Steps in all.
        validate_every: Steps from one validation to the next; the last step is always validated.
        report_every: Steps from one line of metrics to the next.
        save_seconds: Seconds from one checkpoint to the next.
        patience: Validations without improvement before the run ends; 0 for never.
        save_at_end: Save `last/` when the run ends too; else whoever started it writes what it came to.
        divergence_threshold: Negative log-likelihood of a prediction, in nats, that no run comes back from.
    """

    steps: int
    validate_every: int
    report_every: int = 50
    save_seconds: float = 120.0
    patience: int = 0
    save_at_end: bool = True
    divergence_threshold: float = math.inf


@dataclass
class TrainingCounters:
    """Progress of a run; saved in every checkpoint.

    Attributes:
        step: Steps taken.
        tokens: Predicted tokens seen.
        words: Words of running text seen, if the task counts them.
        seconds: Training time, over all resumed parts of the run.
        last_validated_step: Step of the last validation.
        best_score: Best validation score.
        best_step: Its step.
        bad_validations: Validations since the best one.
        done: Whether training has ended.
        skipped_steps: Steps without an update because the gradient overflowed float16.
    """

    step: int = 0
    tokens: int = 0
    words: int = 0
    seconds: float = 0.0
    last_validated_step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    bad_validations: int = 0
    done: bool = False
    skipped_steps: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the counters as JSON, under the keys of the checkpoint format."""
        return {_STATE_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> TrainingCounters:
        """Restore counters saved by `state_dict`."""
        names = {key: name for name, key in _STATE_KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in state.items()})


_STATE_KEYS = {"last_validated_step": "validated", "bad_validations": "waiting", "skipped_steps": "skipped"}
"""Fields whose key in `state.json` differs from their name."""


@dataclass
class _MetricsWindow:
    """Sums since the last line of metrics."""

    reports: list[StepReport] = field(default_factory=list)
    rate: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def record(self) -> dict[str, float]:
        tokens = max(1, sum(report.tokens for report in self.reports))
        seconds = max(1e-9, time.monotonic() - self.started)
        taken = [report for report in self.reports if report.scaling is None or not report.scaling.skipped]
        words = [report.words for report in self.reports if report.words is not None]
        speed = {"words_per_second": sum(words) / seconds} if words else {"target_tokens_per_second": tokens / seconds}
        return {
            "loss": sum(report.loss for report in self.reports) / tokens,
            "nll": sum(report.nll for report in self.reports) / tokens,
            **self._guided(),
            "gradient_norm": sum(report.gradient_norm for report in taken) / max(1, len(taken)),
            **self._scaled(),
            "learning_rate": self.rate,
            "target_tokens": tokens,
            "seconds": seconds,
            **speed,
        }

    def _scaled(self) -> dict[str, float]:
        """The scale of the loss and the steps that were skipped, where it is scaled."""
        scalings = [report.scaling for report in self.reports if report.scaling is not None]
        skipped = sum(each.skipped for each in scalings)
        return {"loss_scale": scalings[-1].scale, "skipped_steps": skipped} if scalings else {}

    def _guided(self) -> dict[str, float]:
        """Cross entropy of attention for each linked token, where links teach it."""
        guided = [report.guided for report in self.reports if report.guided is not None]
        tokens = sum(each.tokens for each in guided)
        return {"attention_loss": sum(each.loss for each in guided) / tokens} if tokens else {}


class Trainer(Generic[B]):
    """A run: a task, its batches, a plan, and the directory it is kept in.

    Args:
        task: What learns.
        batches: What it learns from.
        schedule: The rate of each step.
        plan: How long and how often.
        folder: The model directory: `last/` and `metrics.jsonl` are the loop's. One that waits for its name takes it
            with the first checkpoint.
        validate: Measures the task as it is; must leave no trace on it. None where there is nothing to measure.
        listen: Hears how it goes.
        group: The processes that take each step together; this one alone unless given.
    """

    def __init__(
        self,
        task: Task[B],
        batches: BatchIterator[B],
        schedule: Schedule,
        plan: TrainingPlan,
        folder: RunDirectory | Path,
        validate: Validate | None,
        listen: Listener,
        group: ProcessGroup | None = None,
    ) -> None:
        self._task = task
        self._batches = batches
        self._schedule = schedule
        self._plan = plan
        self._folder = folder if isinstance(folder, RunDirectory) else RunDirectory(folder)
        self._validate = validate
        self._listen = listen
        self._group = group or ProcessGroup()
        self._window = _MetricsWindow()
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self.counters = TrainingCounters()

    def resume(self) -> None:
        """Take up the run that `last/` holds. Raises FormatError where it is damaged."""
        saved = checkpoint.load(self._folder / "last")
        self.counters = TrainingCounters.from_state_dict(saved.counters["loop"])
        self._schedule.load_state_dict(saved.counters["schedule"])
        self._batches.load_state_dict(saved.counters["batches"])
        self._task.load_state_dict(saved.arrays)
        if self._group.is_main:
            metrics.truncate_after(self._folder / metrics.METRICS_FILE, self.counters.step)

    def run(self) -> TrainingCounters:
        """Train to the end of the plan, or until patience runs out.

        Raises:
            Interrupted: A signal came; everything is saved.
            TrainingError: The loss is no longer a number, or its gradient has no room in float16; `last/` and `best`
                are from before.
            ArtefactError: A checkpoint could not be written; the old one is whole. Or the directory is gone.
            PeerLostError: Another process is gone; the last checkpoint is whole.
        """
        with signals.catch_stop_signals() as stop:
            began = time.monotonic() - self.counters.seconds
            self._tell_progress()
            while not self.counters.done:
                self.counters.seconds = time.monotonic() - began
                if self._validation_due():
                    self._run_validation(stop)
                if self.counters.done:
                    break
                self._heed(stop)
                self._step()
            self.counters.seconds = time.monotonic() - began
            if self._plan.save_at_end and self._saved_step != self.counters.step:
                self.save()
        self._tell_progress(finished=True)
        return self.counters

    def save(self) -> None:
        """Write `last/`, with what every process has that the next step depends on."""
        counters = {
            "loop": self.counters.state_dict(),
            "schedule": self._schedule.state_dict(),
            "batches": self._batches.state_dict(),
        }
        arrays = self._task.state_dict()
        if self._group.is_main:
            self._folder.check()
            checkpoint.save(self._folder / "last", TrainingCheckpoint(counters, arrays))
            self._folder.commit()
        self._group.barrier()
        self._saved_at, self._saved_step = time.monotonic(), self.counters.step

    def _heed(self, stop: signals.StopRequest) -> None:
        """Stop where any process was asked to, save where any finds that it is time: all of them do the same."""
        due = time.monotonic() - self._saved_at > self._plan.save_seconds
        number, due_anywhere = self._group.all_reduce_max(stop.signum, int(due))
        if number or due_anywhere:
            self.save()
        if number:
            raise Interrupted(
                number,
                f"everything is saved in {self._folder} at step {self.counters.step}",
                hint="the same command with --resume goes on from there",
            )

    def _step(self) -> None:
        counters = self.counters
        self._window.rate = self._schedule.rate(counters.step + 1)
        report = self._task.step(next(self._batches), self._window.rate)
        self._check(report)
        counters.step += 1
        counters.tokens += report.tokens
        counters.words += report.words or 0
        counters.skipped_steps += report.scaling is not None and report.scaling.skipped
        self._window.reports.append(report)
        if counters.step % self._plan.report_every == 0:
            self._write_metrics()

    def _check(self, report: StepReport) -> None:
        """Give up where nothing can be learned any more; what is saved is from before."""
        mean = report.nll / max(1, report.tokens)
        if not math.isfinite(report.loss) or not math.isfinite(report.gradient_norm):
            trouble = "the loss is no longer a number"
        elif mean > self._plan.divergence_threshold:
            trouble = f"the loss has grown to {mean:.1f} nats a prediction"
        elif report.scaling is not None and report.scaling.scale < loss_scaling.MIN_SCALE:
            trouble = "the gradient overflows float16 although the loss is not scaled up any more"
        else:
            return
        hint = "a lower --learning-rate usually helps, or a lower --clip where there is one"
        if report.scaling is not None:
            hint += "; --precision bf16 and fp32 have room for larger numbers"
        raise TrainingError(
            f"{trouble} at step {self.counters.step + 1}",
            f"what is saved in {self._folder} is from before",
            hint=hint,
        )

    def _write_metrics(self) -> None:
        record = {"step": self.counters.step, **self._batches.state_dict(), **self._window.record()}
        self._record(record)
        self._tell_progress()
        self._tell_skipped(record)
        self._window = _MetricsWindow()

    def _record(self, record: Mapping[str, Any]) -> None:
        if self._group.is_main:
            self._folder.check()
            metrics.append(self._folder / metrics.METRICS_FILE, record)

    def _validation_due(self) -> bool:
        step = self.counters.step
        due = step % self._plan.validate_every == 0 or step >= self._plan.steps
        return due and step > self.counters.last_validated_step

    def _run_validation(self, stop: signals.StopRequest) -> None:
        """Validate, keep the best, save; or do nothing of it where a stop is asked for before it is finished."""
        if self._validate is None:
            self.counters.done = self.counters.step >= self._plan.steps
            return
        paused = time.monotonic()
        found = self._look(stop)
        if found is None:
            return
        counters = self.counters
        improved = found.score > counters.best_score
        counters.last_validated_step = counters.step
        counters.bad_validations = 0 if improved else counters.bad_validations + 1
        self._schedule.update(improved)
        if self._group.is_main:
            self._folder.check()
        if improved:
            counters.best_score, counters.best_step = found.score, counters.step
            self._task.save_weights("best", {"step": counters.step, **found.facts})
        self._task.save_weights("snapshot", {"step": counters.step, **found.facts})
        out_of_patience = 0 < self._plan.patience <= counters.bad_validations
        counters.done = out_of_patience or counters.step >= self._plan.steps
        seconds = time.monotonic() - paused
        self._window.started += seconds
        record = {"step": counters.step, "validation": {**found.facts, "seconds": seconds}}
        self._record(record)
        self._tell_validation(found, improved, out_of_patience)
        self.save()

    def _look(self, stop: signals.StopRequest) -> Validation | None:
        """The first process validates; the others wait, and hear the score by which all go on."""
        assert self._validate is not None
        found = self._validate(stop) if self._group.is_main else None
        score, finished = self._group.broadcast(*((found.score, 1.0) if found else (0.0, 0.0)))
        return found or (Validation(score, {}) if finished else None)

    def _tell_progress(self, finished: bool = False) -> None:
        facts = self._mean_speed() if finished else self._window_facts()
        self._listen(Progress("training", self.counters.step, self._plan.steps, "steps", facts, finished))

    def _mean_speed(self) -> dict[str, str]:
        counters = self.counters
        return {"words/s": f"{counters.words / counters.seconds:,.0f}"} if counters.words else {}

    def _window_facts(self) -> dict[str, str]:
        if not self._window.reports:
            return {}
        record = self._window.record()
        facts = {"loss": f"{record['loss']:.3f}"}
        if "attention_loss" in record:
            facts["attention"] = f"{record['attention_loss']:.3f}"
        if record["gradient_norm"]:
            facts["gradient"] = f"{record['gradient_norm']:.2f}"
        if record.get("skipped_steps"):
            facts["skipped"] = f"{record['skipped_steps']} steps"
        for unit, name in (("tokens/s", "target_tokens_per_second"), ("words/s", "words_per_second")):
            if name in record:
                facts[unit] = f"{record[name]:,.0f}"
        return facts

    def _tell_skipped(self, record: Mapping[str, Any]) -> None:
        skipped, steps = record.get("skipped_steps", 0), len(self._window.reports)
        if skipped > max(SKIPPED_STEPS_TOLERATED, SKIPPED_SHARE_TO_WARN * steps):
            self._listen(
                WarningEvent(
                    f"step {self.counters.step}: {skipped} of the last {steps} steps were skipped, for their gradient "
                    f"overflowed float16; the loss scale is {record['loss_scale']:g} now. "
                    "--precision bf16 or fp32 skips none"
                )
            )

    def _tell_validation(self, found: Validation, improved: bool, out_of_patience: bool) -> None:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.facts.items())
        mark = " (best so far)" if improved else ""
        self._listen(Note(f"step {self.counters.step}: {numbers}{mark}"))
        for line in found.lines:
            self._listen(Note(f"  {line}"))
        if out_of_patience:
            self._listen(Note(f"no better for {self.counters.bad_validations} validations: training ends here"))
