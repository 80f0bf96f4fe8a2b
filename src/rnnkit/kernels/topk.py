"""Top k of each row of logits and the logarithm of its sum of exponentials, in two passes over the row.

The first pass looks for logits above the worst of the top k, 64 at a time; the row is then in the cache for the second,
which sums e^(z - max). Nothing of the row's length is written.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.activations import exp
from rnnkit.kernels.simd import (
    WIDTH,
    broadcast,
    load,
    maximum,
    offset,
    read_float32,
    read_int64,
    reduce_max,
    reduce_sum,
    write_float32,
    write_int64,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

ROWS, COLUMNS, COUNT, EXCLUDED, LOGITS, MASK, SENTENCES, BEST, IDS, LOG_SUMS = range(FIRST_FIELD, FIRST_FIELD + 10)
"""Fields: N, V, K, the bits of columns below 64 that are excluded from the top k, and the addresses of

    logits     (N, V)  z
    mask       (B, V)  added to the logits, 0 or minus infinity; address 0 for no mask
    sentences  (N)     row of the mask that applies to each row, int64
    best       (N, K)  top k, in descending order, output
    ids        (N, K)  their columns, int64, output
    log sums   (N)     log sum_v e^z_v, excluded columns included, output

Each task is a range of rows.
"""

_GROUP = 4 * WIDTH
_MINUS_INFINITY = np.float32(-math.inf)


def topk_log_sum_exp(args: Any) -> None:
    """Compute top k and log-sum-exp; each task is a range of rows."""
    columns, count = args[COLUMNS], args[COUNT]
    task = next_task(args)
    while task < args[TASKS]:
        first, last = args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]
        for row in range(first, last):
            mask = 0
            if args[MASK]:
                mask = offset(args[MASK], read_int64(args[SENTENCES], row) * columns, False)
            log_sum = _process_row(
                offset(args[LOGITS], row * columns, False), mask, columns, offset(args[BEST], row * count, False),
                args[IDS] + 8 * row * count, count, args[EXCLUDED],
            )  # fmt: skip
            write_float32(args[LOG_SUMS], row, log_sum)
        task = next_task(args)


@inlined
def _process_row(row: int, mask: int, columns: int, best: int, ids: int, count: int, excluded: int) -> Any:
    """Find the top k of one row; return its log-sum-exp."""
    for rank in range(count):
        write_float32(best, rank, _MINUS_INFINITY)
        write_int64(ids, rank, 0)
    largest = broadcast(_MINUS_INFINITY)
    whole = columns - columns % _GROUP
    for first in range(0, whole, _GROUP):
        a, b = _masked_vector(row, mask, first), _masked_vector(row, mask, first + WIDTH)
        c, d = _masked_vector(row, mask, first + 2 * WIDTH), _masked_vector(row, mask, first + 3 * WIDTH)
        group = maximum(maximum(a, b), maximum(c, d))
        largest = maximum(largest, group)
        if reduce_max(group) > read_float32(best, count - 1):
            _scan_columns(row, mask, first, first + _GROUP, best, ids, count, excluded)
    _scan_columns(row, mask, whole, columns, best, ids, count, excluded)
    peak = reduce_max(largest)
    for column in range(whole, columns):
        peak = max(peak, _masked_logit(row, mask, column))
    return peak + _log_sum(row, mask, columns, peak)


@inlined
def _scan_columns(row: int, mask: int, first: int, last: int, best: int, ids: int, count: int, excluded: int) -> None:
    """Insert those logits of a range of columns that belong to the top k."""
    for column in range(first, last):
        value = _masked_logit(row, mask, column)
        allowed = column >= 64 or (excluded >> column) & 1 == 0
        if value > read_float32(best, count - 1) and allowed:
            _insert(best, ids, count, value, column)


@inlined
def _insert(best: int, ids: int, count: int, value: Any, column: int) -> None:
    """Insert a value that is greater than the last of the top k at its rank."""
    rank = count - 1
    while rank > 0 and read_float32(best, rank - 1) < value:
        write_float32(best, rank, read_float32(best, rank - 1))
        write_int64(ids, rank, read_int64(ids, rank - 1))
        rank -= 1
    write_float32(best, rank, value)
    write_int64(ids, rank, column)


@inlined
def _log_sum(row: int, mask: int, columns: int, peak: Any) -> Any:
    """Compute the logarithm of the sum of e^(z - peak)."""
    shift, sums = broadcast(peak), broadcast(np.float32(0))
    whole = columns - columns % WIDTH
    for first in range(0, whole, WIDTH):
        sums = sums + exp(_masked_vector(row, mask, first) - shift)
    rest = np.float32(0)
    for column in range(whole, columns):
        rest += np.float32(math.exp(_masked_logit(row, mask, column) - peak))
    return np.float32(math.log(reduce_sum(sums) + rest))


@inlined
def _masked_vector(row: int, mask: int, first: int) -> Any:
    """Load sixteen logits and add the mask."""
    logits = load(row, first, WIDTH, False)
    return logits + load(mask, first, WIDTH, False) if mask else logits


@inlined
def _masked_logit(row: int, mask: int, column: int) -> Any:
    """Read one logit and add the mask."""
    logit = read_float32(row, column)
    return logit + read_float32(mask, column) if mask else logit
