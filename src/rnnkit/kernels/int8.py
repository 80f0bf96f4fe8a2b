"""To eight bits and back: the two passes around a product of whole numbers, each over its matrix once.

q_ni = round(x_ni / s_n)           s_n = max_i |x_ni| / 127
y_no = s_n t_o a_no + b_o          a the product of q and the weights' whole numbers, t_o a scale for each output
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.lanes import (
    WIDTH,
    fill,
    greatest,
    larger,
    load,
    load_whole,
    nearest,
    offset,
    read,
    store,
    store_bytes,
    write,
)
from rnnkit.kernels.team import FIELDS, SHARES, claim

ROWS, COLUMNS, NUMBERS, BYTES, SCALES = range(FIELDS, FIELDS + 5)
"""Fields of a job there: N, I, and the addresses of

    numbers  (N, I)  float32, read
    bytes    (N, I)  int8, written
    scales   (N)     float32, written
"""

SUMS, OUTPUTS, ROW_SCALES, COLUMN_SCALES, BIAS = range(FIELDS + 2, FIELDS + 7)
"""Fields of a job back, after N and O: the addresses of

    sums           (N, O)  int32, read
    outputs        (N, O)  float32, written; may be where the sums are
    row scales     (N)     s
    column scales  (O)     t
    bias           (O)     b
"""

GREATEST = np.float32(127)
_ZERO, _ONE, _LEAST = np.float32(0), np.float32(1), np.float32(1e-30)


def quantise(job: Any) -> None:
    """Each share is some rows."""
    columns = job[COLUMNS]
    share = claim(job)
    while share < job[SHARES]:
        for row in range(job[ROWS] * share // job[SHARES], job[ROWS] * (share + 1) // job[SHARES]):
            numbers = offset(job[NUMBERS], row * columns, False)
            most = fill(_LEAST)
            for i in range(0, columns, WIDTH):
                x = load(numbers, i, columns - i, False)
                most = larger(larger(x, fill(_ZERO) - x), most)
            scale = greatest(most) / GREATEST
            write(job[SCALES], row, scale)
            per_scale = fill(_ONE / scale)
            for i in range(0, columns, WIDTH):
                x = load(numbers, i, columns - i, False)
                store_bytes(job[BYTES], row * columns + i, nearest(x * per_scale), columns - i)
        share = claim(job)


def dequantise(job: Any) -> None:
    """Each share is some rows."""
    columns = job[COLUMNS]
    share = claim(job)
    while share < job[SHARES]:
        for row in range(job[ROWS] * share // job[SHARES], job[ROWS] * (share + 1) // job[SHARES]):
            scale = fill(read(job[ROW_SCALES], row))
            for o in range(0, columns, WIDTH):
                left = columns - o
                sums = load_whole(job[SUMS], row * columns + o, left) * scale
                outputs = sums * load(job[COLUMN_SCALES], o, left, False) + load(job[BIAS], o, left, False)
                store(job[OUTPUTS], row * columns + o, outputs, left, False)
        share = claim(job)
