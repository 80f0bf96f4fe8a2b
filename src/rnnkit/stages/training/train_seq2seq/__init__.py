"""`rnnkit train-seq2seq`: train a sequence-to-sequence model on parallel data."""

from rnnkit.stages.training.train_seq2seq.command import EXAMPLE, run
from rnnkit.stages.training.train_seq2seq.options import TrainSeq2SeqOptions

__all__ = ["EXAMPLE", "TrainSeq2SeqOptions", "run"]
