"""One time step of RNN, LSTM and GRU for decoding: gates and states, given the products with the weights.

The input of a decoder is one of a fixed set of tokens, so that its product with the weights is a row of a table.
Several rows may continue the same state, as the hypotheses of a beam do, and share its product. The equations are those
of `nn/cells.py`, with all biases included in the products. Nothing is gathered or copied.
"""

from __future__ import annotations

from typing import Any

from rnnkit.kernels.activations import sigmoid, tanh
from rnnkit.kernels.simd import WIDTH, load, offset, read_int64, store
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

ROWS, SIZE, TABLE, TOKENS, PARENTS, HIDDEN, BEFORE, AFTER, CELLS = range(FIRST_FIELD, FIRST_FIELD + 9)
"""Fields: N, H, and the addresses of

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
def _run_rows(args: Any, cell: Any, gates: int) -> None:
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
def _preactivation(product: int, hidden: int, index: int, remaining: int) -> Any:
    return load(product, index, remaining, False) + load(hidden, index, remaining, False)


@inlined
def _rnn_cell(args: Any, product: int, hidden: int, before: int, after: int) -> None:
    size = args[SIZE]
    for j in range(0, size, WIDTH):
        store(args[AFTER], after + j, tanh(_preactivation(product, hidden, j, size - j)), size - j, False)


@inlined
def _lstm_cell(args: Any, product: int, hidden: int, before: int, after: int) -> None:
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
def _gru_cell(args: Any, product: int, hidden: int, before: int, after: int) -> None:
    size = args[SIZE]
    for j in range(0, size, WIDTH):
        remaining = size - j
        r = sigmoid(_preactivation(product, hidden, j, remaining))
        z = sigmoid(_preactivation(product, hidden, size + j, remaining))
        n = tanh(load(product, 2 * size + j, remaining, False) + r * load(hidden, 2 * size + j, remaining, False))
        h = n + z * (load(args[BEFORE], before + j, remaining, False) - n)
        store(args[AFTER], after + j, h, remaining, False)


def step_rnn(args: Any) -> None:
    """Compute one step of an RNN layer."""
    _run_rows(args, _rnn_cell, 1)


def step_lstm(args: Any) -> None:
    """Compute one step of an LSTM layer."""
    _run_rows(args, _lstm_cell, 4)


def step_gru(args: Any) -> None:
    """Compute one step of a GRU layer, reset gate after the product."""
    _run_rows(args, _gru_cell, 3)


STEP_KERNELS = {"rnn": step_rnn, "lstm": step_lstm, "gru": step_gru}
"""Kernel of each architecture."""
