"""One step of a decoder: the recurrent cell, attention of a few queries, and the top k of logits. Nothing is copied.

Recurrent cell. The input of a decoder is one of a fixed set of tokens, so that its product with the weights is a row of
a table. Several rows may continue the same state, as the hypotheses of a beam do, and share its product. The equations
are those of `nn/cells.py`, with all biases included in the products.

Attention over a sentence's memory. The products of a few queries have a handful of rows each, for which a library takes
as long as for many; here each slice of the memory is read once per step, for all queries.

    e_ks = z q_k . m_s          w_ks = e^(e_ks - max_s e_ks) / sum_s e^(e_ks - max_s e_ks)          c_k = sum_s w_ks v_s

Top k of each row of logits, and the logarithm of its sum of exponentials. The first pass over a row looks for logits
above the worst of the top k, 64 at a time; the row is then in the cache for the second, which sums e^(z - max).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnnkit.kernels.simd import (
    WIDTH,
    Float32x16,
    broadcast,
    exp,
    load,
    maximum,
    offset,
    read_float32,
    read_int64,
    reduce_max,
    reduce_sum,
    sigmoid,
    store,
    tanh,
    write_float32,
    write_int64,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, Arguments, inlined, next_task

_GROUP = 4 * WIDTH
"""Elements that are processed together: four independent chains hide the latency of multiply-add."""

_ZERO, _MINUS_INFINITY = np.float32(0), np.float32(-math.inf)

ROWS, SIZE, TABLE, TOKENS, PARENTS, HIDDEN, BEFORE, AFTER, CELLS = range(FIRST_FIELD, FIRST_FIELD + 9)
"""Fields of the recurrent step: N, H, and the addresses of

    table    (V, G)  W x + b of each token
    tokens   (N)     token of each row, int64
    parents  (N)     state that each row continues, int64
    hidden   (M, G)  U h + b of each state
    before   (M, H)  LSTM: c; GRU: h
    after    (N, H)  h, output
    cells    (N, H)  LSTM: c, output

Each task is a range of rows.
"""


@inlined
def _run_rows(args: Arguments, cell: Callable[..., None], gates: int) -> None:
    """Compute all rows; `cell(args, product, hidden, before, after)` computes one."""
    width = gates * args[SIZE]
    task = next_task(args)
    while task < args[TASKS]:
        for row in range(args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]):
            product = offset(args[TABLE], read_int64(args[TOKENS], row) * width, False)
            parent = read_int64(args[PARENTS], row)
            cell(args, product, offset(args[HIDDEN], parent * width, False), parent * args[SIZE], row * args[SIZE])
        task = next_task(args)


@inlined
def _preactivation(product: int, hidden: int, index: int, remaining: int) -> Float32x16:
    return load(product, index, remaining, False) + load(hidden, index, remaining, False)


@inlined
def _rnn_cell(args: Arguments, product: int, hidden: int, before: int, after: int) -> None:
    size = args[SIZE]
    for j in range(0, size, WIDTH):
        store(args[AFTER], after + j, tanh(_preactivation(product, hidden, j, size - j)), size - j, False)


@inlined
def _lstm_cell(args: Arguments, product: int, hidden: int, before: int, after: int) -> None:
    size = args[SIZE]
    for j in range(0, size, WIDTH):
        remaining = size - j
        i = sigmoid(_preactivation(product, hidden, j, remaining))
        f = sigmoid(_preactivation(product, hidden, size + j, remaining))
        g = tanh(_preactivation(product, hidden, 2 * size + j, remaining))
        o = sigmoid(_preactivation(product, hidden, 3 * size + j, remaining))
        c = f * load(args[BEFORE], before + j, remaining, False) + i * g
        store(args[CELLS], after + j, c, remaining, False)
        store(args[AFTER], after + j, o * tanh(c), remaining, False)


@inlined
def _gru_cell(args: Arguments, product: int, hidden: int, before: int, after: int) -> None:
    size = args[SIZE]
    for j in range(0, size, WIDTH):
        remaining = size - j
        r = sigmoid(_preactivation(product, hidden, j, remaining))
        z = sigmoid(_preactivation(product, hidden, size + j, remaining))
        n = tanh(load(product, 2 * size + j, remaining, False) + r * load(hidden, 2 * size + j, remaining, False))
        h = n + z * (load(args[BEFORE], before + j, remaining, False) - n)
        store(args[AFTER], after + j, h, remaining, False)


def step_rnn(args: Arguments) -> None:
    """Compute one step of an RNN layer."""
    _run_rows(args, _rnn_cell, 1)


def step_lstm(args: Arguments) -> None:
    """Compute one step of an LSTM layer."""
    _run_rows(args, _lstm_cell, 4)


def step_gru(args: Arguments) -> None:
    """Compute one step of a GRU layer, reset gate after the product."""
    _run_rows(args, _gru_cell, 3)


STEP_KERNELS = {"rnn": step_rnn, "lstm": step_lstm, "gru": step_gru}
"""Kernel of each architecture."""


QUERIES, POSITIONS, KEY_SIZE, VALUE_SIZE, SCALE, LENGTHS, QUERY, KEYS, VALUES, WEIGHTS, CONTEXTS = range(
    FIRST_FIELD, FIRST_FIELD + 11
)
"""Fields of `attend`: K, S, H, R, and the addresses of

    scale     (1)        z
    lengths   (B)        positions of each sentence without padding, at least 1; int64
    query     (B, K, H)  q
    keys      (B, S, H)  m
    values    (B, S, R)  v
    weights   (B, K, S)  w, output; zero at padding
    contexts  (B, K, R)  c, output

