"""The run of `train-tagger` and `train-classifier`: one training, a search of options, or cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonMapping
from rnnkit.stages.training import training_run
from rnnkit.stages.training.cross_validation import CrossValidationResult, cross_validate, folds_folder
from rnnkit.stages.training.label_search import SearchResult, search_network
from rnnkit.stages.training.label_search_space import given_options
from rnnkit.stages.training.labelling_options import (
    LINEAR,
    LabellingOptions,
    TrainClassifierOptions,
    TrainTaggerOptions,
    apply_preset,
)
from rnnkit.stages.training.labelling_run import build_labeller, complete_options, embeddings_of, open_labelled
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.training.process_group import rank_from_environment

if TYPE_CHECKING:
    from rnnkit.stages.training.linear_classifier_run import LinearTrainingResult
    from rnnkit.training.dry_run import CostEstimate

    OptionsT = TypeVar("OptionsT", TrainTaggerOptions, TrainClassifierOptions)
else:
    OptionsT = TypeVar("OptionsT")


def train_network(
    options: OptionsT, task: str, presets: Mapping[str, JsonMapping], listen: Listener
) -> TrainingResult | CostEstimate | SearchResult | CrossValidationResult:
    """Train a network, or with `dry_run` estimate the cost.

    Args:
        options: The options as given.
        task: Task of the data.
        presets: Presets of the command.
        listen: Receives notes, warnings and progress.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    _check(options)
    given, folder = given_options(options), _folder(options)
    if not options.resume:
        options = complete_options(options, presets[options.preset])
    if options.dry_run:
        _announce_repetitions(options, listen)
        trial = training_run.dry_run(options, folder, listen)
        return trial.estimate(build_labeller(trial, open_labelled(options, task)))
    if options.folds:
        return cross_validate(options, task, folder, listen)
    if options.tune_seconds and not options.resume:
        return search_network(options, given, open_labelled(options, task), folder, listen)
    with training_run.start(options, folder, listen) as started:
        inputs = started.check_inputs(open_labelled(started.options, task), embeddings_of(started.options))
        return started.fit(build_labeller(started, inputs), inputs)


def train_linear(
    options: TrainClassifierOptions, listen: Listener
) -> LinearTrainingResult | SearchResult | CrossValidationResult:
    """Train a linear classifier, or with `dry_run` count its features; errors as for `train_network`."""
    from rnnkit.stages.training import linear_classifier_run, linear_repetitions

    _check(options)
    given, folder = given_options(options), _folder(options)
    options = apply_preset(options, LINEAR[options.feature_weights])
    if options.dry_run:
        _announce_repetitions(options, listen)
    elif options.folds:
        return linear_repetitions.cross_validate_linear(options, folder, listen)
    elif options.tune_seconds:
        return linear_repetitions.search_linear(options, given, folder, listen)
    return linear_classifier_run.train_linear(options, folder, listen)


def _folder(options: LabellingOptions) -> Path:
    default = folds_folder(options) if options.folds else Workspace(options.work).model
    return options.output or default


def _check(options: LabellingOptions) -> None:
    """Refuse options that exclude each other."""
    repeated = "--tune-seconds" if options.tune_seconds else "--folds"
    if options.tune_seconds and options.folds:
        raise UsageError(
            "--tune-seconds cannot be combined with --folds",
            "the options would be chosen on other data in each fold",
            hint="search first, and give the best options with --folds",
            option="--folds",
        )
    if options.folds == 1:
        raise UsageError("--folds 1 leaves nothing to train on", hint="--folds 5 is common", option="--folds")
    if (options.tune_seconds or options.folds) and max(options.processes, rank_from_environment().world_size) > 1:
        raise UsageError(
            f"{repeated} cannot be combined with --processes",
            "its trainings run one after the other in one process",
            option="--processes",
        )


def _announce_repetitions(options: LabellingOptions, listen: Listener) -> None:
    """Note how often the training is repeated whose cost is estimated."""
    if options.folds:
        listen(Note(f"cost of one of {options.folds} trainings, one after the other"))
    if options.tune_seconds:
        listen(Note(f"cost of a training with the defaults; the search takes {options.tune_seconds:g} s in all"))
