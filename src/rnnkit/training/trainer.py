"""The training loop of all tasks: steps, validation, early stopping, checkpoints, metrics and signals. No torch.

A task takes one step with a batch; the trainer decides when to validate, save and stop. A resumed run ends with the
same weights, bit for bit, as one that was never interrupted. In data-parallel training every process runs this loop:
rank 0 validates and writes, and broadcasts what the others need.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from rnnkit.errors import Interrupted, TrainingError
from rnnkit.events import Listener, Note, Progress, Status, WarningEvent, null_listener
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.training import checkpoint, signals, task
from rnnkit.training.checkpoint import TrainingCheckpoint
from rnnkit.training.hyperparameter_search import TrialLimit
from rnnkit.training.process_group import ProcessGroup
from rnnkit.training.schedules import Schedule
from rnnkit.training.task import BatchIterator, MetricsWindow, StepReport, Task, Validate, Validation

B = TypeVar("B")

SKIPPED_SHARE_TO_WARN = 0.1
"""Share of skipped steps in a metrics window above which a warning is shown; adapting the scale skips a few."""

SKIPPED_STEPS_TOLERATED = 2
"""Skipped steps in a metrics window that never cause a warning."""

PROGRESS_SECONDS = 0.1
"""Minimum time between two progress events."""


@dataclass(frozen=True)
class TrainingPlan:
    """Length of a run, and intervals.

    Attributes:
        steps: Total number of steps.
        validate_every: Steps between validations; the last step is always validated.
        report_every: Steps between lines of metrics.
        save_seconds: Seconds between checkpoints.
        patience: Early stopping: validations without improvement before training ends; 0 disables it.
        save_at_end: Whether to save `last/` when training ends; if not, the caller writes the result.
        divergence_threshold: Negative log-likelihood per token, in nats, above which training counts as diverged.
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

    def state_dict(self) -> JsonObject:
        """Return the counters as JSON, under the keys of the checkpoint format."""
        return {_STATE_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_state_dict(cls, state: JsonMapping) -> TrainingCounters:
        """Restore counters saved by `state_dict`."""
        names = {key: name for name, key in _STATE_KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in state.items()})


_STATE_KEYS = {"last_validated_step": "validated", "bad_validations": "waiting", "skipped_steps": "skipped"}
"""Fields whose key in `state.json` differs from their name."""


@dataclass(frozen=True)
class TrainingContext:
    """Where a run writes, who hears of it, and which processes take part.

    Attributes:
        folder: The model directory; the trainer writes `last/` and `metrics.jsonl`. A run directory under a temporary
            name gets its final name with the first checkpoint.
        listen: Receives notes, warnings and progress.
        group: Process group of data-parallel training; a single process by default.
        limit: Ends a trial of a search before its last step; in a single process only. A trial can be resumed.
    """

    folder: RunDirectory | Path
    listen: Listener = null_listener
    group: ProcessGroup = field(default_factory=ProcessGroup)
    limit: TrialLimit | None = None


