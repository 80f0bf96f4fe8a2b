"""Training and scoring as functions: the commands without their files on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnkit.events import Listener, null_listener
from rnnkit.options.declare import check

if TYPE_CHECKING:
    from rnnkit.evaluation.translation_metrics import MetricScore
    from rnnkit.stages.training.run_folder import NgramTrainingCost, NgramTrainingResult, TrainingResult
    from rnnkit.stages.training.train_embeddings import EmbeddingTrainingEstimate, TrainEmbeddingsResult
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
    from rnnkit.stages.training.train_lm_options import TrainLMOptions
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
    from rnnkit.training.dry_run import CostEstimate


def train_seq2seq(options: TrainSeq2SeqOptions, listen: Listener = null_listener) -> TrainingResult | CostEstimate:
    """Train a sequence-to-sequence model, as `rnnkit train-seq2seq`.

    Args:
        options: The options of the command, fields named as its flags.
        listen: Receives notes, warnings and progress.

    Raises:
        UsageError: An option is out of bounds, or options do not fit together.
        DataError: Data is missing.
        ArtefactError: The output already exists.
    """
    from rnnkit.stages.training import train_seq2seq as command

    check(options)
    return command.run(options, listen)


def train_lm(
    options: TrainLMOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | NgramTrainingResult | NgramTrainingCost:
    """Train a language model, as `rnnkit train-lm`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_lm as command

    check(options)
    return command.run(options, listen)


def train_embeddings(
    options: TrainEmbeddingsOptions, listen: Listener = null_listener
) -> TrainEmbeddingsResult | EmbeddingTrainingEstimate:
    """Train word vectors, as `rnnkit train-embeddings`; arguments and errors as for `train_seq2seq`."""
    from rnnkit.stages.training import train_embeddings as command

    check(options)
    return command.run(options, listen)


def bleu(hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]]) -> MetricScore:
    """Compute sacreBLEU's corpus BLEU.

    Args:
        hypotheses: Detokenized outputs.
        references: A reference for each, or several lists of references.

    Returns:
        The score with its signature; `number(2)` is the figure with two decimals.

    Raises:
        DataError: The numbers of lines differ, or there are no lines.

    Example:
        >>> rnnkit.bleu(["the king sat on the mat"], ["the king sat on the mat"]).number(1)
        '100.0'
    """
    from rnnkit.evaluation.translation_metrics import corpus_score

    several = [references] if references and isinstance(references[0], str) else references
    return corpus_score(hypotheses, several)  # type: ignore[arg-type]
