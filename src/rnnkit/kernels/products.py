"""Products of a few rows with a matrix, as every step of a recurrent network needs them, inside compiled kernels.

Libraries are at their best with many rows. With ten to thirty it pays to keep the sums of a few rows and of one panel
of the matrix in registers while the depth runs by. Panels are packed first: (depth, PANEL) each, without gaps, zeros
where the matrix has no more columns, so that they stream from the cache.

With `half`, rows and matrix are bfloat16 and the sums float32. Each 32 bits hold two neighbours in depth, as the
processor's instruction for it takes them, so that the depth is half as long; it must be even.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnkit.kernels import team
from rnnkit.kernels.lanes import WIDTH, load, offset, pairs, read, store, write
from rnnkit.kernels.processor import HAS_WIDE
from rnnkit.kernels.team import FIELDS, SHARES, claim, inlined
from rnnkit.kernels.tile import make_tile

_ROWS = (8, 4, 2, 1) if HAS_WIDE else (6, 4, 2, 1)
"""Rows whose sums are in registers together: 32 registers of AVX-512 hold more than those of other machines."""

PANEL = 2 * WIDTH if HAS_WIDE else WIDTH
"""Columns of a panel."""

_BLOCK = 48
"""Rows of a large product that are done together, so that they stay in the cache."""

_ZERO = np.float32(0)
_MANY, _SOME, _FEW, _ONE = _ROWS
_TEN = 10
_ten = make_tile(_TEN, PANEL // WIDTH)
_many, _some, _few, _one = (make_tile(rows, PANEL // WIDTH) for rows in _ROWS)


@inlined
def multiply(
    a: int, row_stride: int, stride: int, rows: int, panels: int, places: int, c: int, columns: int, half: bool
) -> None:
    """C = A M, M being packed.

    Args:
        a: Address of A (rows, places).
        row_stride: Places from one row of A to the next.
        stride: Places from one column of A to the next.
        rows: Rows of A and of C.
        panels: Address of the packed M (places, columns).
        places: Columns of A, or of A in pairs.
        c: Address of C (rows, columns), in float32.
        columns: Columns of C.
        half: Whether a place of A and M is two bfloat16 numbers instead of one float32.
    """
    for start in range(0, columns, PANEL):
        panel = offset(panels, start * places, False)
        left = columns - start
        row = 0
        while row < rows:
            a_row = offset(a, row * row_stride, False)
            c_tile = offset(c, row * columns + start, False)
            if HAS_WIDE and _TEN <= rows - row < _MANY + _SOME:  # half of a batch of twenty; eight and two take longer
                _ten(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _TEN
            elif rows - row >= _MANY:
                _many(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _MANY
            elif rows - row >= _SOME:
                _some(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _SOME
            elif rows - row >= _FEW:
                _few(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _FEW
            else:
                _one(a_row, row_stride, stride, places, panel, c_tile, columns, left, half)
                row += _ONE


def matrix_product(a: Tensor, m: Tensor, transposed_a: bool = False, transposed_m: bool = False) -> Tensor:
    """A M of two matrices, both float32 or both bfloat16; either may be given transposed.

    In float32, for the sizes of recurrent networks, this is somewhat faster than torch's product, and much faster where
    other programs hold some of the cores, as threads share out the rows while they run. In bfloat16 it is torch's.
    """
    if a.dtype != torch.float32:
        return (a.T if transposed_a else a) @ (m.T if transposed_m else m)
    return packed_product(a, pack(m, transposed_m), m.shape[0] if transposed_m else m.shape[1], transposed_a)


def packed_product(a: Tensor, panels: Tensor, columns: int, transposed_a: bool = False) -> Tensor:
    """A M, both float32.

    Args:
        a: A, or its transpose.
        panels: What `pack` has made of M.
        columns: Of M.
        transposed_a: Which of the two A is.
    """
    a = a.contiguous()
    rows, depth = (a.shape[1], a.shape[0]) if transposed_a else a.shape
    row_stride, stride = (1, rows) if transposed_a else (depth, 1)
    product = a.new_empty(rows, columns)
    block = max(1, min(_BLOCK, -(-rows // torch.get_num_threads())))
    team.run(_multiply_blocks, [a, row_stride, stride, rows, panels, depth, product, columns, block], -(-rows // block))
    return product


def _multiply_blocks(job: Any) -> None:
    """Each share is some rows of the product."""
    a, row_stride, stride, rows = job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], job[FIELDS + 3]
    panels, depth, product = job[FIELDS + 4], job[FIELDS + 5], job[FIELDS + 6]
    columns, block = job[FIELDS + 7], job[FIELDS + 8]
    share = claim(job)
    while share < job[SHARES]:
        row = share * block
        a_row, c_row = offset(a, row * row_stride, False), offset(product, row * columns, False)
        multiply(a_row, row_stride, stride, min(block, rows - row), panels, depth, c_row, columns, False)
        share = claim(job)


def pack(matrix: Tensor, transposed: bool = False, half: bool = False) -> Tensor:
    """A matrix (depth, columns) in panels (columns / PANEL, places, PANEL); a place is one row, or two with `half`.

    Args:
        matrix: In float32.
        transposed: Whether it is given as (columns, depth).
        half: Whether its numbers become bfloat16.
    """
    rows, row_size = matrix.shape
    depth, columns = (row_size, rows) if transposed else (rows, row_size)
    places = depth // 2 if half else depth
    panels = matrix.new_empty(-(-columns // PANEL), places, PANEL)
    if half and transposed:
        matrix = matrix.bfloat16().view(torch.float32)  # what stands side by side there belongs together here
    kernel = _pack_transposed if transposed else _pack_pairs if half else _pack_rows
    team.run(kernel, [matrix.contiguous(), panels, places, columns], len(panels))
    return panels


def _pack_rows(job: Any) -> None:
    """Each share is a panel: rows of the matrix, cut."""
    matrix, panels, places, columns = job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], job[FIELDS + 3]
    share = claim(job)
    while share < job[SHARES]:
        for start in range(0, PANEL, WIDTH):
            column = share * PANEL + start
            for place in range(places):
                numbers = load(matrix, place * columns + column, columns - column, False)
                store(panels, (share * places + place) * PANEL + start, numbers, WIDTH, False)
        share = claim(job)


def _pack_pairs(job: Any) -> None:
    """Each share is a panel: rows of the matrix, cut, and each two of them woven into one."""
    matrix, panels, places, columns = job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], job[FIELDS + 3]
    share = claim(job)
    while share < job[SHARES]:
        for start in range(0, PANEL, WIDTH):
            column = share * PANEL + start
            for place in range(places):
                low = load(matrix, 2 * place * columns + column, columns - column, False)
                high = load(matrix, (2 * place + 1) * columns + column, columns - column, False)
                store(panels, (share * places + place) * PANEL + start, pairs(low, high), WIDTH, False)
        share = claim(job)


def _pack_transposed(job: Any) -> None:
    """Each share is a panel: rows of the matrix, which become its columns."""
    matrix, panels, places, columns = job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], job[FIELDS + 3]
    share = claim(job)
    while share < job[SHARES]:
        first = share * PANEL
        panel = offset(panels, first * places, False)
        for column in range(PANEL):
            for place in range(places):
                number = read(matrix, (first + column) * places + place) if first + column < columns else _ZERO
                write(panel, place * PANEL + column, number)
        share = claim(job)
