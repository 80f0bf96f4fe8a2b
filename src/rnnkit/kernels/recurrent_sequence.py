"""The steps of recurrent layers, forwards and backwards, compiled for the CPU.

The products of the inputs with their weights are there for all steps; what is left of a step is the
product of the last states with the hidden matrix U, and the gates. The rows of a batch know nothing of each other: a
share of the work is some rows, from the first step to the last, so that threads need not wait for each other at every
step. The equations are those of `nn/cells.py`. Their gradients, dx being dL/dx:

    LSTM   do = dh tanh(c)      dc += dh o (1 - tanh(c)^2)    di = dc g    df = dc c_{t-1}    dg = dc i
    GRU    dn = dh (1 - z)      dz = dh (h_{t-1} - n)         dr = dn (1 - n^2) (U_n h + b_n)
    through its function each gate's is multiplied by the slope: s (1 - s) for sigmoid, 1 - s^2 for tanh
    dh_{t-1} = (gates' gradients) U  [GRU: + dh z]            dc_{t-1} = dc f

With `half` the elements of gates, states h and their gradients are bfloat16; sums, c and what is carried from step to
step are float32 in any case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.activations import sigmoid, tanh
from rnnkit.kernels.gemm import multiply_packed
from rnnkit.kernels.simd import WIDTH, broadcast, load, offset, store
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

STEPS, BATCH, SIZE, HIDDEN, GATES, STATES, MORE, SUMS, BIAS, INNER_BIAS = range(FIRST_FIELD, FIRST_FIELD + 10)
"""Fields of a job forwards: T, B, H, the packed transpose of U, and the addresses of

    gates   (T, B, G)      products of the inputs, over which the gates are written
    states  (T + 1, B, H)  h, the one before the first step included; the others are written
    more    LSTM: c, like h; GRU: U_n h + b_n (T, B, H), written for the gradient
    sums    (B, G)         room for U h
    bias    (G)            biases that stand outside
    inner   (H)            GRU: b_n
"""

OUTPUTS, CARRIED, KEPT, GRADS, HIDDEN_GRADS = range(SUMS, SUMS + 5)
"""Fields of a job backwards, in place of the last three: U packed as it is, and the addresses of

    outputs       (T, B, H)  gradient of the states
    carried       (B, H)     gradient of the last state, over which that of the first is written
    kept          (B, H)     LSTM: the same for c; GRU: zeros, over which is written what goes to h_0 past the gates
    grads         (T, B, G)  written: gradient of the products
    hidden grads  (T, B, G)  written: gradient of U h; for RNN and LSTM the same as `grads`
"""

_ONE = np.float32(1)


@inlined
def _forward(job: Any, advance: Any, gates: int, half: bool) -> None:
    """All steps; `advance(job, row, place, half)` finishes that of one row, `row` of T B and `place` of B."""
    steps, batch, size = job[STEPS], job[BATCH], job[SIZE]
    share = next_task(job)
    while share < job[TASKS]:
        first, last = batch * share // job[TASKS], batch * (share + 1) // job[TASKS]
        sums = offset(job[SUMS], first * gates * size, False)
        for step in range(steps):
            before = offset(job[STATES], (step * batch + first) * size, half)
            places = size // 2 if half else size
            multiply_packed(before, places, 1, last - first, job[HIDDEN], places, sums, gates * size, half)
            for place in range(first, last):
                advance(job, step * batch + place, place, half)
        share = next_task(job)


@inlined
def _backward(job: Any, retreat: Any, gates: int, half: bool) -> None:
    """All steps from the last to the first; `retreat`, like `advance`, goes from the gradient of h to those of sums."""
    steps, batch, size = job[STEPS], job[BATCH], job[SIZE]
    share = next_task(job)
    while share < job[TASKS]:
        first, last = batch * share // job[TASKS], batch * (share + 1) // job[TASKS]
        carried = offset(job[CARRIED], first * size, False)
        for step in range(steps - 1, -1, -1):
            for place in range(first, last):
                retreat(job, step * batch + place, place, half)
            grads = offset(job[HIDDEN_GRADS], (step * batch + first) * gates * size, half)
            places = gates * size // 2 if half else gates * size
            multiply_packed(grads, places, 1, last - first, job[HIDDEN], places, carried, size, half)
        share = next_task(job)


@inlined
def _total(gates: int, sums: int, bias: int, index: int, left: int, half: bool) -> Any:
    """What a gate's function is taken of."""
    return load(gates, index, left, half) + load(sums, index, left, False) + load(bias, index, left, False)


