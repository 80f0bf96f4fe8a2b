"""Kernels that count n-grams: a stable counting sort of text positions, and numbering of equal neighbors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnnkit.kernels.array_types import Int32Array
from rnnkit.kernels.compiler import Compiler

kernel = Compiler(Path(__file__).parent).kernel


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
