"""Attention of a few queries over a sentence's memory, for decoding: scores, softmax and context in one pass.

    e_ks = z q_k . m_s          w_ks = e^(e_ks - max_s e_ks) / sum_s e^(e_ks - max_s e_ks)          c_k = sum_s w_ks v_s

A search has a few queries per sentence. Their products have a handful of rows each, for which a library takes as long
as for many. The kernel reads each slice of a sentence's memory once per step, for all of its queries.
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

QUERIES, POSITIONS, SIZE, VALUE_SIZE, SCALE, LENGTHS, QUERY, KEYS, VALUES, WEIGHTS, CONTEXTS = range(
    FIRST_FIELD, FIRST_FIELD + 11
)
"""Fields: K, S, H, R, and the addresses of

    scale     (1)        z
    lengths   (B)        positions of each sentence without padding, at least 1; int64
    query     (B, K, H)  q
    keys      (B, S, H)  m
    values    (B, S, R)  v
    weights   (B, K, S)  w, output; zero at padding
    contexts  (B, K, R)  c, output

Each of the B tasks is a sentence.
"""

_GROUP = 4 * WIDTH
"""Elements that are processed together: four independent chains hide the latency of multiply-add."""

_ZERO = np.float32(0)


def attend(args: Any) -> None:
    """Attend; each task is a sentence. Each slice of its memory meets all queries while it is in the cache."""
    queries, positions, size, value_size = args[QUERIES], args[POSITIONS], args[SIZE], args[VALUE_SIZE]
    scale = read_float32(args[SCALE], 0)
    task = next_task(args)
    while task < args[TASKS]:
        length = read_int64(args[LENGTHS], task)
        keys = offset(args[KEYS], task * positions * size, False)
        values = offset(args[VALUES], task * positions * value_size, False)
        query = offset(args[QUERY], task * queries * size, False)
        weights = offset(args[WEIGHTS], task * queries * positions, False)
        contexts = offset(args[CONTEXTS], task * queries * value_size, False)
        for s in range(length):
            key = offset(keys, s * size, False)
            for k in range(queries):
                write_float32(weights, k * positions + s, scale * _dot(offset(query, k * size, False), key, size))
        for k in range(queries):
            for s in range(length, positions):
                write_float32(weights, k * positions + s, _ZERO)
            _softmax(offset(weights, k * positions, False), length)
        whole = value_size - value_size % _GROUP
        for i in range(0, whole, _GROUP):
            for k in range(queries):
                context = offset(contexts, k * value_size, False)
                _weighted_sum(offset(weights, k * positions, False), values, length, value_size, context, i, _GROUP)
        for k in range(queries):
            context, row = offset(contexts, k * value_size, False), offset(weights, k * positions, False)
            _weighted_sum(row, values, length, value_size, context, whole, value_size - whole)
        task = next_task(args)


@inlined
def _dot(left: int, right: int, size: int) -> Any:
    """Compute the dot product of two vectors."""
    sums, whole = broadcast(_ZERO), size - size % _GROUP
    for i in range(0, whole, _GROUP):
        sums = sums + _products(left, right, i, _GROUP)
    if whole < size:
        sums = sums + _products(left, right, whole, size - whole)
    return reduce_sum(sums)


@inlined
def _products(left: int, right: int, i: int, count: int) -> Any:
    """Multiply up to `count` elements of two vectors from index i on, at most a group, and sum them into one vector."""
    j, k, m = i + WIDTH, i + 2 * WIDTH, i + 3 * WIDTH
    a = load(left, i, count, False) * load(right, i, count, False)
    b = load(left, j, count - WIDTH, False) * load(right, j, count - WIDTH, False)
    c = load(left, k, count - 2 * WIDTH, False) * load(right, k, count - 2 * WIDTH, False)
    d = load(left, m, count - 3 * WIDTH, False) * load(right, m, count - 3 * WIDTH, False)
    return (a + b) + (c + d)


@inlined
def _softmax(scores: int, length: int) -> None:
    """Compute the softmax of the first `length` scores in place."""
    peak = read_float32(scores, 0)
    for s in range(1, length):
        peak = max(peak, read_float32(scores, s))
    total = _ZERO
    for s in range(length):
        power = np.float32(math.exp(read_float32(scores, s) - peak))
        write_float32(scores, s, power)
        total += power
    for s in range(length):
        write_float32(scores, s, read_float32(scores, s) / total)


@inlined
def _weighted_sum(weights: int, values: int, length: int, size: int, context: int, i: int, count: int) -> None:
    """Compute `count` elements of a context from index i on, at most a group."""
    j, k, m = i + WIDTH, i + 2 * WIDTH, i + 3 * WIDTH
    a, b, c, d = broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO)
    for s in range(length):
        weight, value = broadcast(read_float32(weights, s)), offset(values, s * size, False)
        a = a + weight * load(value, i, count, False)
        b = b + weight * load(value, j, count - WIDTH, False)
        c = c + weight * load(value, k, count - 2 * WIDTH, False)
        d = d + weight * load(value, m, count - 3 * WIDTH, False)
    store(context, i, a, count, False)
    store(context, j, b, count - WIDTH, False)
    store(context, k, c, count - 2 * WIDTH, False)
    store(context, m, d, count - 3 * WIDTH, False)