@inlined
def _rnn_advance(job: Any, row: int, place: int, half: bool) -> None:
    size, bias = job[SIZE], job[BIAS]
    gates, sums = offset(job[GATES], row * size, half), offset(job[SUMS], place * size, False)
    after = offset(job[STATES], (row + job[BATCH]) * size, half)
    for j in range(0, size, WIDTH):
        left = size - j
        store(after, j, tanh(_total(gates, sums, bias, j, left, half)), left, half)


@inlined
def _rnn_retreat(job: Any, row: int, place: int, half: bool) -> None:
    size = job[SIZE]
    after = offset(job[STATES], (row + job[BATCH]) * size, half)
    outputs, carried = offset(job[OUTPUTS], row * size, half), offset(job[CARRIED], place * size, False)
    grads = offset(job[GRADS], row * size, half)
    for j in range(0, size, WIDTH):
        left = size - j
        h = load(after, j, left, half)
        dh = load(outputs, j, left, half) + load(carried, j, left, False)
        store(grads, j, dh * (broadcast(_ONE) - h * h), left, half)


@inlined
def _lstm_advance(job: Any, row: int, place: int, half: bool) -> None:
    size, bias = job[SIZE], job[BIAS]
    gates, sums = offset(job[GATES], 4 * row * size, half), offset(job[SUMS], 4 * place * size, False)
    before, cells = offset(job[MORE], row * size, False), offset(job[MORE], (row + job[BATCH]) * size, False)
    after = offset(job[STATES], (row + job[BATCH]) * size, half)
    for j in range(0, size, WIDTH):
        left = size - j
        i = sigmoid(_total(gates, sums, bias, j, left, half))
        f = sigmoid(_total(gates, sums, bias, size + j, left, half))
        g = tanh(_total(gates, sums, bias, 2 * size + j, left, half))
        o = sigmoid(_total(gates, sums, bias, 3 * size + j, left, half))
        c = f * load(before, j, left, False) + i * g
        store(gates, j, i, left, half)
        store(gates, size + j, f, left, half)
        store(gates, 2 * size + j, g, left, half)
        store(gates, 3 * size + j, o, left, half)
        store(cells, j, c, left, False)
        store(after, j, o * tanh(c), left, half)


@inlined
def _lstm_retreat(job: Any, row: int, place: int, half: bool) -> None:
    size, one = job[SIZE], broadcast(_ONE)
    gates, grads = offset(job[GATES], 4 * row * size, half), offset(job[GRADS], 4 * row * size, half)
    before, cells = offset(job[MORE], row * size, False), offset(job[MORE], (row + job[BATCH]) * size, False)
    outputs, carried = offset(job[OUTPUTS], row * size, half), offset(job[CARRIED], place * size, False)
    carried_c = offset(job[KEPT], place * size, False)
    for j in range(0, size, WIDTH):
        left = size - j
        i, f = load(gates, j, left, half), load(gates, size + j, left, half)
        g, o = load(gates, 2 * size + j, left, half), load(gates, 3 * size + j, left, half)
        squashed = tanh(load(cells, j, left, False))
        dh = load(outputs, j, left, half) + load(carried, j, left, False)
        dc = load(carried_c, j, left, False) + dh * o * (one - squashed * squashed)
        store(grads, j, dc * g * i * (one - i), left, half)
        store(grads, size + j, dc * load(before, j, left, False) * f * (one - f), left, half)
        store(grads, 2 * size + j, dc * i * (one - g * g), left, half)
        store(grads, 3 * size + j, dh * squashed * o * (one - o), left, half)
        store(carried_c, j, dc * f, left, False)


