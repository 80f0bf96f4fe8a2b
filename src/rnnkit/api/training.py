"""Training and scoring as functions: the commands without their files on standard output."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rnnkit.api import check_lines
from rnnkit.events import Listener, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import check, parameters_of

if TYPE_CHECKING:
    from rnnkit.evaluation.translation_metrics import MetricScore
    from rnnkit.stages.outputs import Options
    from rnnkit.stages.training.cross_validation import CrossValidationResult
    from rnnkit.stages.training.label_search import SearchResult
    from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
    from rnnkit.stages.training.linear_classifier_run import LinearTrainingResult
    from rnnkit.stages.training.run_folder import NgramTrainingCost, NgramTrainingResult, TrainingResult
    from rnnkit.stages.training.train_embeddings import EmbeddingTrainingEstimate, TrainEmbeddingsResult
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
    from rnnkit.stages.training.train_lm_options import TrainLMOptions
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
    from rnnkit.training.dry_run import CostEstimate

OptionsT = TypeVar("OptionsT", bound="Options")


def train_seq2seq(options: TrainSeq2SeqOptions, listen: Listener = null_listener) -> TrainingResult | CostEstimate:
    """Train a sequence-to-sequence model, as `rnnkit train-seq2seq`.

    Args:
        options: The options of the command, fields named as its flags; paths can be strings.
        listen: Receives notes, warnings and progress.

    Raises:
        UsageError: An option is out of bounds, or options do not fit together.
        DataError: Data is missing.
        ArtefactError: The output already exists.

    Example:
        >>> options = rnnkit.TrainSeq2SeqOptions(data="work/data", arch="gru", dry_run=True)
        >>> rnnkit.train_seq2seq(options).parameters > 1000
        True
    """
    from rnnkit.stages.training import train_seq2seq as command

    return command.run(_checked(options), listen)


def train_lm(
    options: TrainLMOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train a language model, as `rnnkit train-lm`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_lm as command

    return command.run(_checked(options), listen)


def train_embeddings(
    options: TrainEmbeddingsOptions, listen: Listener = null_listener
) -> TrainEmbeddingsResult | EmbeddingTrainingEstimate:
    """Train word vectors, as `rnnkit train-embeddings`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_embeddings as command

    return command.run(_checked(options), listen)


def train_tagger(
    options: TrainTaggerOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | SearchResult | CrossValidationResult:
    """Train a tagger, as `rnnkit train-tagger`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_tagger as command

    return command.run(_checked(options), listen)


def train_classifier(
    options: TrainClassifierOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | LinearTrainingResult | SearchResult | CrossValidationResult:
    """Train a text classifier, as `rnnkit train-classifier`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_classifier as command

    return command.run(_checked(options), listen)


def _checked(options: OptionsT) -> OptionsT:
    """Options within their bounds, with strings as paths where paths are expected."""
    changes: JsonObject = {}
    for parameter in parameters_of(type(options)):
        value = getattr(options, parameter.name)
        is_path = Path in (parameter.kind, *typing.get_args(parameter.kind))
        if is_path and isinstance(value, str):
            changes[parameter.name] = [Path(value)] if parameter.is_list else Path(value)
        elif is_path and parameter.is_list:
            changes[parameter.name] = [Path(item) for item in value]
    converted = dataclasses.replace(options, **changes)
    check(converted)
    return converted


def bleu(hypotheses: Iterable[str], references: Iterable[str] | Iterable[Iterable[str]]) -> MetricScore:
    """Compute sacreBLEU's corpus BLEU.

    Args:
        hypotheses: Detokenized outputs.
        references: A reference for each, or several lists of references.

    Returns:
        The score with its signature; `number(2)` is the figure with two decimals.

    Raises:
        DataError: The numbers of lines differ, or there are no lines.
        TypeError: An argument is a string.

    Example:
        >>> rnnkit.bleu(["the king sat on the mat"], ["the king sat on the mat"]).number(1)
        '100.0'
    """
    from rnnkit.evaluation.translation_metrics import corpus_score

    for lines in (hypotheses, references):
        check_lines(lines, "bleu([hypothesis], [reference])")
    given = [each if isinstance(each, str) else list(each) for each in references]
    several = [given] if given and isinstance(given[0], str) else given
    return corpus_score(list(hypotheses), several)  # type: ignore[arg-type]
