"""The best few numbers of each row and the logarithm of its sum of powers, in two runs over the row.

The first looks for numbers above the worst that is kept, sixty-four at a time; the row is then in the cache for the
second, which adds up e^(z - max). Nothing of the row's length is written.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnkit.kernels.activations import exponential
from rnnkit.kernels.lanes import (
    WIDTH,
    fill,
    greatest,
    larger,
    load,
    offset,
    read,
    read_whole,
    total,
    write,
    write_whole,
)
from rnnkit.kernels.team import FIELDS, SHARES, claim, inlined

ROWS, COLUMNS, COUNT, FORBIDDEN, LOGITS, GATES, OWNERS, BEST, PLACES, SUMS = range(FIELDS, FIELDS + 10)
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
    while place > 0 and read(best, place - 1) < value:
        write(best, place, read(best, place - 1))
        write_whole(places, place, read_whole(places, place - 1))
        place -= 1
    write(best, place, value)
    write_whole(places, place, column)


@inlined
def _lanes(row: int, gates: int, first: int) -> Any:
    """Logits from `first` on behind their gates."""
    logits = load(row, first, WIDTH, False)
    return logits + load(gates, first, WIDTH, False) if gates else logits


@inlined
def _one(row: int, gates: int, column: int) -> Any:
    """One logit behind its gate."""
    logit = read(row, column)
    return logit + read(gates, column) if gates else logit


@inlined
def _look_through(
    row: int, gates: int, first: int, last: int, best: int, places: int, count: int, forbidden: int
) -> None:
    """Keep what is worth it of some columns."""
    for column in range(first, last):
        value = _one(row, gates, column)
        allowed = column >= 64 or (forbidden >> column) & 1 == 0
        if value > read(best, count - 1) and allowed:
            _keep(best, places, count, value, column)


@inlined
def _rank_row(row: int, gates: int, columns: int, best: int, places: int, count: int, forbidden: int) -> Any:
    """One row's best; returns the logarithm of its sum."""
    for place in range(count):
        write(best, place, _LEAST)
        write_whole(places, place, 0)
    most = fill(_LEAST)
    whole = columns - columns % _GROUP
    for first in range(0, whole, _GROUP):
        left, right = _lanes(row, gates, first), _lanes(row, gates, first + WIDTH)
        third, fourth = _lanes(row, gates, first + 2 * WIDTH), _lanes(row, gates, first + 3 * WIDTH)
        group = larger(larger(left, right), larger(third, fourth))
        most = larger(most, group)
        if greatest(group) > read(best, count - 1):
            _look_through(row, gates, first, first + _GROUP, best, places, count, forbidden)
    _look_through(row, gates, whole, columns, best, places, count, forbidden)
    peak = greatest(most)
    for column in range(whole, columns):
        peak = max(peak, _one(row, gates, column))
    return peak + _log_of_sum(row, gates, columns, peak)


@inlined
def _log_of_sum(row: int, gates: int, columns: int, peak: Any) -> Any:
    """Logarithm of the sum of e^(z - peak)."""
    shift, sums = fill(peak), fill(np.float32(0))
    whole = columns - columns % WIDTH
    for first in range(0, whole, WIDTH):
        sums = sums + exponential(_lanes(row, gates, first) - shift)
    rest = np.float32(0)
    for column in range(whole, columns):
        rest += np.float32(math.exp(_one(row, gates, column) - peak))
    return np.float32(math.log(total(sums) + rest))


def rank_rows(job: Any) -> None:
    """Each share is a row."""
    columns, count = job[COLUMNS], job[COUNT]
    share = claim(job)
    while share < job[SHARES]:
        first, last = job[ROWS] * share // job[SHARES], job[ROWS] * (share + 1) // job[SHARES]
        for row in range(first, last):
            gates = 0
            if job[GATES]:
                gates = offset(job[GATES], read_whole(job[OWNERS], row) * columns, False)
            log_sum = _rank_row(
                offset(job[LOGITS], row * columns, False), gates, columns, offset(job[BEST], row * count, False),
                job[PLACES] + 8 * row * count, count, job[FORBIDDEN],
            )  # fmt: skip
            write(job[SUMS], row, log_sum)
        share = claim(job)
