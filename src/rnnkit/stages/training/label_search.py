"""`--tune-seconds`: search the options of a tagger or text classifier on the validation data, and keep the best model.

Trials are trained one after the other. The model of the best one becomes the model of the run; the others are removed
(`training/hyperparameter_search.py` proposes trials and ends unpromising ones).
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rnnkit.errors import Interrupted, RnnkitError, TrainingError
from rnnkit.events import Event, Listener, Note, Progress, Status, WarningEvent
from rnnkit.io import artifact_output, lock
from rnnkit.io.atomic import atomic_file
from rnnkit.json_types import JsonObject
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_run
from rnnkit.stages.training.label_search_space import flags, make_space
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.labelling_run import build_labeller, embeddings_of
from rnnkit.training.signals import StopRequest, catch_stop_signals

if TYPE_CHECKING:
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.training.hyperparameter_search import Position, TrialLimit

    OptionsT = TypeVar("OptionsT", TrainTaggerOptions, TrainClassifierOptions)
    OptionsT_contra = TypeVar("OptionsT_contra", TrainTaggerOptions, TrainClassifierOptions, contravariant=True)
else:
    OptionsT = TypeVar("OptionsT")
    OptionsT_contra = TypeVar("OptionsT_contra", contravariant=True)

TRIALS_FILE = "trials.jsonl"
"""The trials in the model directory, one JSON object per line."""


@dataclass(frozen=True)
class Trial:
    """A trial of a search.

    Attributes:
        number: Its number, from 1.
        options: The searched options by name.
        scores: Validation scores; empty if the training failed.
        score: Score by which trials are compared; -inf if the training failed.
        seconds: Its time.
        share: Share of the training that was done.
        ending: `finished`, `unpromising`, `out of time`, `interrupted`, or why it failed.
        best: Whether it was the best so far.
        changed: The searched options whose values are not the defaults.
    """

    number: int
    options: dict[str, Any]
    scores: dict[str, float]
    score: float
    seconds: float
    share: float
    ending: str
    best: bool
    changed: dict[str, Any]

    def as_dict(self) -> JsonObject:
        """Return the trial as JSON."""
        return {**asdict(self), "score": self.score if math.isfinite(self.score) else None}

    @property
    def words(self) -> str:
        """Its options as on the command line."""
        return flags(self.changed) or "the defaults"

    @property
    def measures(self) -> str:
        """Its validation scores."""
        return ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items()) or "failed"

    @property
    def line(self) -> str:
        """The trial as one line."""
        early = f", {self.ending} after {self.share:.0%} of its training" if self.scores and self.share < 1 else ""
        failed = f" ({self.ending})" if not self.scores else ""
        mark = " (best so far)" if self.best else ""
        return f"trial {self.number}: {self.words}: {self.measures}{failed}, {self.seconds:.1f} s{early}{mark}"


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        model: The model directory, with the model of the best trial.
        trials: All trials.
        best: The best one.
        seconds: Time of the search.
        resumable: Whether a training that was ended early can be completed by `--resume`.
    """

    model: Path
    trials: tuple[Trial, ...]
    best: Trial
    seconds: float
    resumable: bool

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        trials = [trial.as_dict() for trial in self.trials]
        return {"model": str(self.model), "trials": trials, "best": self.best.as_dict(), "seconds": self.seconds}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        best = self.best
        lines = [
            f"{self.model}: trial {best.number} of {len(self.trials)} ({best.measures})",
            f"the same without the search: {best.words}",
        ]
        if best.share < 1 and self.resumable:
            lines.append(f"its training ended after {best.share:.0%}: --resume completes it")
        elif best.share < 1:
            lines.append(f"its training ended after {best.share:.0%}: train with these options to complete it")
        return lines


