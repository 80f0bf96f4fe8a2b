"""Character n-grams of words, hashed into buckets as in fastText (Bojanowski et al. 2017, arXiv:1607.04606).

A word is written `<word>` and split into n-grams of characters. The bucket of an n-gram is the hash of its UTF-8 bytes
modulo the number of buckets. Buckets equal fastText's, so models can be exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word_hashing import hash_ngrams


@dataclass(frozen=True)
class Subwords:
    """Which n-grams words have.

    Attributes:
        min_length: Characters of the shortest n-gram, `<` and `>` included.
        max_length: Characters of the longest n-gram.
        buckets: Number of buckets that n-grams are hashed into.
    """

    min_length: int
    max_length: int
    buckets: int

    def rows(self, word: str) -> NDArray[np.int32]:
        """Return the bucket of each n-gram of a word, in order and with repeats; buckets count from 0."""
        return self.table([word])[1]

    def table(self, words: Sequence[str | bytes]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the buckets of the n-grams of many words, given as text or as UTF-8 bytes, which need not be valid.

        Returns:
            Where the buckets of each word begin, (words + 1,), and all buckets, word by word.
        """
        starts, hashes, _ = hash_ngrams(words, self.min_length, self.max_length)
        return starts, (hashes % np.uint32(self.buckets)).astype(np.int32)

    def lengths(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the length in characters of each n-gram, in the order of `table`."""
        return hash_ngrams(words, self.min_length, self.max_length)[2]
