"""Search of options and cross-validation with `--arch linear`: several trainings of linear classifiers, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.events import Listener, Note
from rnnkit.io import artifact_output
from rnnkit.stages import outputs
from rnnkit.stages.training import cross_validation, run_folder, training_run
from rnnkit.stages.training.cross_validation import CrossValidationResult, FoldScores, Predictions, make_folds
from rnnkit.stages.training.label_search import (
    SearchResult,
    check_output,
    conclude_search,
    forward_progress,
    run_trials,
    write_trials,
)
from rnnkit.stages.training.labelling_options import TrainClassifierOptions
from rnnkit.stages.training.linear_classifier_run import LinearFitter, open_linear, write_linear
from rnnkit.training.signals import catch_stop_signals

if TYPE_CHECKING:
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.models.labelling.labelling_store import LoadedLabeller
    from rnnkit.models.labelling.linear_store import LinearClassifier
    from rnnkit.models.labelling.linear_text import LinearText
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.training.hyperparameter_search import TrialLimit

LOSS_WEIGHT = 1e-6
"""Weight of the loss (nats) relative to the metric (points), as in the validation of networks: it breaks ties."""


_Trained = tuple["LinearClassifier", TrainClassifierOptions, dict[str, float]]


class LinearRunner:
    """Trains the trials of a search.

    Args:
        options: Options that all trials share.
        data: The data.
        listen: Receives progress.

    Attributes:
        best: The classifier that is kept, its options and its scores.
    """

    def __init__(self, options: TrainClassifierOptions, data: LabelledData, listen: Listener) -> None:
        self._fitter = LinearFitter(options, data)
        self._listen = forward_progress(listen)
        self._last: _Trained | None = None
        self.best: _Trained | None = None

    def train(self, options: TrainClassifierOptions, limit: TrialLimit) -> tuple[float, dict[str, float]]:
        """Train a trial; as in `TrialRunner`. One that is ended early has the weights that it has reached."""
        model, losses = self._fitter.train(options, self._listen, self._limited(limit))
        classifier, scores = self._fitter.validate(model)
        self._last = classifier, options, {**scores, "training_loss": losses[-1]}
        return _score(scores), scores

    def keep(self) -> None:
        """Keep the last classifier instead of the one kept so far."""
        self.best = self._last

    def discard(self) -> None:
        """Discard the last classifier, if it was not kept."""
        self._last = None

    def _limited(self, limit: TrialLimit) -> Callable[[float, LinearText], bool]:
        """Return a function that validates a classifier when the limit requires it."""

        def continues(share: float, model: LinearText) -> bool:
            if share < 1 and (limit.is_over() or limit.is_check_due(share)):
                return limit.continues(share, _score(self._fitter.validate(model)[1]))
            limit.share = share
            return True

        return continues


def _score(scores: dict[str, float]) -> float:
    return scores.get("f1", scores.get("accuracy", 0.0)) - LOSS_WEIGHT * scores["loss"]


def search_linear(
    options: TrainClassifierOptions, given: frozenset[str], folder: Path, listen: Listener
) -> SearchResult:
    """Search the options of a linear classifier, and write the model of the best trial.

    Args:
        options: The options, with the defaults of a linear classifier.
        given: Options that are not searched.
        folder: The model directory.
        listen: Receives notes, warnings and progress.

    Raises:
        DataError: An input is missing, or does not suit a linear classifier.
        UsageError: Options cannot be combined, or none is left to search.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; the best model so far is saved, if there is one.
    """
    options, inputs = open_linear(options)
    check_output(options, folder)
    began = time.monotonic()
    with catch_stop_signals() as stop, artifact_output.atomic_directory(folder, training_run.KIND) as partial:
        runner = LinearRunner(options, inputs.data, listen)
        trials, best = run_trials(options, given, runner, stop, listen)
        assert runner.best is not None
        classifier, chosen, scores = runner.best
        write_linear(chosen, inputs, classifier, scores, partial)
        write_trials(partial, trials)
    return conclude_search(SearchResult(folder, tuple(trials), best, time.monotonic() - began, False), stop)


def cross_validate_linear(options: TrainClassifierOptions, folder: Path, listen: Listener) -> CrossValidationResult:
    """Train a linear classifier for each fold, and write the report and the predictions.

    Args:
        options: The options, with the defaults of a linear classifier.
        folder: The directory.
        listen: Receives a note about each fold, warnings and progress.

    Raises:
        DataError: An input is missing, or does not suit a linear classifier; or there are too few texts.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
    """
    options, inputs = open_linear(options)
    outputs.check_not_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, cross_validation.KIND)
    parts = make_folds(inputs.data, options, listen)
    predictions, results, silent = Predictions(inputs), [], forward_progress(listen)
    with artifact_output.atomic_directory(folder, cross_validation.KIND) as partial:
        for fold, part in enumerate(parts, start=1):
            began = time.monotonic()
            fitter = LinearFitter(options, part)
            model, losses = fitter.train(options, silent)
            classifier, scores = fitter.validate(model)
            scores["training_loss"] = losses[-1]
            texts = len(part.side("valid", part.text))
            results.append(FoldScores(fold, texts, scores, time.monotonic() - began))
            listen(Note(results[-1].line))
            predictions.add(fold, part, _labeller(classifier, replace(inputs, data=part), folder))
        result = CrossValidationResult.of(folder, results)
        predictions.write(partial)
        cross_validation.write_manifest(partial, options, inputs, result)
    return result


def _labeller(classifier: LinearClassifier, inputs: TrainingInputs[LabelledData], folder: Path) -> LoadedLabeller:
    """Return a classifier as a model that labels tokens."""
    from rnnkit.data.word_table import Alphabet
    from rnnkit.models.labelling.labelling_store import LabelInventory, LoadedLabeller
    from rnnkit.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(inputs.vocabularies[0])
    inventory = LabelInventory(inputs.data.columns, Alphabet(""))
    return LoadedLabeller(folder, classifier, None, vocabulary, inventory, inputs.data.text, {})
