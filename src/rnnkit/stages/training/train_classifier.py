"""`rnnkit train-classifier`: train a text classifier on data with a label for each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkit.events import Listener, null_listener
from rnnkit.stages.training.cross_validation import CrossValidationResult
from rnnkit.stages.training.label_search import SearchResult
from rnnkit.stages.training.labeller_training import train_linear, train_network
from rnnkit.stages.training.labelling_options import CLASSIFIER_PRESETS, TrainClassifierOptions
from rnnkit.stages.training.run_folder import TrainingResult

if TYPE_CHECKING:
    from rnnkit.stages.training.linear_classifier_run import LinearTrainingResult
    from rnnkit.training.dry_run import CostEstimate

EXAMPLE = """\
rnnkit train-classifier
rnnkit train-classifier --arch gru --pooling attention
rnnkit train-classifier --embeddings wiki.en.vec --embedding 300 --freeze-embeddings
rnnkit train-classifier --word-vectors work/embeddings
rnnkit train-classifier --class-weights balanced
rnnkit train-classifier --init-from work/lm --unfreeze gradual --layer-decay 0.4    # work/lm: a language model
rnnkit train-classifier --arch linear --word-ngrams 2 --output work/linear
rnnkit train-classifier --arch linear --tune-seconds 300
rnnkit train-classifier --folds 5
rnnkit train-classifier --resume"""

TASK = "classification"


def run(
    options: TrainClassifierOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | LinearTrainingResult | SearchResult | CrossValidationResult:
    """Train a text classifier, or with `dry_run` estimate the cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    if options.arch == "linear":
        return train_linear(options, listen)
    return train_network(options, TASK, CLASSIFIER_PRESETS, listen)