class TrialRunner(Protocol[OptionsT_contra]):
    """Trains one trial after the other, and keeps one of them."""

    def train(self, options: OptionsT_contra, limit: TrialLimit) -> tuple[float, dict[str, float]]:
        """Train a trial.

        Returns:
            The score by which trials are compared, and all validation scores.

        Raises:
            TrainingError: The training failed.
            Interrupted: A signal arrived before there was a score.
        """
        ...

    def keep(self) -> None:
        """Keep the model of the last trial instead of the one kept so far."""
        ...

    def discard(self) -> None:
        """Discard what the last trial has left."""
        ...


def run_trials(
    options: OptionsT, given: frozenset[str], runner: TrialRunner[OptionsT], stop: StopRequest, listen: Listener
) -> tuple[list[Trial], Trial]:
    """Train trials until time is over, a signal arrives, or nothing is left to try.

    Args:
        options: The options, with the values of the preset.
        given: Options that are not searched.
        runner: Trains a trial.
        stop: A request to stop.
        listen: Receives a note about each trial, and progress.

    Returns:
        The trials, and the best one.

    Raises:
        UsageError: No option is left to search.
        TrainingError: Every trial failed.
        Interrupted: A signal arrived before the first score.
    """
    from rnnkit.training.hyperparameter_search import Proposals, SuccessiveHalving, TrialLimit

    defaults = {name: getattr(options, name) for name in options.__dataclass_fields__}
    proposals, halving = Proposals(make_space(options, given), defaults, options.seed), SuccessiveHalving()
    began = time.monotonic()
    deadline = began + options.tune_seconds
    proposal: tuple[Position, dict[str, Any]] | None = proposals.first()
    trials: list[Trial] = []
    best: tuple[Trial, Position] | None = None
    while proposal is not None and (not trials or time.monotonic() < deadline) and not stop:
        position, values = proposal
        _report_time(began, options.tune_seconds, listen)
        limit, started = TrialLimit(deadline, halving, stop), time.monotonic()
        score, scores, ending = _train(runner, replace(options, **values), limit)
        trial = Trial(
            number=len(trials) + 1,
            options=values,
            scores=scores,
            score=score,
            seconds=time.monotonic() - started,
            share=limit.share if scores else 0.0,
            ending=ending,
            best=score > (best[0].score if best else -math.inf),
            changed={name: value for name, value in values.items() if value != defaults[name]},
        )
        trials.append(trial)
        listen(Note(trial.line))
        if trial.best:
            best = trial, position
            runner.keep()
        runner.discard()
        proposal = proposals.propose(len(trials) + 1, best[1] if best else position)
    _report_time(began, options.tune_seconds, listen, finished=True)
    if best is None:
        raise _no_model(trials, stop)
    return trials, best[0]


def _train(runner: TrialRunner[OptionsT], options: OptionsT, limit: TrialLimit) -> tuple[float, dict[str, float], str]:
    """Train a trial; return its score, all scores, and how it ended."""
    from rnnkit.training.hyperparameter_search import STOPPED

    try:
        score, scores = runner.train(options, limit)
    except TrainingError as error:
        return -math.inf, {}, error.what
    except Interrupted as error:
        limit.interrupt(error.exit_code - 128)
        return -math.inf, {}, STOPPED
    return score, scores, limit.ending


def _no_model(trials: list[Trial], stop: StopRequest) -> RnnkitError:
    """Return the error of a search without a model."""
    if stop:
        return Interrupted(stop.signum, "no trial had been validated yet: nothing is saved")
    return TrainingError(
        "every trial of the search failed",
        *(trial.line for trial in trials),
        hint="train without --tune-seconds to see the whole message, or give a lower --learning-rate",
        option="--tune-seconds",
    )


def _report_time(began: float, seconds: float, listen: Listener, finished: bool = False) -> None:
    listen(Progress("search", round(time.monotonic() - began), round(seconds), "seconds", finished=finished))


