"""`rnnkit train-lm`: train a neural or n-gram language model on monolingual data."""

from rnnkit.stages.training.train_lm.command import EXAMPLE, run
from rnnkit.stages.training.train_lm.options import TrainLMOptions

__all__ = ["EXAMPLE", "TrainLMOptions", "run"]
