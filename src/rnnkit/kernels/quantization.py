"""int8 quantization: the passes before and after an int8 matrix product, each over its matrix once.

q_ni = round(x_ni / s_n)           s_n = max_i |x_ni| / 127
y_no = s_n t_o a_no + b_o          a: int32 product of q and the quantized weights, t_o: scale of each output
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

ROWS, COLUMNS, INPUT, QUANTIZED, SCALES = range(FIRST_FIELD, FIRST_FIELD + 5)
"""Fields of `quantize`: N, I, and the addresses of

    input      (N, I)  x, float32
    quantized  (N, I)  q, int8, output
    scales     (N)     s, float32, output
"""

SUMS, OUTPUT, ROW_SCALES, COLUMN_SCALES, BIAS = range(FIRST_FIELD + 2, FIRST_FIELD + 7)
"""Fields of `dequantize`: N and O as above, and the addresses of

    sums           (N, O)  a, int32
    output         (N, O)  y, float32, output; may overlay the sums
    row scales     (N)     s
    column scales  (O)     t
    bias           (O)     b
"""

INT8_MAX = np.float32(127)
_ZERO, _ONE, _MIN_SCALE = np.float32(0), np.float32(1), np.float32(1e-30)


def quantize(args: Any) -> None:
    """Quantize rows; each task is a range of rows."""
    columns = args[COLUMNS]
    task = next_task(args)
    while task < args[TASKS]:
        for row in range(args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]):
            x_row = offset(args[INPUT], row * columns, False)
            largest = broadcast(_MIN_SCALE)
            for i in range(0, columns, WIDTH):
                x = load(x_row, i, columns - i, False)
                largest = maximum(maximum(x, broadcast(_ZERO) - x), largest)
            scale = reduce_max(largest) / INT8_MAX
            write_float32(args[SCALES], row, scale)
            inverse = broadcast(_ONE / scale)
            for i in range(0, columns, WIDTH):
                x = load(x_row, i, columns - i, False)
                store_int8(args[QUANTIZED], row * columns + i, round_nearest(x * inverse), columns - i)
        task = next_task(args)


def dequantize(args: Any) -> None:
    """Scale int32 sums and add the bias; each task is a range of rows."""
    columns = args[COLUMNS]
    task = next_task(args)
    while task < args[TASKS]:
        for row in range(args[ROWS] * task // args[TASKS], args[ROWS] * (task + 1) // args[TASKS]):
            scale = broadcast(read_float32(args[ROW_SCALES], row))
            for o in range(0, columns, WIDTH):
                remaining = columns - o
                sums = load_int32(args[SUMS], row * columns + o, remaining) * scale
                output = sums * load(args[COLUMN_SCALES], o, remaining, False) + load(args[BIAS], o, remaining, False)
                store(args[OUTPUT], row * columns + o, output, remaining, False)
        task = next_task(args)
