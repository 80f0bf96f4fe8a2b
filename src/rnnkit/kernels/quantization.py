"""To eight bits and back: the two passes around a product of whole numbers, each over its matrix once.

q_ni = round(x_ni / s_n)           s_n = max_i |x_ni| / 127
y_no = s_n t_o a_no + b_o          a the product of q and the weights' whole numbers, t_o a scale for each output
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.simd import (
    WIDTH,
    broadcast,
    load,
    load_int32,
    maximum,
    offset,
    read_float32,
    reduce_max,
    round_nearest,
    store,
    store_int8,
    write_float32,
)
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, next_task

ROWS, COLUMNS, NUMBERS, BYTES, SCALES = range(FIRST_FIELD, FIRST_FIELD + 5)
"""Fields of a job there: N, I, and the addresses of

    numbers  (N, I)  float32, read
    bytes    (N, I)  int8, written
    scales   (N)     float32, written
"""

SUMS, OUTPUTS, ROW_SCALES, COLUMN_SCALES, BIAS = range(FIRST_FIELD + 2, FIRST_FIELD + 7)
"""Fields of a job back, after N and O: the addresses of

    sums           (N, O)  int32, read
    outputs        (N, O)  float32, written; may be where the sums are
    row scales     (N)     s
    column scales  (O)     t
    bias           (O)     b
"""

INT8_MAX = np.float32(127)
_ZERO, _ONE, _LEAST = np.float32(0), np.float32(1), np.float32(1e-30)


def quantize(job: Any) -> None:
    """Each share is some rows."""
    columns = job[COLUMNS]
    share = next_task(job)
    while share < job[TASKS]:
        for row in range(job[ROWS] * share // job[TASKS], job[ROWS] * (share + 1) // job[TASKS]):
            numbers = offset(job[NUMBERS], row * columns, False)
            most = broadcast(_LEAST)
            for i in range(0, columns, WIDTH):
                x = load(numbers, i, columns - i, False)
                most = maximum(maximum(x, broadcast(_ZERO) - x), most)
            scale = reduce_max(most) / INT8_MAX
            write_float32(job[SCALES], row, scale)
            per_scale = broadcast(_ONE / scale)
            for i in range(0, columns, WIDTH):
                x = load(numbers, i, columns - i, False)
                store_int8(job[BYTES], row * columns + i, round_nearest(x * per_scale), columns - i)
        share = next_task(job)


def dequantize(job: Any) -> None:
    """Each share is some rows."""
    columns = job[COLUMNS]
    share = next_task(job)
    while share < job[TASKS]:
        for row in range(job[ROWS] * share // job[TASKS], job[ROWS] * (share + 1) // job[TASKS]):
            scale = broadcast(read_float32(job[ROW_SCALES], row))
            for o in range(0, columns, WIDTH):
                left = columns - o
                sums = load_int32(job[SUMS], row * columns + o, left) * scale
                outputs = sums * load(job[COLUMN_SCALES], o, left, False) + load(job[BIAS], o, left, False)
                store(job[OUTPUTS], row * columns + o, outputs, left, False)
        share = next_task(job)
