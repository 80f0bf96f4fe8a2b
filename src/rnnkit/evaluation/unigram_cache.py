"""The unigram cache of counted models: a word's share of the last W tokens (Kuhn and De Mori 1990).

    p_cache(w) = (how often w is among the last W tokens) / (how many there are)

While the cache holds nothing, it says what the model says.
"""

from __future__ import annotations

import numpy as np

from rnnkit.evaluation.perplexity import FloatArray
from rnnkit.io.npy import IntArray


class UnigramCache:
    """The last tokens.

    Args:
        size: How many are remembered.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._past = np.zeros(0, dtype=np.int64)

    def score(self, target_N: IntArray, log_p_N: FloatArray) -> FloatArray:
        """Natural logarithm of the probability of each token (N,); then remember them.

        Args:
            target_N: The next tokens.
            log_p_N: What the model says of them.
        """
        text_P = np.concatenate([self._past, target_N.astype(np.int64)])
        place_N = np.arange(len(self._past), len(text_P))
        self._past = text_P[-self._size :]
        first_N = np.maximum(0, place_N - self._size)
        # One number for a word and a place: those of a word lie together, in the order of the text.
        key_P = np.sort(text_P * len(text_P) + np.arange(len(text_P)))
        base_N = text_P[place_N] * len(text_P)
        count_N = np.searchsorted(key_P, base_N + place_N) - np.searchsorted(key_P, base_N + first_N)
        with np.errstate(divide="ignore"):
            found_N = np.log(count_N / np.maximum(1, place_N - first_N))
        return np.where(place_N == 0, log_p_N, found_N)
