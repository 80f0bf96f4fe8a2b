"""What a mixture is made of: models of any kind, and caches beside them, which all predict the same tokens.

A component is asked for the lines of a text in order, a few at a time, and remembers what it has read. It answers with
rows of natural logarithms, one column a token: the model's own row first, then a row for each setting of its cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.evaluation.interpolation import FloatArray

if TYPE_CHECKING:
    from rnnkit.evaluation.cache import NeuralCache
    from rnnkit.evaluation.perplexity import Reader
    from rnnkit.evaluation.unigram_cache import UnigramCache
    from rnnkit.ngrams.ngram_model import NgramModel


class Component(Protocol):
    """A model that goes on reading where it stopped."""

    def rows(self, text: SentenceDataset) -> FloatArray:
        """Natural logarithm of the probability of each token of the next lines, shape (rows, N)."""
        ...


class Network:
    """A neural model.

    Args:
        reader: Reads with it.
        cache: What stands beside it, if anything.
    """

    def __init__(self, reader: Reader, cache: NeuralCache | None = None) -> None:
        self._reader = reader
        self._cache = cache

    def rows(self, text: SentenceDataset) -> FloatArray:
        """The model's row, then the cache's, one a flatness."""
        blocks = []
        for block in self._reader.read(text):
            own_1N = block.log_p_N[np.newaxis]
            blocks.append(own_1N if self._cache is None else np.concatenate([own_1N, self._cache.score(block)]))
        return np.concatenate(blocks, axis=1)


class Counts:
    """A counted model. Each of its lines starts from nothing; its cache runs on.

    Args:
        model: The n-grams.
        cache: What stands beside them, if anything.
    """

    def __init__(self, model: NgramModel, cache: UnigramCache | None = None) -> None:
        self._model = model
        self._cache = cache

    def rows(self, text: SentenceDataset) -> FloatArray:
        """The model's row, then the cache's."""
        log_p_N = self._model.score(text.ids, text.offsets)
        rows = [log_p_N] if self._cache is None else [log_p_N, self._cache.score(text.ids, log_p_N)]
        return np.stack(rows)