def forward_progress(listen: Listener) -> Listener:
    """Return a listener for one of several trainings: passes on progress, and each warning once."""
    warned: set[str] = set()

    def select(event: Event) -> None:
        if isinstance(event, Progress | Status):
            listen(event)
        elif isinstance(event, WarningEvent) and event.text not in warned:
            warned.add(event.text)
            listen(event)

    return select


class NetworkRunner:
    """Trains networks in directories of their own.

    Args:
        folder: An empty folder.
        inputs: The data.
        listen: Receives progress and warnings.
    """

    def __init__(self, folder: Path, inputs: TrainingInputs[LabelledData], listen: Listener) -> None:
        self._trial, self._best = folder / "trial", folder / "best"
        self._inputs = inputs
        self._listen = forward_progress(listen)

    def train(self, options: OptionsT, limit: TrialLimit) -> tuple[float, dict[str, float]]:
        """Train a trial; as in `TrialRunner`."""
        with training_run.start(replace(options, output=None, overwrite=False), self._trial, self._listen) as started:
            inputs = started.check_inputs(self._inputs, embeddings_of(started.options))
            result = started.fit(build_labeller(started, inputs), inputs, limit)
        return limit.score, result.scores

    def keep(self) -> None:
        """Keep the model directory of the last trial instead of the one kept so far."""
        shutil.rmtree(self._best, ignore_errors=True)
        self._trial.rename(self._best)

    def discard(self) -> None:
        """Remove the model directory of the last trial, if it was not kept."""
        shutil.rmtree(self._trial, ignore_errors=True)

    def finish(self) -> None:
        """Move the files of the best model into the folder."""
        for path in self._best.iterdir():
            if path.name != lock.LOCK_NAME:
                path.rename(self._best.parent / path.name)
        shutil.rmtree(self._best)


def search_network(
    options: OptionsT, given: frozenset[str], inputs: TrainingInputs[LabelledData], folder: Path, listen: Listener
) -> SearchResult:
    """Search the options of a network, and write the model of the best trial.

    Args:
        options: The options, with the values of the preset.
        given: Options that are not searched.
        inputs: The data.
        folder: The model directory.
        listen: Receives notes, warnings and progress.

    Raises:
        UsageError: No option is left to search.
        TrainingError: Every trial failed.
        ArtefactError: The output exists or is in use.
        Interrupted: A signal arrived; the best model so far is saved, if there is one.
    """
    check_output(options, folder)
    began = time.monotonic()
    with catch_stop_signals() as stop, artifact_output.atomic_directory(folder, training_run.KIND) as partial:
        runner = NetworkRunner(partial, inputs, listen)
        try:
            trials, best = run_trials(options, given, runner, stop, listen)
        except RnnkitError as error:
            error.replace_text(str(partial), str(folder))
            raise
        runner.finish()
        write_trials(partial, trials)
    return conclude_search(SearchResult(folder, tuple(trials), best, time.monotonic() - began, True), stop)


def check_output(options: TrainTaggerOptions | TrainClassifierOptions, folder: Path) -> None:
    """Check that the model directory may be written. Raises ArtefactError if not."""
    outputs.check_not_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, training_run.KIND)


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """Write the trials into a finished model directory, and list the file in its manifest."""
    from rnnkit.io import manifest
    from rnnkit.models import store

    with atomic_file(folder / TRIALS_FILE) as file:
        file.writelines(json.dumps(trial.as_dict(), ensure_ascii=False) + "\n" for trial in trials)
    found = manifest.load(folder / manifest.NAME)
    best = max(trials, key=lambda trial: trial.score)
    facts: Mapping[str, Any] = {**found.facts, "search": {"trials": len(trials), **best.as_dict()}}
    store.write_manifest(folder, found.options, found.inputs, facts, finished=True)


def conclude_search(result: SearchResult, stop: StopRequest) -> SearchResult:
    """Return the result, or if a signal ended the search raise Interrupted, now that the best model is saved."""
    if stop:
        raise Interrupted(stop.signum, *result.lines)
    return result
