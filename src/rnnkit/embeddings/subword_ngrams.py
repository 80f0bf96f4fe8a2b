"""Character n-grams of words, hashed into a fixed number of rows, as fastText does it.

A word is written `<word>` and cut into n-grams of characters. An n-gram's row is the FNV-1a hash of its UTF-8 bytes,
modulo the number of rows, each byte sign-extended first. The same rows as fastText's, so that models travel both
ways: Bojanowski et al. 2017 (arXiv:1607.04606).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.ngram_hashing import hash_ngrams


@dataclass(frozen=True)
class Subwords:
    """Which n-grams there are.

    Attributes:
        min_length: Characters of the shortest n-gram, `<` and `>` counted.
        max_length: Characters of the longest.
        buckets: Rows that n-grams are hashed into.
    """

    min_length: int
    max_length: int
    buckets: int

    def rows(self, word: str) -> NDArray[np.int32]:
        """The row of each n-gram of a word, in order, repeats kept; rows count from 0."""
        return self.table([word])[1]

    def table(self, words: Sequence[str | bytes]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The rows of many words at once, given as text or as its UTF-8 bytes, whole or not.

        Returns:
            Where each word's rows begin, (words + 1,), and the rows of all, one word after the other.
        """
        starts, hashes, _ = hash_ngrams(words, self.min_length, self.max_length)
        return starts, (hashes % np.uint32(self.buckets)).astype(np.int32)

    def lengths(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The characters of each n-gram whose row `table` has."""
        return hash_ngrams(words, self.min_length, self.max_length)[2]
