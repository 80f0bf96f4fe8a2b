"""Features of texts for linear classifiers: input rows of words, of their character n-grams, and of word n-grams."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.compiler import Int32Array, Int64Array
from rnnkit.kernels.word_vector_simd import inlined, kernel


class ClassifiedTexts(NamedTuple):
    """Texts as input rows of their features, with their labels.

    Attributes:
        start_N1: Start of each text in `words`, and the end of the last one.
        words: Words of all texts.
        row_start_V1: Start of each word in `rows`; if empty, `words` has input rows instead of words, -1 for none.
        rows: Input rows of each word: its own, and those of its character n-grams.
        ngrams: Input rows of word n-grams, for each order as many as `words`; -1 for none.
        label_start_N1: Start of each text in `labels`, and the end of the last one.
        labels: Labels of all texts.
    """

    start_N1: NDArray[np.int64]
    words: NDArray[np.int32]
    row_start_V1: NDArray[np.int64]
    rows: NDArray[np.int32]
    ngrams: NDArray[np.int32]
    label_start_N1: NDArray[np.int64]
    labels: NDArray[np.int32]


@inlined
def list_rows(texts: ClassifiedTexts, text: int, rows: Int32Array, count: int) -> int:
    """Write the input rows of a text's features from index `count` on; return the index after the last one."""
    words, words_are_rows = len(texts.words), len(texts.row_start_V1) == 0
    for i in range(texts.start_N1[text], texts.start_N1[text + 1]):
        word = int(texts.words[i])
        if words_are_rows:
            rows[count] = word
            count += word >= 0
        else:
            for at in range(texts.row_start_V1[word], texts.row_start_V1[word + 1]):
                rows[count] = texts.rows[at]
                count += 1
        for at in range(i, len(texts.ngrams), words):
            rows[count] = texts.ngrams[at]
            count += texts.ngrams[at] >= 0
    return count


def count_features(texts: ClassifiedTexts) -> NDArray[np.int64]:
    """Count the features of each text."""
    count_N = np.empty(len(texts.start_N1) - 1, np.int64)
    _count_features(texts, count_N)
    return count_N


@kernel
def keep_first(start_N1: Int64Array, ids: Int32Array, text_V: Int32Array, none: int) -> None:
    """In each text, replace all occurrences of an id but the first.

    Args:
        start_N1: Start of each text in `ids`, and the end of the last one.
        ids: Ids of all texts, updated in place; negative ones stay.
        text_V: For each id a number that is -1 at first; overwritten.
        none: The replacement.
    """
    for text in range(len(start_N1) - 1):
        for i in range(start_N1[text], start_N1[text + 1]):
            if ids[i] < 0:
                continue
            if text_V[ids[i]] == text:
                ids[i] = none
            else:
                text_V[ids[i]] = text


@kernel
def _count_features(texts: ClassifiedTexts, count_N: Int64Array) -> None:
    words, words_are_rows = len(texts.words), len(texts.row_start_V1) == 0
    for text in range(len(count_N)):
        count = 0
        for i in range(texts.start_N1[text], texts.start_N1[text + 1]):
            word = int(texts.words[i])
            count += int(word >= 0) if words_are_rows else int(texts.row_start_V1[word + 1] - texts.row_start_V1[word])
            for at in range(i, len(texts.ngrams), words):
                count += texts.ngrams[at] >= 0
        count_N[text] = count
