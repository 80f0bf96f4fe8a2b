"""One step of a recurrent layer behind its products, for decoding: the gates, with nothing copied on the way.

A decoder's input is one of so many tokens, so that its product with the weights is a row of a table. Several rows may
go on from the same state, as those of a beam do; its product is there once. The equations are those of `nn/cells.py`,
with all biases within the products.
"""

from __future__ import annotations

from typing import Any

from rnnkit.kernels.activations import sigmoid, tanh
from rnnkit.kernels.simd import WIDTH, load, offset, read_int64, store
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

ROWS, SIZE, TABLE, TOKENS, PARENTS, SUMS, BEFORE, AFTER, CELLS = range(FIRST_FIELD, FIRST_FIELD + 9)
"""Fields of a job: N, H, and the addresses of

    table    (V, G)  W x + b of every input
    tokens   (N)     int64: which input each row has
    parents  (N)     int64: which state each row goes on from
    sums     (M, G)  U h + b of every state
    before   (M, H)  LSTM: c; GRU: h
    after    (N, H)  h, written
    cells    (N, H)  LSTM: c, written
"""


@inlined
def _step(job: Any, advance: Any, gates: int) -> None:
    """Each share is some rows; `advance(job, product, sums, before, after)` finishes one."""
    width = gates * job[SIZE]
    share = next_task(job)
    while share < job[TASKS]:
        for row in range(job[ROWS] * share // job[TASKS], job[ROWS] * (share + 1) // job[TASKS]):
            product = offset(job[TABLE], read_int64(job[TOKENS], row) * width, False)
            parent = read_int64(job[PARENTS], row)
            advance(job, product, offset(job[SUMS], parent * width, False), parent * job[SIZE], row * job[SIZE])
        share = next_task(job)


@inlined
def _total(product: int, sums: int, index: int, left: int) -> Any:
    return load(product, index, left, False) + load(sums, index, left, False)


@inlined
def _rnn(job: Any, product: int, sums: int, before: int, after: int) -> None:
    size = job[SIZE]
    for j in range(0, size, WIDTH):
        store(job[AFTER], after + j, tanh(_total(product, sums, j, size - j)), size - j, False)


@inlined
def _lstm(job: Any, product: int, sums: int, before: int, after: int) -> None:
    size = job[SIZE]
    for j in range(0, size, WIDTH):
        left = size - j
        i = sigmoid(_total(product, sums, j, left))
        f = sigmoid(_total(product, sums, size + j, left))
        g = tanh(_total(product, sums, 2 * size + j, left))
        o = sigmoid(_total(product, sums, 3 * size + j, left))
        c = f * load(job[BEFORE], before + j, left, False) + i * g
        store(job[CELLS], after + j, c, left, False)
        store(job[AFTER], after + j, o * tanh(c), left, False)


@inlined
def _gru(job: Any, product: int, sums: int, before: int, after: int) -> None:
    size = job[SIZE]
    for j in range(0, size, WIDTH):
        left = size - j
        r = sigmoid(_total(product, sums, j, left))
        z = sigmoid(_total(product, sums, size + j, left))
        n = tanh(load(product, 2 * size + j, left, False) + r * load(sums, 2 * size + j, left, False))
        store(job[AFTER], after + j, n + z * (load(job[BEFORE], before + j, left, False) - n), left, False)


def step_rnn(job: Any) -> None:
    """A vanilla recurrent layer."""
    _step(job, _rnn, 1)


def step_lstm(job: Any) -> None:
    """An LSTM layer."""
    _step(job, _lstm, 4)


def step_gru(job: Any) -> None:
    """A gated recurrent layer, its reset gate behind the product."""
    _step(job, _gru, 3)


STEP_KERNELS = {"rnn": step_rnn, "lstm": step_lstm, "gru": step_gru}
"""For each kind its kernel."""
