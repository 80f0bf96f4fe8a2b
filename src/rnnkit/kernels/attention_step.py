"""A few queries' attention over the memory of their sentence, for decoding: scores, softmax and context in one go.

    e_ks = z q_k . m_s          w_ks = e^(e_ks - max_s e_ks) / sum_s e^(e_ks - max_s e_ks)          c_k = sum_s w_ks v_s

A search asks with some queries a sentence: products with a handful of rows each, which a library does at the price of
large ones. Here each piece of a sentence's memory is read once a step, for all of its queries.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.simd import (
    WIDTH,
    broadcast,
    load,
    offset,
    read_float32,
    read_int64,
    reduce_sum,
    store,
    write_float32,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

ROWS, PLACES, SIZE, READ, FACTOR, LENGTHS, QUERIES, KEYS, VALUES, WEIGHTS, CONTEXTS = range(
    FIRST_FIELD, FIRST_FIELD + 11
)
"""Fields of a job, whose shares are its B sentences: K, S, H, R, and the addresses of

    factor    (1)        z
    lengths   (B)        places of each sentence that are no padding, at least 1; int64
    queries   (B, K, H)
    keys      (B, S, H)  m
    values    (B, S, R)  v
    weights   (B, K, S)  w, written; zero over padding
    contexts  (B, K, R)  c, written
"""

_GROUP = 4 * WIDTH
_ZERO = np.float32(0)


@inlined
def _products(left: int, right: int, i: int, count: int) -> Any:
    """The products of `count` numbers of two vectors from i on, at most a group of them, summed by lanes."""
    j, k, m = i + WIDTH, i + 2 * WIDTH, i + 3 * WIDTH
    a = load(left, i, count, False) * load(right, i, count, False)
    b = load(left, j, count - WIDTH, False) * load(right, j, count - WIDTH, False)
    c = load(left, k, count - 2 * WIDTH, False) * load(right, k, count - 2 * WIDTH, False)
    d = load(left, m, count - 3 * WIDTH, False) * load(right, m, count - 3 * WIDTH, False)
    return (a + b) + (c + d)


@inlined
def _dot(left: int, right: int, size: int) -> Any:
    """The product of two vectors."""
    sums, whole = broadcast(_ZERO), size - size % _GROUP
    for i in range(0, whole, _GROUP):
        sums = sums + _products(left, right, i, _GROUP)
    if whole < size:
        sums = sums + _products(left, right, whole, size - whole)
    return reduce_sum(sums)


@inlined
def _softmax(scores: int, length: int) -> None:
    """In place, of so many scores."""
    peak = read_float32(scores, 0)
    for place in range(1, length):
        peak = max(peak, read_float32(scores, place))
    whole = _ZERO
    for place in range(length):
        power = np.float32(math.exp(read_float32(scores, place) - peak))
        write_float32(scores, place, power)
        whole += power
    for place in range(length):
        write_float32(scores, place, read_float32(scores, place) / whole)


@inlined
def _mix(weights: int, values: int, length: int, size: int, context: int, i: int, count: int) -> None:
    """The sum of values, each by its weight: `count` numbers of it from i on, at most a group of them."""
    j, k, m = i + WIDTH, i + 2 * WIDTH, i + 3 * WIDTH
    a, b, c, d = broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO)
    for place in range(length):
        weight, row = broadcast(read_float32(weights, place)), offset(values, place * size, False)
        a = a + weight * load(row, i, count, False)
        b = b + weight * load(row, j, count - WIDTH, False)
        c = c + weight * load(row, k, count - 2 * WIDTH, False)
        d = d + weight * load(row, m, count - 3 * WIDTH, False)
    store(context, i, a, count, False)
    store(context, j, b, count - WIDTH, False)
    store(context, k, c, count - 2 * WIDTH, False)
    store(context, m, d, count - 3 * WIDTH, False)


def attend(job: Any) -> None:
    """Each share is a sentence. Each piece of its memory meets all of its queries while it is near."""
    rows, places, size, values_size, factor = job[ROWS], job[PLACES], job[SIZE], job[READ], read_float32(job[FACTOR], 0)
    share = next_task(job)
    while share < job[TASKS]:
        length = read_int64(job[LENGTHS], share)
        keys = offset(job[KEYS], share * places * size, False)
        values = offset(job[VALUES], share * places * values_size, False)
        queries = offset(job[QUERIES], share * rows * size, False)
        weights = offset(job[WEIGHTS], share * rows * places, False)
        contexts = offset(job[CONTEXTS], share * rows * values_size, False)
        for place in range(length):
            key = offset(keys, place * size, False)
            for row in range(rows):
                write_float32(
                    weights, row * places + place, factor * _dot(offset(queries, row * size, False), key, size)
                )
        for row in range(rows):
            for place in range(length, places):
                write_float32(weights, row * places + place, _ZERO)
            _softmax(offset(weights, row * places, False), length)
        whole = values_size - values_size % _GROUP
        for i in range(0, whole, _GROUP):
            for row in range(rows):
                context = offset(contexts, row * values_size, False)
                _mix(offset(weights, row * places, False), values, length, values_size, context, i, _GROUP)
        for row in range(rows):
            context = offset(contexts, row * values_size, False)
            _mix(offset(weights, row * places, False), values, length, values_size, context, whole, values_size - whole)
        share = next_task(job)
