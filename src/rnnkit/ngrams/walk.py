"""Kernels that walk through the trie of a model, as `model.py` describes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnnkit.ngrams.compiled import inlined, kernel
from rnnkit.ngrams.counts import Floats, Ints

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]
Orders = NDArray[np.uint8]


@inlined
def find(word_A: Ints, begin: int, end: int, word: int) -> int:
    """The node of a word among the sorted nodes from `begin` to `end`, or -1."""
    while begin < end:
        middle = (begin + end) >> 1
        if word_A[middle] < word:
            begin = middle + 1
        elif word_A[middle] > word:
            end = middle
        else:
            return middle
    return -1


@inlined
def read(
    word_A: Ints, suffix_A: Ints, log10_A: Singles, backoff_I: Singles, begins_I1: Ints, state: int, word: int
) -> tuple[float, int, int]:
    """Read a word.

    Returns:
        Logarithm to base 10 of its probability, the state after it, and the node it was found at.
    """
    log10 = 0.0
    node = -1
    while state != 0:
        node = find(word_A, begins_I1[state], begins_I1[state + 1], word)
        if node >= 0:
            break
        log10 += backoff_I[state]
        state = int(suffix_A[state])
    if state == 0:
        node = 1 + word
    log10 += float(log10_A[node])
    after = node if node < len(backoff_I) else int(suffix_A[node])
    return log10, after, node


@kernel
def advance(
    word_A: Ints, suffix_A: Ints, log10_A: Singles, backoff_I: Singles, begins_I1: Ints, state: int, word: int
) -> tuple[float, int, int]:
    """Read one word. Results as those of `read`."""
    return read(word_A, suffix_A, log10_A, backoff_I, begins_I1, state, word)


@kernel
def score(
    word_A: Ints,
    suffix_A: Ints,
    log10_A: Singles,
    backoff_I: Singles,
    begins_I1: Ints,
    start: int,
    ids_M: Ints,
    offsets: Longs,
    level_begins: Longs,
) -> tuple[Floats, Orders]:
    """Read lines, each from the state `start` on.

    Returns:
        For each id the logarithm to base 10 of its probability, and the order of the n-gram that was found.
    """
    log10_M = np.empty(len(ids_M), dtype=np.float64)
    order_M = np.empty(len(ids_M), dtype=np.uint8)
    for line in range(len(offsets) - 1):
        state = start
        for place in range(offsets[line], offsets[line + 1]):
            log10_M[place], state, node = read(
                word_A, suffix_A, log10_A, backoff_I, begins_I1, state, int(ids_M[place])
            )
            order = 1
            while node >= level_begins[order + 1]:
                order += 1
            order_M[place] = order
    return log10_M, order_M


@kernel
def locate(word_A: Ints, begins_I1: Ints, words_NK: Ints) -> Ints:
    """The node of the context of each n-gram, all its words but the last; -1 where there is none."""
    context_N = np.empty(len(words_NK), dtype=np.int32)
    for row in range(len(words_NK)):
        node = 1 + int(words_NK[row, 0])
        for column in range(1, words_NK.shape[1] - 1):
            node = find(word_A, begins_I1[node], begins_I1[node + 1], int(words_NK[row, column]))
            if node < 0:
                break
        context_N[row] = node
    return context_N


@kernel
def link(word_A: Ints, suffix_A: Ints, begins_I1: Ints, context_N: Ints, word_N: Ints) -> Ints:
    """The longest shorter node that ends like each n-gram of these contexts and last words."""
    suffix_N = np.empty(len(word_N), dtype=np.int32)
    for row in range(len(word_N)):
        word = int(word_N[row])
        state = int(suffix_A[context_N[row]])
        node = -1
        while state != 0:
            node = find(word_A, begins_I1[state], begins_I1[state + 1], word)
            if node >= 0:
                break
            state = int(suffix_A[state])
        suffix_N[row] = node if state != 0 else 1 + word
    return suffix_N
