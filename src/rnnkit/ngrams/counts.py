"""N-grams of a text, counted by sorting: a trie, order by order.

The text is one row of positions, each line behind one <s>. The k-gram that ends at position p is its context, the
(k-1)-gram that ends at p-1, and the word at p. Positions lie sorted by word; one stable counting sort by context brings
equal k-grams together, contexts in their own order and the words of a context in theirs. So a context's n-grams are
one range, all that is known of an n-gram lies in plain arrays, and no n-gram is ever spelled out:

    word      its last word
    suffix    the n-gram without its first word, one order lower
    begins    where the n-grams of each context begin: those of context c are begins[c] to begins[c + 1]

An order costs one pass over the text, whatever the vocabulary's size. An n-gram does not reach back beyond <s>.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.ngrams.compiled import kernel
from rnnkit.text import special_tokens

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Level:
    """The n-grams of one order, sorted by context and then by word.

    Attributes:
        word_N: Last word of each.
        suffix_N: Each without its first word, as an index into the level below; 0, the empty one, for single words.
        count_N: Occurrences in the text.
        begins_C1: Where each context's n-grams begin, and the end of the last.
        from_start: Those that begin with <s>: a range, as they are children of a range.
    """

    word_N: Ints
    suffix_N: Ints
    count_N: Ints
    begins_C1: Ints
    from_start: slice

    def __len__(self) -> int:
        return len(self.word_N)

    def contexts(self) -> Ints:
        """Each n-gram's context, as an index into the level below, shape (N,)."""
        lengths_C = np.diff(self.begins_C1)
        return np.repeat(np.arange(len(lengths_C), dtype=np.int32), lengths_C)


def count(text_P: Ints, vocabulary_size: int, order: int) -> Iterator[Level]:
    """Count n-grams of 1, 2, ... `order` words.

    Args:
        text_P: Ids; BOS stands before each line and nowhere else, EOS at its end.
        vocabulary_size: Number of ids. The first level has all of them, counted or not.
        order: Words of the longest n-grams.

    Yields:
        The levels; <s> itself has count 0, as nothing predicts it.
    """
    by_word_P, begins_V1 = sort_stably(np.arange(len(text_P), dtype=np.int32), text_P, vocabulary_size)
    count_V = np.diff(begins_V1)
    count_V[special_tokens.BOS] = 0
    words_V = np.arange(vocabulary_size, dtype=np.int32)
    from_start = slice(special_tokens.BOS, special_tokens.BOS + 1)
    whole = np.array([0, vocabulary_size], dtype=np.int32)
    level = Level(words_V, np.zeros(vocabulary_size, dtype=np.int32), count_V, whole, from_start)
    yield level
    ends_P = text_P  # the n-gram of the present order that ends at each position, -1 where there is none
    starts_P = text_P == special_tokens.BOS
    for _ in range(1, order):
        context_P = np.empty_like(ends_P)
        context_P[:1], context_P[1:] = -1, ends_P[:-1]
        context_P[starts_P] = -1
        sorted_M, begins_C1 = sort_stably(by_word_P, context_P, len(level))
        longer_P = np.full_like(text_P, -1)
        word_N, suffix_N, count_N, begins = group(sorted_M, text_P, context_P, ends_P, begins_C1, longer_P)
        first, last = begins[level.from_start.start], begins[level.from_start.stop]
        level = Level(word_N, suffix_N, count_N, begins, slice(int(first), int(last)))
        yield level
        ends_P = longer_P


@kernel
def sort_stably(order_M: Ints, key_P: Ints, keys: int) -> tuple[Ints, Ints]:
    """Counting sort of positions by key; those whose key is negative are left out.

    Args:
        order_M: Positions in the order that equal keys keep.
        key_P: Key of each position.
        keys: One more than the greatest key.

    Returns:
        The positions sorted, and where each key begins among them, shape (keys + 1,).
    """
    begins = np.zeros(keys + 1, dtype=np.int32)
    for position in order_M:
        if key_P[position] >= 0:
            begins[key_P[position] + 1] += 1
    for key in range(keys):
        begins[key + 1] += begins[key]
    place = begins[:-1].copy()
    result = np.empty(begins[keys], dtype=np.int32)
    for position in order_M:
        key = key_P[position]
        if key >= 0:
            result[place[key]] = position
            place[key] += 1
    return result, begins


@kernel
def group(
    sorted_M: Ints, text_P: Ints, context_P: Ints, suffix_P: Ints, begins_C1: Ints, ngram_P: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """Number the n-grams: neighbours with equal context and word are one.

    Args:
        sorted_M: Positions sorted by context, then word.
        text_P: Words.
        context_P: Context of the n-gram that ends at each position.
        suffix_P: The same n-gram without its first word.
        begins_C1: Where each context begins in `sorted_M`.
        ngram_P: Filled with the number of each position's n-gram.

    Returns:
        Words, suffixes and counts of the n-grams, and where each context's n-grams begin.
    """
    total = 0
    for index in range(len(sorted_M)):
        here, before = sorted_M[index], sorted_M[index - 1]
        if index == 0 or text_P[here] != text_P[before] or context_P[here] != context_P[before]:
            total += 1
    word_N = np.empty(total, dtype=np.int32)
    suffix_N = np.empty(total, dtype=np.int32)
    count_N = np.zeros(total, dtype=np.int32)
    begins = np.empty(len(begins_C1), dtype=np.int32)
    number = -1
    for context in range(len(begins_C1) - 1):
        begins[context] = number + 1
        for index in range(begins_C1[context], begins_C1[context + 1]):
            position = sorted_M[index]
            if index == begins_C1[context] or text_P[position] != word_N[number]:
                number += 1
                word_N[number] = text_P[position]
                suffix_N[number] = suffix_P[position]
            count_N[number] += 1
            ngram_P[position] = number
    begins[len(begins_C1) - 1] = total
    return word_N, suffix_N, count_N, begins


def adjust(levels: list[Level]) -> list[Ints]:
    """Kneser and Ney's counts of each level.

    The longest n-grams have their occurrences. Of a shorter one it counts how many different words stand before it;
    before one that begins with <s> nothing can stand, so it keeps its occurrences.
    """
    adjusted: list[Ints] = []
    for level, longer in zip(levels, [*levels[1:], None], strict=True):
        if longer is None:
            adjusted.append(level.count_N)
            continue
        count_N = np.bincount(longer.suffix_N, minlength=len(level)).astype(np.int32)
        count_N[level.from_start] = level.count_N[level.from_start]
        adjusted.append(count_N)
    return adjusted


def select(levels: list[Level], thresholds: tuple[int, ...]) -> list[Flags]:
    """Which n-grams of each level occur more often than its threshold; all words, whatever their count."""
    first = np.ones(len(levels[0]), dtype=np.bool_)
    longer = zip(levels[1:], thresholds[1:], strict=True)
    return [first, *(level.count_N > threshold for level, threshold in longer)]
