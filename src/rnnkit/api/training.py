"""Training and scoring as functions: the commands without their files on standard output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rnnkit.api.arguments import text_lines
from rnnkit.events import Listener, null_listener
from rnnkit.options.declare import check, parameters_of

if TYPE_CHECKING:
    from rnnkit.evaluation.translation_metrics import MetricScore
    from rnnkit.stages.training.run_folder import NgramTrainingCost, NgramTrainingResult, TrainingResult
    from rnnkit.stages.training.train_embeddings import EmbeddingTrainingEstimate, TrainEmbeddingsResult
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
    from rnnkit.stages.training.train_lm_options import TrainLMOptions
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
    from rnnkit.training.dry_run import CostEstimate

OptionsT = TypeVar("OptionsT", "TrainSeq2SeqOptions", "TrainLMOptions", "TrainEmbeddingsOptions")


def train_seq2seq(options: TrainSeq2SeqOptions, listen: Listener = null_listener) -> TrainingResult | CostEstimate:
    """Train a sequence-to-sequence model, as `rnnkit train-seq2seq`.

    Args:
        options: The options of the command, fields named as its flags; a path may be a string.
        listen: Receives notes, warnings and progress.

    Raises:
        TypeError: `options` is of another type.
        UsageError: An option is out of bounds, or options do not fit together.
        DataError: Data is missing.
        ArtefactError: The output already exists.
    """
    from rnnkit.stages.training import train_seq2seq as command
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions

    options = _checked(options, TrainSeq2SeqOptions)
    return command.run(options, listen)


def train_lm(
    options: TrainLMOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train a language model, as `rnnkit train-lm`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_lm as command
    from rnnkit.stages.training.train_lm_options import TrainLMOptions

    options = _checked(options, TrainLMOptions)
    return command.run(options, listen)


def train_embeddings(
    options: TrainEmbeddingsOptions, listen: Listener = null_listener
) -> TrainEmbeddingsResult | EmbeddingTrainingEstimate:
    """Train word vectors, as `rnnkit train-embeddings`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_embeddings as command
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions

    options = _checked(options, TrainEmbeddingsOptions)
    return command.run(options, listen)


def bleu(hypotheses: Iterable[str], references: Iterable[str] | Iterable[Iterable[str]]) -> MetricScore:
    """Compute sacreBLEU's corpus BLEU.

    Args:
        hypotheses: Detokenized outputs.
        references: A reference for each, or several lists of references.

    Returns:
        The score with its signature; `number(2)` is the figure with two decimals.

    Raises:
        TypeError: One of them is a string.
        DataError: The numbers of lines differ, or there are no lines.

    Example:
        >>> rnnkit.bleu(["the king sat on the mat"], ["the king sat on the mat"]).number(1)
        '100.0'
    """
    from rnnkit.evaluation.translation_metrics import corpus_score

    outputs = list(text_lines(hypotheses, "bleu"))
    if isinstance(references, str):
        raise TypeError("bleu expects several references, not one string: write bleu([hypothesis], [reference])")
    given: list[str | Iterable[str]] = list(references)
    if given and isinstance(given[0], str):
        return corpus_score(outputs, [list(text_lines(given, "bleu"))])  # type: ignore[arg-type]
    return corpus_score(outputs, [list(text_lines(each, "bleu")) for each in given])


def _checked(options: OptionsT, kind: type[OptionsT]) -> OptionsT:
    """Return the options with strings as paths where the command expects paths, after checking them."""
    if not isinstance(options, kind):
        raise TypeError(f"expected {kind.__name__}, not {type(options).__name__}")
    paths: dict[str, Any] = {}
    for parameter in parameters_of(kind):
        value = getattr(options, parameter.name)
        if parameter.kind is Path and isinstance(value, str):
            paths[parameter.name] = Path(value)
        elif parameter.kind == list[Path] and isinstance(value, str | Path):
            paths[parameter.name] = [Path(value)]
        elif parameter.kind == list[Path]:
            paths[parameter.name] = [Path(item) for item in value]
    options = dataclasses.replace(options, **paths)
    check(options)
    return options