@inlined
def _gru_advance(job: Any, row: int, place: int, half: bool) -> None:
    size, bias = job[SIZE], job[BIAS]
    gates, sums = offset(job[GATES], 3 * row * size, half), offset(job[SUMS], 3 * place * size, False)
    before, after = offset(job[STATES], row * size, half), offset(job[STATES], (row + job[BATCH]) * size, half)
    inner = offset(job[MORE], row * size, half)
    for j in range(0, size, WIDTH):
        left = size - j
        r = sigmoid(_total(gates, sums, bias, j, left, half))
        z = sigmoid(_total(gates, sums, bias, size + j, left, half))
        candidate = load(sums, 2 * size + j, left, False) + load(job[INNER_BIAS], j, left, False)
        outer = load(gates, 2 * size + j, left, half) + load(bias, 2 * size + j, left, False)
        n = tanh(outer + r * candidate)
        store(gates, j, r, left, half)
        store(gates, size + j, z, left, half)
        store(gates, 2 * size + j, n, left, half)
        store(inner, j, candidate, left, half)
        store(after, j, n + z * (load(before, j, left, half) - n), left, half)


@inlined
def _gru_retreat(job: Any, row: int, place: int, half: bool) -> None:
    size, one = job[SIZE], broadcast(_ONE)
    gates, grads = offset(job[GATES], 3 * row * size, half), offset(job[GRADS], 3 * row * size, half)
    inner, before = offset(job[MORE], row * size, half), offset(job[STATES], row * size, half)
    outputs, carried = offset(job[OUTPUTS], row * size, half), offset(job[CARRIED], place * size, False)
    past, hidden_grads = offset(job[KEPT], place * size, False), offset(job[HIDDEN_GRADS], 3 * row * size, half)
    for j in range(0, size, WIDTH):
        left = size - j
        r, z = load(gates, j, left, half), load(gates, size + j, left, half)
        n = load(gates, 2 * size + j, left, half)
        dh = load(outputs, j, left, half) + load(carried, j, left, False) + load(past, j, left, False)
        dn = dh * (one - z) * (one - n * n)
        dz = dh * (load(before, j, left, half) - n) * z * (one - z)
        dr = dn * load(inner, j, left, half) * r * (one - r)
        store(grads, j, dr, left, half)
        store(grads, size + j, dz, left, half)
        store(grads, 2 * size + j, dn, left, half)
        store(hidden_grads, j, dr, left, half)
        store(hidden_grads, size + j, dz, left, half)
        store(hidden_grads, 2 * size + j, dn * r, left, half)
        store(past, j, dh * z, left, False)


def rnn_forward(job: Any) -> None:
    """All steps of a vanilla recurrent layer."""
    _forward(job, _rnn_advance, 1, False)


def rnn_forward_half(job: Any) -> None:
    """The same in bfloat16."""
    _forward(job, _rnn_advance, 1, True)


def rnn_backward(job: Any) -> None:
    """Their gradients."""
    _backward(job, _rnn_retreat, 1, False)


def rnn_backward_half(job: Any) -> None:
    """The same in bfloat16."""
    _backward(job, _rnn_retreat, 1, True)


def lstm_forward(job: Any) -> None:
    """All steps of an LSTM layer."""
    _forward(job, _lstm_advance, 4, False)


def lstm_forward_half(job: Any) -> None:
    """The same in bfloat16."""
    _forward(job, _lstm_advance, 4, True)


def lstm_backward(job: Any) -> None:
    """Their gradients."""
    _backward(job, _lstm_retreat, 4, False)


def lstm_backward_half(job: Any) -> None:
    """The same in bfloat16."""
    _backward(job, _lstm_retreat, 4, True)


def gru_forward(job: Any) -> None:
    """All steps of a gated recurrent layer."""
    _forward(job, _gru_advance, 3, False)


def gru_forward_half(job: Any) -> None:
    """The same in bfloat16."""
    _forward(job, _gru_advance, 3, True)


def gru_backward(job: Any) -> None:
    """Their gradients."""
    _backward(job, _gru_retreat, 3, False)


def gru_backward_half(job: Any) -> None:
    """The same in bfloat16."""
    _backward(job, _gru_retreat, 3, True)


FORWARD = {
    "rnn": (rnn_forward, rnn_forward_half),
    "gru": (gru_forward, gru_forward_half),
    "lstm": (lstm_forward, lstm_forward_half),
}
"""For each kind the kernel for float32 and the one for bfloat16."""

BACKWARD = {
    "rnn": (rnn_backward, rnn_backward_half),
    "gru": (gru_backward, gru_backward_half),
    "lstm": (lstm_backward, lstm_backward_half),
}
"""The same for gradients."""