Each of the B tasks is a sentence.
"""


def attend(args: Arguments) -> None:
    """Attend; each task is a sentence. Each slice of its memory meets all queries while it is in the cache."""
    queries, positions, size, value_size = args[QUERIES], args[POSITIONS], args[KEY_SIZE], args[VALUE_SIZE]
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
                row, part = offset(weights, k * positions, False), offset(values, i, False)
                _weighted_sum(row, part, length, value_size, offset(context, i, False), _GROUP)
        for k in range(queries):
            context, row = offset(contexts, k * value_size + whole, False), offset(weights, k * positions, False)
            _weighted_sum(row, offset(values, whole, False), length, value_size, context, value_size - whole)
        task = next_task(args)


@inlined
def _dot(left: int, right: int, size: int) -> np.float32:
    """Compute the dot product of two vectors."""
    sums, whole = broadcast(_ZERO), size - size % _GROUP
    for i in range(0, whole, _GROUP):
        sums = sums + _products(left, right, i, _GROUP)
    if whole < size:
        sums = sums + _products(left, right, whole, size - whole)
    return reduce_sum(sums)


@inlined
def _products(left: int, right: int, i: int, count: int) -> Float32x16:
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
def _weighted_sum(weights: int, values: int, length: int, size: int, context: int, count: int) -> None:
    """Compute the first `count` elements of a context, at most a group, from the rows of `values` of this size."""
    a, b, c, d = broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO), broadcast(_ZERO)
    for s in range(length):
        weight, value = broadcast(read_float32(weights, s)), offset(values, s * size, False)
        a = a + weight * load(value, 0, count, False)
        b = b + weight * load(value, WIDTH, count - WIDTH, False)
        c = c + weight * load(value, 2 * WIDTH, count - 2 * WIDTH, False)
        d = d + weight * load(value, 3 * WIDTH, count - 3 * WIDTH, False)
    store(context, 0, a, count, False)
    store(context, WIDTH, b, count - WIDTH, False)
    store(context, 2 * WIDTH, c, count - 2 * WIDTH, False)
    store(context, 3 * WIDTH, d, count - 3 * WIDTH, False)


COLUMNS, COUNT, EXCLUDED, LOGITS, MASK, SENTENCES, BEST, IDS, LOG_SUMS = range(ROWS + 1, ROWS + 10)
"""Fields of `topk_log_sum_exp`: N, V, K, the bits of columns below 64 that are excluded from the top k, and the
addresses of

    logits     (N, V)  z
    mask       (B, V)  added to the logits, 0 or minus infinity; address 0 for no mask
    sentences  (N)     row of the mask that applies to each row, int64
    best       (N, K)  top k, in descending order, output
    ids        (N, K)  their columns, int64, output
    log sums   (N)     log sum_v e^z_v, excluded columns included, output

