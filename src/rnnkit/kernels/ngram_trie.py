"""Kernels that walk through the trie of a model, as `model.py` describes it."""

from __future__ import annotations

import numpy as np

from rnnkit.kernels.array_types import Float64Array, Int32Array
from rnnkit.ngrams.compiled import inlined, kernel


@inlined
def find_child(word_A: Int32Array, begin: int, end: int, word: int) -> int:
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
def look_up(
    word_A: Int32Array,
    suffix_A: Int32Array,
    log10_A: Float32Array,
    backoff_I: Float32Array,
    begins_I1: Int32Array,
    state: int,
    word: int,
) -> tuple[float, int, int]:
    """Read a word.

    Returns:
        Logarithm to base 10 of its probability, the state after it, and the node it was found at.
    """
    log10 = 0.0
    node = -1
    while state != 0:
        node = find_child(word_A, begins_I1[state], begins_I1[state + 1], word)
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
def score_word(
    word_A: Int32Array,
    suffix_A: Int32Array,
    log10_A: Float32Array,
    backoff_I: Float32Array,
    begins_I1: Int32Array,
    state: int,
    word: int,
) -> tuple[float, int, int]:
    """Read one word. Results as those of `read`."""
    return look_up(word_A, suffix_A, log10_A, backoff_I, begins_I1, state, word)


@kernel
def score_sentences(
    word_A: Int32Array,
    suffix_A: Int32Array,
    log10_A: Float32Array,
    backoff_I: Float32Array,
    begins_I1: Int32Array,
    start: int,
    ids_M: Int32Array,
    offsets: Int64Array,
    level_begins: Int64Array,
) -> tuple[Float64Array, UInt8Array]:
    """Read lines, each from the state `start` on.

    Returns:
        For each id the logarithm to base 10 of its probability, and the order of the n-gram that was found.
    """
    log10_M = np.empty(len(ids_M), dtype=np.float64)
    order_M = np.empty(len(ids_M), dtype=np.uint8)
    for line in range(len(offsets) - 1):
        state = start
        for place in range(offsets[line], offsets[line + 1]):
            log10_M[place], state, node = look_up(
                word_A, suffix_A, log10_A, backoff_I, begins_I1, state, int(ids_M[place])
            )
            order = 1
            while node >= level_begins[order + 1]:
                order += 1
            order_M[place] = order
    return log10_M, order_M


@kernel
def find_contexts(word_A: Int32Array, begins_I1: Int32Array, words_NK: Int32Array) -> Int32Array:
    """The node of the context of each n-gram, all its words but the last; -1 where there is none."""
    context_N = np.empty(len(words_NK), dtype=np.int32)
    for row in range(len(words_NK)):
        node = 1 + int(words_NK[row, 0])
        for column in range(1, words_NK.shape[1] - 1):
            node = find_child(word_A, begins_I1[node], begins_I1[node + 1], int(words_NK[row, column]))
            if node < 0:
                break
        context_N[row] = node
    return context_N


@kernel
def find_suffixes(
    word_A: Int32Array, suffix_A: Int32Array, begins_I1: Int32Array, context_N: Int32Array, word_N: Int32Array
) -> Int32Array:
    """The longest shorter node that ends like each n-gram of these contexts and last words."""
    suffix_N = np.empty(len(word_N), dtype=np.int32)
    for row in range(len(word_N)):
        word = int(word_N[row])
        state = int(suffix_A[context_N[row]])
        node = -1
        while state != 0:
            node = find_child(word_A, begins_I1[state], begins_I1[state + 1], word)
            if node >= 0:
                break
            state = int(suffix_A[state])
        suffix_N[row] = node if state != 0 else 1 + word
    return suffix_N
