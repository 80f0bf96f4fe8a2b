"""Whether a text can teach word vectors anything, found out before the training starts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.corpus import Corpus
from rnnkit.errors import DataError
from rnnkit.text import special_tokens

_BLOCK = 1 << 17  # words that are looked at together


def refuse_unlearnable(corpus: Corpus, min_count: int) -> None:
    """Make sure that some line has two words with vectors, of which one can predict the other.

    Args:
        corpus: The text.
        min_count: Rarer words have no vector.

    Raises:
        DataError: No line has two words, or none has two with vectors.
    """
    if not any((lengths > 1).any() for lengths, _, _ in _blocks(corpus)):
        raise DataError(
            "nothing can be learned: every line of the text is a single word",
            "a vector is learned from the words beside a word; they stand between white space",
            hint="text without spaces between words must be cut into tokens first: `rnnkit tokenize train.LANG --type "
            "unigram` (or bpe, chars); text with a word a line needs its sentences on one line each",
        )
    if not any(_has_pair(rows >= len(special_tokens.NAMES), bounds) for _, rows, bounds in _blocks(corpus)):
        raise DataError(
            f"nothing can be learned: no line has two words that come --min-count {min_count} times or more",
            hint="give more text, or a lower --min-count",
        )


def _has_pair(kept: NDArray[np.bool_], bounds: NDArray[np.int64]) -> bool:
    """Whether two words of one segment are kept."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return bool((np.diff(before[bounds]) > 1).any())


def _blocks(corpus: Corpus) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]]:
    """Segments, many at a time: their lengths, the rows of their words, and where each begins among these."""
    first, segments = 0, len(corpus.segments) - 1
    while first < segments:
        end = int(corpus.segments[first]) + _BLOCK
        last = max(first + 1, int(np.searchsorted(corpus.segments, end, "right")) - 1)
        rows, bounds = corpus.slab(first, last)
        yield np.diff(bounds), rows, bounds
        first = last