Each task is a range of rows.
"""


class LogitRow(NamedTuple):
    """A row of logits.

    Attributes:
        logits: Its address.
        mask: Address of what is added to it; 0 for no mask.
        columns: Number of logits.
    """

    logits: int
    mask: int
    columns: int


class TopK(NamedTuple):
    """The best logits so far.

    Attributes:
        best: Address of the logits, in descending order.
        ids: Address of their columns.
        k: Their number.
        excluded: Bits of the columns below 64 that must not be among them.
    """

    best: int
    ids: int
    k: int
    excluded: int


def topk_log_sum_exp(args: Arguments) -> None:
    """Compute top k and log-sum-exp; each task is a range of rows."""
    columns, count = args[COLUMNS], args[COUNT]
    task = next_task(args)
    while task < args[TASKS]:
        first, last = args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]
        for row in range(first, last):
            mask = 0
            if args[MASK]:
                mask = offset(args[MASK], read_int64(args[SENTENCES], row) * columns, False)
            logits = LogitRow(offset(args[LOGITS], row * columns, False), mask, columns)
            best, ids = offset(args[BEST], row * count, False), args[IDS] + 8 * row * count
            write_float32(args[LOG_SUMS], row, _process_row(logits, TopK(best, ids, count, args[EXCLUDED])))
        task = next_task(args)


@inlined
def _process_row(row: LogitRow, top: TopK) -> np.float32:
    """Find the top k of one row; return its log-sum-exp."""
    for rank in range(top.k):
        write_float32(top.best, rank, _MINUS_INFINITY)
        write_int64(top.ids, rank, 0)
    largest = broadcast(_MINUS_INFINITY)
    whole = row.columns - row.columns % _GROUP
    for first in range(0, whole, _GROUP):
        a, b = _masked_vector(row, first), _masked_vector(row, first + WIDTH)
        c, d = _masked_vector(row, first + 2 * WIDTH), _masked_vector(row, first + 3 * WIDTH)
        group = maximum(maximum(a, b), maximum(c, d))
        largest = maximum(largest, group)
        if reduce_max(group) > read_float32(top.best, top.k - 1):
            _scan_columns(row, first, first + _GROUP, top)
    _scan_columns(row, whole, row.columns, top)
    peak = reduce_max(largest)
    for column in range(whole, row.columns):
        peak = max(peak, _masked_logit(row, column))
    return peak + _log_sum(row, peak)


@inlined
def _scan_columns(row: LogitRow, first: int, last: int, top: TopK) -> None:
    """Insert those logits of a range of columns that belong to the top k."""
    for column in range(first, last):
        value = _masked_logit(row, column)
        allowed = column >= 64 or (top.excluded >> column) & 1 == 0
        if value > read_float32(top.best, top.k - 1) and allowed:
            _insert(top, value, column)


@inlined
def _insert(top: TopK, value: np.float32, column: int) -> None:
    """Insert a value that is greater than the last of the top k at its rank."""
    rank = top.k - 1
    while rank > 0 and read_float32(top.best, rank - 1) < value:
        write_float32(top.best, rank, read_float32(top.best, rank - 1))
        write_int64(top.ids, rank, read_int64(top.ids, rank - 1))
        rank -= 1
    write_float32(top.best, rank, value)
    write_int64(top.ids, rank, column)


@inlined
def _log_sum(row: LogitRow, peak: np.float32) -> np.float32:
    """Compute the logarithm of the sum of e^(z - peak)."""
    shift, sums = broadcast(peak), broadcast(_ZERO)
    whole = row.columns - row.columns % WIDTH
    for first in range(0, whole, WIDTH):
        sums = sums + exp(_masked_vector(row, first) - shift)
    rest = _ZERO
    for column in range(whole, row.columns):
        rest += np.float32(math.exp(_masked_logit(row, column) - peak))
    return np.float32(math.log(reduce_sum(sums) + rest))


@inlined
def _masked_vector(row: LogitRow, first: int) -> Float32x16:
    """Load sixteen logits and add the mask."""
    logits = load(row.logits, first, WIDTH, False)
    return logits + load(row.mask, first, WIDTH, False) if row.mask else logits


@inlined
def _masked_logit(row: LogitRow, column: int) -> np.float32:
    """Read one logit and add the mask."""
    logit: np.float32 = read_float32(row.logits, column)
    return logit + read_float32(row.mask, column) if row.mask else logit
