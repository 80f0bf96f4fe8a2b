"""N-gram counts of a text, by sorting, order by order.

The text is one array of positions, each sentence preceded by <s>. The k-gram that ends at position p consists of its
context, the (k-1)-gram that ends at p-1, and the word at p. Positions are sorted by word once; one stable counting sort
by context then groups equal k-grams, contexts in their own order and the words of a context in ascending order. So the
n-grams of a context are one range, and plain arrays hold everything about an n-gram without spelling it out:

    word       its last word
    suffix     the n-gram without its first word, one order lower
    offsets    the n-grams of context c are those from offsets[c] up to but excluding offsets[c + 1]

Each order takes time linear in the text and in the number of contexts. N-grams do not extend back beyond <s>.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnkit.kernels.compiler import BoolArray, Int32Array
from rnnkit.kernels.ngram_trie import counting_sort, group_ngrams
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class NgramLevel:
    """The n-grams of one order, sorted by context and then by word.

    Attributes:
        word_N: Last word of each n-gram.
        suffix_N: Each n-gram without its first word, as an index in the next lower order; 0 for unigrams.
        count_N: Occurrences in the text.
        offsets_C1: First n-gram of each context, and the total.
        bos_range: The n-grams that begin with <s>, which are contiguous.
    """

    word_N: Int32Array
    suffix_N: Int32Array
    count_N: Int32Array
    offsets_C1: Int32Array
    bos_range: slice

    def __len__(self) -> int:
        return len(self.word_N)

    def contexts(self) -> Int32Array:
        """Return each n-gram's context as an index in the next lower order, shape (N,)."""
        lengths_C = np.diff(self.offsets_C1)
        return np.repeat(np.arange(len(lengths_C), dtype=np.int32), lengths_C)


def count_ngrams(text_P: Int32Array, vocabulary_size: int, order: int) -> Iterator[NgramLevel]:
    """Count the n-grams of 1, 2, ... `order` words.

    Args:
        text_P: Word ids; each sentence begins with BOS and ends with EOS, which occur nowhere else.
        vocabulary_size: Vocabulary size. All ids are unigrams, counted or not.
        order: Length of the longest n-grams.

    Yields:
        The n-grams of each order. The unigram <s> has the count 0, as it is never predicted.
    """
    by_word_P, offsets_V1 = counting_sort(np.arange(len(text_P), dtype=np.int32), text_P, vocabulary_size)
    count_V = np.diff(offsets_V1)
    count_V[special_tokens.BOS] = 0
    words_V = np.arange(vocabulary_size, dtype=np.int32)
    bos_range = slice(special_tokens.BOS, special_tokens.BOS + 1)
    empty_context = np.array([0, vocabulary_size], dtype=np.int32)
    level = NgramLevel(words_V, np.zeros(vocabulary_size, dtype=np.int32), count_V, empty_context, bos_range)
    yield level
    ngram_P = text_P  # index of the n-gram of the current order that ends at each position, -1 if there is none
    is_bos_P = text_P == special_tokens.BOS
    for _ in range(1, order):
        context_P = np.empty_like(ngram_P)
        context_P[:1], context_P[1:] = -1, ngram_P[:-1]
        context_P[is_bos_P] = -1
        sorted_M, sorted_offsets_C1 = counting_sort(by_word_P, context_P, len(level))
        longer_P = np.full_like(text_P, -1)
        word_N, suffix_N, count_N, offsets_C1 = group_ngrams(
            sorted_M, text_P, context_P, ngram_P, sorted_offsets_C1, longer_P
        )
        first, last = offsets_C1[level.bos_range.start], offsets_C1[level.bos_range.stop]
        level = NgramLevel(word_N, suffix_N, count_N, offsets_C1, slice(int(first), int(last)))
        yield level
        ngram_P = longer_P


def adjust_counts(levels: list[NgramLevel]) -> list[Int32Array]:
    """Compute the adjusted counts of Kneser-Ney smoothing, order by order.

    N-grams of the highest order, and those that begin with <s>, which no word can precede, keep their occurrences. The
    count of any other n-gram is the number of distinct words that precede it.
    """
    adjusted: list[Int32Array] = []
    for level, longer in zip(levels, [*levels[1:], None], strict=True):
        if longer is None:
            adjusted.append(level.count_N)
            continue
        count_N = np.bincount(longer.suffix_N, minlength=len(level)).astype(np.int32)
        count_N[level.bos_range] = level.count_N[level.bos_range]
        adjusted.append(count_N)
    return adjusted


def prune(levels: list[NgramLevel], thresholds: tuple[int, ...]) -> list[BoolArray]:
    """Return, for each order, a mask of the n-grams that occur more often than its threshold; unigrams are kept."""
    unigrams = np.ones(len(levels[0]), dtype=np.bool_)
    higher_orders = zip(levels[1:], thresholds[1:], strict=True)
    return [unigrams, *(level.count_N > threshold for level, threshold in higher_orders)]
