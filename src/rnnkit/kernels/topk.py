"""The best few numbers of each row and the logarithm of its sum of powers, in two runs over the row.

The first looks for numbers above the worst that is kept, sixty-four at a time; the row is then in the cache for the
second, which adds up e^(z - max). Nothing of the row's length is written.
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

ROWS, COLUMNS, COUNT, FORBIDDEN, LOGITS, GATES, OWNERS, BEST, PLACES, SUMS = range(FIRST_FIELD, FIRST_FIELD + 10)
"""Fields of a job: N, V, K, a mask of bits for columns before 64 that are not kept, and the addresses of

    logits  (N, V)  read
    gates   (B, V)  read: added to the logits, 0 or minus infinity; no address where nothing is shut
    owners  (N)     read: which of the gates each row has, int64
    best    (N, K)  written: the K greatest, the greatest first
    places  (N, K)  written: their columns, int64
    sums    (N)     written: log sum_v e^z_v, forbidden columns counted
"""

_GROUP = 4 * WIDTH
_LEAST = np.float32(-math.inf)


@inlined
def _keep(best: int, places: int, count: int, value: Any, column: int) -> None:
    """Put a value that is greater than the last one kept into its place."""
    place = count - 1
    while place > 0 and read_float32(best, place - 1) < value:
        write_float32(best, place, read_float32(best, place - 1))
        write_int64(places, place, read_int64(places, place - 1))
        place -= 1
    write_float32(best, place, value)
    write_int64(places, place, column)


@inlined
def _lanes(row: int, gates: int, first: int) -> Any:
    """Logits from `first` on behind their gates."""
    logits = load(row, first, WIDTH, False)
    return logits + load(gates, first, WIDTH, False) if gates else logits


@inlined
def _one(row: int, gates: int, column: int) -> Any:
    """One logit behind its gate."""
    logit = read_float32(row, column)
    return logit + read_float32(gates, column) if gates else logit


@inlined
def _look_through(
    row: int, gates: int, first: int, last: int, best: int, places: int, count: int, forbidden: int
) -> None:
    """Keep what is worth it of some columns."""
    for column in range(first, last):
        value = _one(row, gates, column)
        allowed = column >= 64 or (forbidden >> column) & 1 == 0
        if value > read_float32(best, count - 1) and allowed:
            _keep(best, places, count, value, column)


@inlined
def _rank_row(row: int, gates: int, columns: int, best: int, places: int, count: int, forbidden: int) -> Any:
    """One row's best; returns the logarithm of its sum."""
    for place in range(count):
        write_float32(best, place, _LEAST)
        write_int64(places, place, 0)
    most = broadcast(_LEAST)
    whole = columns - columns % _GROUP
    for first in range(0, whole, _GROUP):
        left, right = _lanes(row, gates, first), _lanes(row, gates, first + WIDTH)
        third, fourth = _lanes(row, gates, first + 2 * WIDTH), _lanes(row, gates, first + 3 * WIDTH)
        group = maximum(maximum(left, right), maximum(third, fourth))
        most = maximum(most, group)
        if reduce_max(group) > read_float32(best, count - 1):
            _look_through(row, gates, first, first + _GROUP, best, places, count, forbidden)
    _look_through(row, gates, whole, columns, best, places, count, forbidden)
    peak = reduce_max(most)
    for column in range(whole, columns):
        peak = max(peak, _one(row, gates, column))
    return peak + _log_of_sum(row, gates, columns, peak)


@inlined
def _log_of_sum(row: int, gates: int, columns: int, peak: Any) -> Any:
    """Logarithm of the sum of e^(z - peak)."""
    shift, sums = broadcast(peak), broadcast(np.float32(0))
    whole = columns - columns % WIDTH
    for first in range(0, whole, WIDTH):
        sums = sums + exp(_lanes(row, gates, first) - shift)
    rest = np.float32(0)
    for column in range(whole, columns):
        rest += np.float32(math.exp(_one(row, gates, column) - peak))
    return np.float32(math.log(reduce_sum(sums) + rest))


def topk_log_sum_exp(job: Any) -> None:
    """Each share is a row."""
    columns, count = job[COLUMNS], job[COUNT]
    share = next_task(job)
    while share < job[TASKS]:
        first, last = job[ROWS] * share // job[TASKS], job[ROWS] * (share + 1) // job[TASKS]
        for row in range(first, last):
            gates = 0
            if job[GATES]:
                gates = offset(job[GATES], read_int64(job[OWNERS], row) * columns, False)
            log_sum = _rank_row(
                offset(job[LOGITS], row * columns, False), gates, columns, offset(job[BEST], row * count, False),
                job[PLACES] + 8 * row * count, count, job[FORBIDDEN],
            )  # fmt: skip
            write_float32(job[SUMS], row, log_sum)
        share = next_task(job)
