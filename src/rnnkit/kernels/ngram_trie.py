"""Kernels that count n-grams, and look them up in the trie of a back-off model.

Counting is a stable counting sort of text positions, and numbering of equal neighbors. `rnnkit.ngrams.ngram_model`
describes the arrays of the trie. Kernels check no bounds: `rnnkit.ngrams.store` validates every array of a file before
it gets here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnnkit.kernels.compiler import Compiler, Float32Array, Float64Array, Int32Array, Int64Array, UInt8Array

_compiler = Compiler(Path(__file__).parent)
kernel, inlined = _compiler.kernel, _compiler.inlined

TrieArrays = tuple[Int32Array, Int32Array, Float32Array, Float32Array, Int32Array]
"""Of each node its last word, its suffix and its base-10 log-probability; of each inner node its base-10 log back-off
weight and its first child. A plain tuple, which a call from Python passes as fast as single arrays."""


@kernel
def counting_sort(order_M: Int32Array, key_P: Int32Array, num_keys: int) -> tuple[Int32Array, Int32Array]:
    """Sort positions by key in O(M + keys); equal keys keep their order. Positions with a negative key are dropped.

    Args:
        order_M: Positions, in the order that equal keys keep.
        key_P: Key of each position.
        num_keys: One more than the largest key.

    Returns:
        The sorted positions, and the offset of each key among them, shape (num_keys + 1,).
    """
    offsets = np.zeros(num_keys + 1, dtype=np.int32)
    for position in order_M:
        if key_P[position] >= 0:
            offsets[key_P[position] + 1] += 1
    for key in range(num_keys):
        offsets[key + 1] += offsets[key]
    next_slot = offsets[:-1].copy()
    result = np.empty(offsets[num_keys], dtype=np.int32)
    for position in order_M:
        key = key_P[position]
        if key >= 0:
            result[next_slot[key]] = position
            next_slot[key] += 1
    return result, offsets


@kernel
def group_ngrams(
    sorted_M: Int32Array,
    text_P: Int32Array,
    context_P: Int32Array,
    suffix_P: Int32Array,
    offsets_C1: Int32Array,
    ngram_P: Int32Array,
) -> tuple[Int32Array, Int32Array, Int32Array, Int32Array]:
    """Number the distinct n-grams: neighbors with the same context and word are one n-gram.

    Args:
        sorted_M: Positions sorted by context, then by word.
        text_P: Word at each position.
        context_P: Context of the n-gram that ends at each position.
        suffix_P: The same n-gram without its first word.
        offsets_C1: Offset of each context in `sorted_M`.
        ngram_P: Output: the n-gram index of each position.

    Returns:
        Word, suffix and count of each n-gram, and the offset of each context's n-grams.
    """
    total = 0
    for index in range(len(sorted_M)):
        here, before = sorted_M[index], sorted_M[index - 1]
        if index == 0 or text_P[here] != text_P[before] or context_P[here] != context_P[before]:
            total += 1
    word_N = np.empty(total, dtype=np.int32)
    suffix_N = np.empty(total, dtype=np.int32)
    count_N = np.zeros(total, dtype=np.int32)
    ngram_offsets_C1 = np.empty(len(offsets_C1), dtype=np.int32)
    ngram = -1
    for context in range(len(offsets_C1) - 1):
        ngram_offsets_C1[context] = ngram + 1
        for index in range(offsets_C1[context], offsets_C1[context + 1]):
            position = sorted_M[index]
            if index == offsets_C1[context] or text_P[position] != word_N[ngram]:
                ngram += 1
                word_N[ngram] = text_P[position]
                suffix_N[ngram] = suffix_P[position]
            count_N[ngram] += 1
            ngram_P[position] = ngram
    ngram_offsets_C1[len(offsets_C1) - 1] = total
    return word_N, suffix_N, count_N, ngram_offsets_C1


@inlined
def find_child(word_A: Int32Array, begin: int, end: int, word: int) -> int:
    """Find a word among the sorted nodes from `begin` to `end` by binary search; -1 if it is absent."""
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
def look_up(trie: TrieArrays, state: int, word: int) -> tuple[float, int, int]:
    """Score a word in a state, backing off to shorter contexts as needed.

    Returns:
        The base-10 log-probability, the next state, and the node of the n-gram that was found.
    """
    word_A, suffix_A, log10_A, backoff_I, first_child_I1 = trie
    log10 = 0.0
    node = -1
    while state != 0:
        node = find_child(word_A, first_child_I1[state], first_child_I1[state + 1], word)
        if node >= 0:
            break
        log10 += backoff_I[state]
        state = int(suffix_A[state])
    if state == 0:
        node = 1 + word
    log10 += float(log10_A[node])
    next_state = node if node < len(backoff_I) else int(suffix_A[node])
    return log10, next_state, node


@kernel
def score_word(trie: TrieArrays, state: int, word: int) -> tuple[float, int, int]:
    """Score one word, called from Python. Returns the same as `look_up`."""
    return look_up(trie, state, word)


@kernel
def score_sentences(
    trie: TrieArrays, initial_state: int, ids_M: Int32Array, offsets: Int64Array, order_begins: Int64Array
) -> tuple[Float64Array, UInt8Array]:
    """Score the words of sentences, each starting in `initial_state`.

    Args:
        trie: The arrays of the model.
        initial_state: State at the start of a sentence.
        ids_M: Words of all sentences.
        offsets: Offset of each sentence in `ids_M`, and the total.
        order_begins: First node of each order, from order 0 on.

    Returns:
        The base-10 log-probability of each word, and the order of the n-gram that was found for it.
    """
    log10_M = np.empty(len(ids_M), dtype=np.float64)
    order_M = np.empty(len(ids_M), dtype=np.uint8)
    for sentence in range(len(offsets) - 1):
        state = initial_state
        for position in range(offsets[sentence], offsets[sentence + 1]):
            log10_M[position], state, node = look_up(trie, state, int(ids_M[position]))
            order = 1
            while node >= order_begins[order + 1]:
                order += 1
            order_M[position] = order
    return log10_M, order_M


@kernel
def find_contexts(word_A: Int32Array, first_child_I1: Int32Array, words_NK: Int32Array) -> Int32Array:
    """Find the node of each n-gram's context, all its words but the last; -1 if the trie lacks it."""
    context_N = np.empty(len(words_NK), dtype=np.int32)
    for ngram in range(len(words_NK)):
        node = 1 + int(words_NK[ngram, 0])
        for column in range(1, words_NK.shape[1] - 1):
            node = find_child(word_A, first_child_I1[node], first_child_I1[node + 1], int(words_NK[ngram, column]))
            if node < 0:
                break
        context_N[ngram] = node
    return context_N


@kernel
def find_suffixes(
    word_A: Int32Array, suffix_A: Int32Array, first_child_I1: Int32Array, context_N: Int32Array, word_N: Int32Array
) -> Int32Array:
    """Find, for n-grams given as context and last word, the longest proper suffix that is a node."""
    suffix_N = np.empty(len(word_N), dtype=np.int32)
    for ngram in range(len(word_N)):
        word = int(word_N[ngram])
        state = int(suffix_A[context_N[ngram]])
        node = -1
        while state != 0:
            node = find_child(word_A, first_child_I1[state], first_child_I1[state + 1], word)
            if node >= 0:
                break
            state = int(suffix_A[state])
        suffix_N[ngram] = node if state != 0 else 1 + word
    return suffix_N
