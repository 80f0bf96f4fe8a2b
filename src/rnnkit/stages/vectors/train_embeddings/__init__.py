"""`rnnkit train-embeddings`: word vectors from text."""

from rnnkit.stages.vectors.train_embeddings.command import (
    EXAMPLE,
    EmbeddingTrainingEstimate,
    TrainEmbeddingsResult,
    run,
)
from rnnkit.stages.vectors.train_embeddings.options import TrainEmbeddingsOptions

__all__ = ["EXAMPLE", "EmbeddingTrainingEstimate", "TrainEmbeddingsOptions", "TrainEmbeddingsResult", "run"]
