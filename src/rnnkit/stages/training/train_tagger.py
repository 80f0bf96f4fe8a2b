"""`rnnkit train-tagger`: train a tagger on data with a label for each word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkit.events import Listener, null_listener
from rnnkit.stages.training.cross_validation import CrossValidationResult
from rnnkit.stages.training.label_search import SearchResult
from rnnkit.stages.training.labeller_training import train_network
from rnnkit.stages.training.labelling_options import TAGGER_PRESETS, TrainTaggerOptions
from rnnkit.stages.training.run_folder import TrainingResult

if TYPE_CHECKING:
    from rnnkit.training.dry_run import CostEstimate

EXAMPLE = """\
rnnkit train-tagger
rnnkit train-tagger --preset fast --output work/fast
rnnkit train-tagger --arch gru --characters cnn --crf
rnnkit train-tagger --embeddings wiki.en.vec --embedding 300
rnnkit train-tagger --word-vectors work/embeddings
rnnkit train-tagger --language-model work/forward --language-model work/backward
rnnkit train-tagger --tune-seconds 3600
rnnkit train-tagger --folds 5
rnnkit train-tagger --resume"""

TASK = "tagging"


def run(
    options: TrainTaggerOptions, listen: Listener = null_listener
) -> TrainingResult | CostEstimate | SearchResult | CrossValidationResult:
    """Train a tagger, or with `dry_run` estimate the cost.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: Options cannot be combined.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    return train_network(options, TASK, TAGGER_PRESETS, listen)