class Trainer(Generic[B]):
    """Trains a task.

    Args:
        task: What is trained.
        batches: Its training batches.
        schedule: Learning-rate schedule.
        plan: Length of the run, and intervals.
        validate: Evaluates the task without changing it; None for no validation.
        context: Directory, listener and processes.
    """

    def __init__(
        self,
        task: Task[B],
        batches: BatchIterator[B],
        schedule: Schedule,
        plan: TrainingPlan,
        validate: Validate | None,
        context: TrainingContext,
    ) -> None:
        self._task = task
        self._batches = batches
        self._schedule = schedule
        self._plan = plan
        folder = context.folder
        self._folder = folder if isinstance(folder, RunDirectory) else RunDirectory(folder)
        self._validate = validate
        self._listen = context.listen
        self._group = context.group
        self._limit = context.limit
        self._ended = False
        self._window = MetricsWindow()
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._resumed_at = 0
        self._progress_at = -math.inf
        self._facts: dict[str, str] = {}
        self.counters = TrainingCounters()

    def resume(self) -> None:
        """Restore the run from `last/`. Raises FormatError if the checkpoint is damaged."""
        saved = checkpoint.load(self._folder / "last")
        self.counters = TrainingCounters.from_state_dict(saved.counters["loop"])
        self._resumed_at = self.counters.step
        self._schedule.load_state_dict(saved.counters["schedule"])
        self._batches.load_state_dict(saved.counters["batches"])
        self._task.load_state_dict(saved.arrays)
        if self._group.is_main:
            checkpoint.truncate_metrics(self._folder / checkpoint.METRICS_FILE, self.counters.step)

    def run(self) -> TrainingCounters:
        """Train until the planned number of steps, or until early stopping, or until the limit of a trial.

        Raises:
            Interrupted: A signal requested to stop; a checkpoint is saved. A trial with a validation ends instead.
            TrainingError: Training diverged, or the gradient overflows float16 at any loss scale; `last/` and `best`
                are from earlier steps.
            ArtefactError: A checkpoint could not be written, and the previous one is unchanged; or the directory was
                removed.
            PeerLostError: Another process of the group ended; the last checkpoint is complete.
        """
        with signals.catch_stop_signals() as stop:
            began = time.monotonic() - self.counters.seconds
            self._report_progress()
            while not self.counters.done:
                self.counters.seconds = time.monotonic() - began
                if self._validation_due():
                    self._run_validation(stop)
                if not (self.counters.done or self._ended):
                    self._handle_stop(stop)
                if self.counters.done or self._ended:
                    break
                self._step()
            self.counters.seconds = time.monotonic() - began
            if self._plan.save_at_end and self._saved_step != self.counters.step:
                self.save()
        self._report_progress(finished=True)
        return self.counters

    def save(self) -> None:
        """Write `last/`, with the state of all processes that the next step depends on."""
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

    def _handle_stop(self, stop: signals.StopRequest) -> None:
        """Save if it is due in any process, and stop if any process is to stop, so that all do the same."""
        due = time.monotonic() - self._saved_at > self._plan.save_seconds
        signum, due_anywhere = self._group.all_reduce_max(stop.signum, int(due))
        if signum or due_anywhere:
            self.save()
        if signum and self._limit is not None and self.counters.best_step:
            self._limit.interrupt(signum)
            self._ended = True
        elif signum:
            raise Interrupted(
                signum,
                f"everything is saved in {self._folder} at step {self.counters.step}",
                hint="run the same command with --resume to continue",
            )

    def _step(self) -> None:
        counters = self.counters
        self._window.learning_rate = self._schedule.learning_rate(counters.step + 1)
        report = self._task.step(next(self._batches), self._window.learning_rate)
        self._check_divergence(report)
        counters.step += 1
        counters.tokens += report.tokens
        counters.words += report.words or 0
        counters.skipped_steps += report.scaling is not None and report.scaling.skipped
        self._window.reports.append(report)
        if counters.step % self._plan.report_every == 0:
            self._write_metrics()
        elif time.monotonic() - self._progress_at >= PROGRESS_SECONDS:
            self._report_progress()

    def _check_divergence(self, report: StepReport) -> None:
        """Raise TrainingError if further training is pointless; checkpoints are from earlier steps."""
        mean = report.nll / max(1, report.tokens)
        if not math.isfinite(report.loss) or not math.isfinite(report.gradient_norm):
            problem = "training diverged: the loss or its gradient is not finite"
        elif mean > self._plan.divergence_threshold:
            problem = f"training diverged: loss {mean:.1f} nats per token"
        elif report.scaling is not None and report.scaling.scale < task.MIN_LOSS_SCALE:
            problem = f"the gradient overflows float16 even at a loss scale of {task.MIN_LOSS_SCALE:g}"
        else:
            return
        hint = "a lower --learning-rate usually helps, or a lower --clip if the command has it"
        if report.scaling is not None:
            hint += "; --precision bf16 and fp32 have a larger range"
        raise TrainingError(
            f"{problem} at step {self.counters.step + 1}",
            f"the checkpoints in {self._folder} are from earlier steps",
            hint=hint,
            path=self._folder.path,
        )

    def _write_metrics(self) -> None:
        record = {"step": self.counters.step, **self._batches.state_dict(), **self._window.record()}
        self._append_metrics(record)
        self._report_progress()
        self._report_skipped_steps(record)
        self._window = MetricsWindow()

    def _append_metrics(self, record: JsonMapping) -> None:
        if self._group.is_main:
            self._folder.check()
            checkpoint.append_metrics(self._folder / checkpoint.METRICS_FILE, record)

    def _validation_due(self) -> bool:
        due = self._validation_planned() or (self._limit is not None and self._limit.is_over())
        return due and self.counters.step > self.counters.last_validated_step

    def _validation_planned(self) -> bool:
        step = self.counters.step
        return step % self._plan.validate_every == 0 or step >= self._plan.steps

    def _run_validation(self, stop: signals.StopRequest) -> None:
        """Validate, keep the best weights, apply early stopping, and save; nothing if a stop interrupts validation."""
        if self._validate is None:
            self.counters.done = self.counters.step >= self._plan.steps
            return
        paused = time.monotonic()
        result = self._broadcast_validation(stop)
        if result is None:
            return
        counters = self.counters
        improved = result.score > counters.best_score
        counters.last_validated_step = counters.step
        if self._validation_planned():  # the last one of a trial out of time is not: a resumed trial lacks it
            counters.bad_validations = 0 if improved else counters.bad_validations + 1
            self._schedule.update(improved)
        if self._group.is_main:
            self._folder.check()
        if improved:
            counters.best_score, counters.best_step = result.score, counters.step
            self._task.save_weights("best", {"step": counters.step, **result.facts})
        self._task.save_weights("snapshot", {"step": counters.step, **result.facts})
        stops_early = 0 < self._plan.patience <= counters.bad_validations
        counters.done = stops_early or counters.step >= self._plan.steps
        seconds = time.monotonic() - paused
        self._window.started += seconds
        record = {"step": counters.step, "validation": {**result.facts, "seconds": seconds}}
        self._append_metrics(record)
        self._report_validation(result, improved, stops_early)
        self.save()
        share = 1.0 if counters.done else counters.step / self._plan.steps
        self._ended = self._limit is not None and not self._limit.continues(share, counters.best_score)

    def _broadcast_validation(self, stop: signals.StopRequest) -> Validation | None:
        """Validate on rank 0 and broadcast the score, on which all ranks base their next action."""
        assert self._validate is not None
        self._listen(Status("validation"))
        result = self._validate(stop) if self._group.is_main else None
        score, finished = self._group.broadcast(*((result.score, 1.0) if result else (0.0, 0.0)))
        return result or (Validation(score, {}) if finished else None)

    def _report_progress(self, finished: bool = False) -> None:
        """Emit a progress event, with the metrics of the last window until the new one is long enough."""
        if 2 * len(self._window.reports) >= self._plan.report_every or not self._facts:
            self._facts = self._window_facts()
        facts = self._mean_speed() if finished else self._facts
        self._progress_at = time.monotonic()
        self._listen(Progress("training", self.counters.step, self._plan.steps, "steps", facts, finished))

    def _mean_speed(self) -> dict[str, str]:
        counters = self.counters
        speed = {"words/s": f"{counters.words / counters.seconds:,.0f}"} if counters.words else {}
        return {**speed, "resumed at": f"step {self._resumed_at:,}"} if self._resumed_at else speed

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
            facts["skipped"] = f"{record['skipped_steps']} {'step' if record['skipped_steps'] == 1 else 'steps'}"
        for unit, name in (("tokens/s", "target_tokens_per_second"), ("words/s", "words_per_second")):
            if name in record:
                facts[unit] = f"{record[name]:,.0f}"
        return facts

    def _report_skipped_steps(self, record: JsonMapping) -> None:
        skipped, steps = record.get("skipped_steps", 0), len(self._window.reports)
        if skipped > max(SKIPPED_STEPS_TOLERATED, SKIPPED_SHARE_TO_WARN * steps):
            self._listen(
                WarningEvent(
                    f"step {self.counters.step}: {skipped} of the last {steps} steps were skipped because their "
                    f"gradient overflowed float16; the loss scale is now {record['loss_scale']:g}. "
                    "--precision bf16 or fp32 avoids this"
                )
            )

    def _report_validation(self, result: Validation, improved: bool, stops_early: bool) -> None:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in result.facts.items())
        mark = " (best so far)" if improved else ""
        self._listen(Note(f"step {self.counters.step}: {numbers}{mark}"))
        for line in result.lines:
            self._listen(Note(f"  {line}"))
        if stops_early:
            self._listen(Note(f"early stopping: no improvement in {self.counters.bad_validations} validations"))
