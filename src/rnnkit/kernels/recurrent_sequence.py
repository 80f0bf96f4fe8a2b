"""Recurrent layers over whole sequences, forward and backward: RNN, LSTM, GRU and minGRU.

The products of the inputs with their weights are given for all steps. What remains of a step is the product of the
previous hidden states with the hidden-to-hidden matrix U, and the gates. The rows of a batch are independent: a task is
a range of rows, from the first step to the last, so that threads need not synchronize at every step. The equations are
those of `nn/cells.py`. Their gradients, with dx for dL/dx:

    LSTM   do = dh tanh(c)      dc += dh o (1 - tanh(c)^2)    di = dc g    df = dc c_{t-1}    dg = dc i
    GRU    dn = dh (1 - z)      dz = dh (h_{t-1} - n)         dr = dn (1 - n^2) (U_n h + b_n)
    Each gate's gradient is multiplied by the slope of its function: s (1 - s) for sigmoid, 1 - s^2 for tanh.
    dh_{t-1} = (gradients of the gates) U  [GRU: + dh z]      dc_{t-1} = dc f

The minGRU has no U. With z = sigmoid(a), candidate n, and g_t the gradient of everything that depends on h_t:

    h_t = h_{t-1} + z_t (n_t - h_{t-1})
    g_t = dL/dh_t + (1 - z_{t+1}) g_{t+1}     dL/dn_t = g_t z_t     dL/da_t = g_t (n_t - h_{t-1}) z_t (1 - z_t)

With `bf16`, the elements of gates, hidden states h and their gradients are bfloat16; sums, c and what is carried from
step to step are always float32.

In the functions below, `row` is the row of T x B (step and batch), `b` the row of the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnkit.kernels.gemm import LeftFactor, multiply_packed
from rnnkit.kernels.simd import WIDTH, Float32x16, broadcast, load, offset, sigmoid, store, tanh
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, Arguments, inlined, next_task

STEPS, BATCH, SIZE, U, GATES, STATES, EXTRA, HIDDEN, BIAS, CANDIDATE_BIAS = range(FIRST_FIELD, FIRST_FIELD + 10)
"""Fields of the forward kernels: T, B, H, the address of U, transposed and packed, and the addresses of

    gates           (T, B, G)      products of the inputs, overwritten by the gates
    states          (T + 1, B, H)  h; the initial one is given, the others are output
    extra                          LSTM: c, like h; GRU: U_n h + b_n (T, B, H), output for the gradient
    hidden          (B, G)         buffer for U h
    bias            (G)            biases outside of the candidate's product with the reset gate
    candidate bias  (H)            GRU: b_n
"""

OUTPUT_GRADS, GRAD_H, BYPASS, GATE_GRADS, HIDDEN_GRADS = range(HIDDEN, HIDDEN + 5)
"""Fields of the backward kernels, instead of the last three: U is packed without transposing, and the addresses of

    output grads  (T, B, H)  gradient of the hidden states
    grad h        (B, H)     gradient of the last state, overwritten by that of the initial one
    bypass        (B, H)     LSTM: the same for c; GRU: zeros, overwritten by what reaches h_0 without passing the gates
    gate grads    (T, B, G)  gradient of the products of the inputs, output
    hidden grads  (T, B, G)  gradient of U h, output; for RNN and LSTM the same tensor as `gate grads`
"""

TASK_COLUMNS = U
CARRY, MINGRU_EXTRA, GRADS = range(EXTRA, EXTRA + 3)
"""Fields of the minGRU kernels, whose tasks are one row of the batch or some columns of it: T, B, H, columns of a task,
and the addresses of

    gates   (T, B, 2 H)    products of the inputs, overwritten by z and n
    states  (T + 1, B, H)  h; the initial one is given, the others are output
    carry   (B, H)         float32; forward: h, backward: its gradient; from the initial or last state to the other
    extra                  forward: bias (2 H); backward: gradient of the hidden states (T, B, H)
    grads   (T, B, 2 H)    backward: gradient of the products, output
"""

_ONE = np.float32(1)


@inlined
def _run_forward(args: Arguments, cell_forward: Callable[..., None], gates: int, bf16: bool) -> None:
    """Run all steps; `cell_forward(args, row, b, bf16)` computes gates and state of one row from U h."""
    steps, batch, size = args[STEPS], args[BATCH], args[SIZE]
    task = next_task(args)
    while task < args[TASKS]:
        first, last = batch * task // args[TASKS], batch * (task + 1) // args[TASKS]
        hidden = offset(args[HIDDEN], first * gates * size, False)
        for step in range(steps):
            previous = offset(args[STATES], (step * batch + first) * size, bf16)
            depth = size // 2 if bf16 else size
            multiply_packed(LeftFactor(previous, depth, 1, depth, bf16), last - first, args[U], hidden, gates * size)
            for b in range(first, last):
                cell_forward(args, step * batch + b, b, bf16)
        task = next_task(args)


@inlined
def _run_backward(args: Arguments, cell_backward: Callable[..., None], gates: int, bf16: bool) -> None:
    """Run all steps in reverse; `cell_backward` computes the gradients of one row's gates from the gradient of h."""
    steps, batch, size = args[STEPS], args[BATCH], args[SIZE]
    task = next_task(args)
    while task < args[TASKS]:
        first, last = batch * task // args[TASKS], batch * (task + 1) // args[TASKS]
        grad_h = offset(args[GRAD_H], first * size, False)
        for step in range(steps - 1, -1, -1):
            for b in range(first, last):
                cell_backward(args, step * batch + b, b, bf16)
            grads = offset(args[HIDDEN_GRADS], (step * batch + first) * gates * size, bf16)
            depth = gates * size // 2 if bf16 else gates * size
            multiply_packed(LeftFactor(grads, depth, 1, depth, bf16), last - first, args[U], grad_h, size)
        task = next_task(args)


@inlined
def _preactivation(gates: int, hidden: int, bias: int, index: int, remaining: int, bf16: bool) -> Float32x16:
    """Sum W x, U h and the bias of a gate."""
    return (
        load(gates, index, remaining, bf16)
        + load(hidden, index, remaining, False)
        + load(bias, index, remaining, False)
    )


@inlined
def _rnn_forward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size, bias = args[SIZE], args[BIAS]
    gates, hidden = offset(args[GATES], row * size, bf16), offset(args[HIDDEN], b * size, False)
    after = offset(args[STATES], (row + args[BATCH]) * size, bf16)
    for j in range(0, size, WIDTH):
        remaining = size - j
        store(after, j, tanh(_preactivation(gates, hidden, bias, j, remaining, bf16)), remaining, bf16)


@inlined
def _rnn_backward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size = args[SIZE]
    after = offset(args[STATES], (row + args[BATCH]) * size, bf16)
    output_grads, grad_h = offset(args[OUTPUT_GRADS], row * size, bf16), offset(args[GRAD_H], b * size, False)
    grads = offset(args[GATE_GRADS], row * size, bf16)
    for j in range(0, size, WIDTH):
        remaining = size - j
        h = load(after, j, remaining, bf16)
        dh = load(output_grads, j, remaining, bf16) + load(grad_h, j, remaining, False)
        store(grads, j, dh * (broadcast(_ONE) - h * h), remaining, bf16)


@inlined
def _lstm_forward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size, bias = args[SIZE], args[BIAS]
    gates, hidden = offset(args[GATES], 4 * row * size, bf16), offset(args[HIDDEN], 4 * b * size, False)
    before, cells = offset(args[EXTRA], row * size, False), offset(args[EXTRA], (row + args[BATCH]) * size, False)
    after = offset(args[STATES], (row + args[BATCH]) * size, bf16)
    for j in range(0, size, WIDTH):
        remaining = size - j
        i = sigmoid(_preactivation(gates, hidden, bias, j, remaining, bf16))
        f = sigmoid(_preactivation(gates, hidden, bias, size + j, remaining, bf16))
        g = tanh(_preactivation(gates, hidden, bias, 2 * size + j, remaining, bf16))
        o = sigmoid(_preactivation(gates, hidden, bias, 3 * size + j, remaining, bf16))
        c = f * load(before, j, remaining, False) + i * g
        store(gates, j, i, remaining, bf16)
        store(gates, size + j, f, remaining, bf16)
        store(gates, 2 * size + j, g, remaining, bf16)
        store(gates, 3 * size + j, o, remaining, bf16)
        store(cells, j, c, remaining, False)
        store(after, j, o * tanh(c), remaining, bf16)


@inlined
def _lstm_backward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size, one = args[SIZE], broadcast(_ONE)
    gates, grads = offset(args[GATES], 4 * row * size, bf16), offset(args[GATE_GRADS], 4 * row * size, bf16)
    before, cells = offset(args[EXTRA], row * size, False), offset(args[EXTRA], (row + args[BATCH]) * size, False)
    output_grads, grad_h = offset(args[OUTPUT_GRADS], row * size, bf16), offset(args[GRAD_H], b * size, False)
    grad_c = offset(args[BYPASS], b * size, False)
    for j in range(0, size, WIDTH):
        remaining = size - j
        i, f = load(gates, j, remaining, bf16), load(gates, size + j, remaining, bf16)
        g, o = load(gates, 2 * size + j, remaining, bf16), load(gates, 3 * size + j, remaining, bf16)
        tanh_c = tanh(load(cells, j, remaining, False))
        dh = load(output_grads, j, remaining, bf16) + load(grad_h, j, remaining, False)
        dc = load(grad_c, j, remaining, False) + dh * o * (one - tanh_c * tanh_c)
        store(grads, j, dc * g * i * (one - i), remaining, bf16)
        store(grads, size + j, dc * load(before, j, remaining, False) * f * (one - f), remaining, bf16)
        store(grads, 2 * size + j, dc * i * (one - g * g), remaining, bf16)
        store(grads, 3 * size + j, dh * tanh_c * o * (one - o), remaining, bf16)
        store(grad_c, j, dc * f, remaining, False)


@inlined
def _gru_forward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size, bias = args[SIZE], args[BIAS]
    gates, hidden = offset(args[GATES], 3 * row * size, bf16), offset(args[HIDDEN], 3 * b * size, False)
    before, after = offset(args[STATES], row * size, bf16), offset(args[STATES], (row + args[BATCH]) * size, bf16)
    inner = offset(args[EXTRA], row * size, bf16)
    for j in range(0, size, WIDTH):
        remaining = size - j
        r = sigmoid(_preactivation(gates, hidden, bias, j, remaining, bf16))
        z = sigmoid(_preactivation(gates, hidden, bias, size + j, remaining, bf16))
        candidate = load(hidden, 2 * size + j, remaining, False) + load(args[CANDIDATE_BIAS], j, remaining, False)
        outer = load(gates, 2 * size + j, remaining, bf16) + load(bias, 2 * size + j, remaining, False)
        n = tanh(outer + r * candidate)
        store(gates, j, r, remaining, bf16)
        store(gates, size + j, z, remaining, bf16)
        store(gates, 2 * size + j, n, remaining, bf16)
        store(inner, j, candidate, remaining, bf16)
        store(after, j, n + z * (load(before, j, remaining, bf16) - n), remaining, bf16)


@inlined
def _gru_backward(args: Arguments, row: int, b: int, bf16: bool) -> None:
    size, one = args[SIZE], broadcast(_ONE)
    gates, grads = offset(args[GATES], 3 * row * size, bf16), offset(args[GATE_GRADS], 3 * row * size, bf16)
    inner, before = offset(args[EXTRA], row * size, bf16), offset(args[STATES], row * size, bf16)
    output_grads, grad_h = offset(args[OUTPUT_GRADS], row * size, bf16), offset(args[GRAD_H], b * size, False)
    bypass, hidden_grads = offset(args[BYPASS], b * size, False), offset(args[HIDDEN_GRADS], 3 * row * size, bf16)
    for j in range(0, size, WIDTH):
        remaining = size - j
        r, z = load(gates, j, remaining, bf16), load(gates, size + j, remaining, bf16)
        n = load(gates, 2 * size + j, remaining, bf16)
        dh = load(output_grads, j, remaining, bf16) + load(grad_h, j, remaining, False)
        dh = dh + load(bypass, j, remaining, False)
        dn = dh * (one - z) * (one - n * n)
        dz = dh * (load(before, j, remaining, bf16) - n) * z * (one - z)
        dr = dn * load(inner, j, remaining, bf16) * r * (one - r)
        store(grads, j, dr, remaining, bf16)
        store(grads, size + j, dz, remaining, bf16)
        store(grads, 2 * size + j, dn, remaining, bf16)
        store(hidden_grads, j, dr, remaining, bf16)
        store(hidden_grads, size + j, dz, remaining, bf16)
        store(hidden_grads, 2 * size + j, dn * r, remaining, bf16)
        store(bypass, j, dh * z, remaining, False)


def rnn_forward(args: Arguments) -> None:
    """Run an RNN layer forward."""
    _run_forward(args, _rnn_forward, 1, False)


def rnn_forward_bf16(args: Arguments) -> None:
    """Run an RNN layer forward in bfloat16."""
    _run_forward(args, _rnn_forward, 1, True)


def rnn_backward(args: Arguments) -> None:
    """Compute the gradients of an RNN layer."""
    _run_backward(args, _rnn_backward, 1, False)


def rnn_backward_bf16(args: Arguments) -> None:
    """Compute the gradients of an RNN layer in bfloat16."""
    _run_backward(args, _rnn_backward, 1, True)


def lstm_forward(args: Arguments) -> None:
    """Run an LSTM layer forward: the LSTM forward kernel."""
    _run_forward(args, _lstm_forward, 4, False)


def lstm_forward_bf16(args: Arguments) -> None:
    """Run an LSTM layer forward in bfloat16."""
    _run_forward(args, _lstm_forward, 4, True)


def lstm_backward(args: Arguments) -> None:
    """Compute the gradients of an LSTM layer."""
    _run_backward(args, _lstm_backward, 4, False)


def lstm_backward_bf16(args: Arguments) -> None:
    """Compute the gradients of an LSTM layer in bfloat16."""
    _run_backward(args, _lstm_backward, 4, True)


def gru_forward(args: Arguments) -> None:
    """Run a GRU layer forward."""
    _run_forward(args, _gru_forward, 3, False)


def gru_forward_bf16(args: Arguments) -> None:
    """Run a GRU layer forward in bfloat16."""
    _run_forward(args, _gru_forward, 3, True)


def gru_backward(args: Arguments) -> None:
    """Compute the gradients of a GRU layer."""
    _run_backward(args, _gru_backward, 3, False)


def gru_backward_bf16(args: Arguments) -> None:
    """Compute the gradients of a GRU layer in bfloat16."""
    _run_backward(args, _gru_backward, 3, True)


@inlined
def _run_mingru_forward(args: Arguments, bf16: bool) -> None:
    steps, batch, size, width, bias = args[STEPS], args[BATCH], args[SIZE], args[TASK_COLUMNS], args[MINGRU_EXTRA]
    tasks_per_row = (size + width - 1) // width
    task = next_task(args)
    while task < args[TASKS]:
        b, first = task // tasks_per_row, task % tasks_per_row * width
        carry = offset(args[CARRY], b * size, False)
        for step in range(steps):
            row = step * batch + b
            gates, after = offset(args[GATES], 2 * row * size, bf16), offset(args[STATES], (row + batch) * size, bf16)
            for j in range(first, min(first + width, size), WIDTH):
                remaining = size - j
                z = sigmoid(load(gates, j, remaining, bf16) + load(bias, j, remaining, False))
                n = load(gates, size + j, remaining, bf16) + load(bias, size + j, remaining, False)
                h = load(carry, j, remaining, False)
                h = h + z * (n - h)
                store(gates, j, z, remaining, bf16)
                store(gates, size + j, n, remaining, bf16)
                store(carry, j, h, remaining, False)
                store(after, j, h, remaining, bf16)
        task = next_task(args)


@inlined
def _run_mingru_backward(args: Arguments, bf16: bool) -> None:
    steps, batch, size, width, one = args[STEPS], args[BATCH], args[SIZE], args[TASK_COLUMNS], broadcast(_ONE)
    tasks_per_row = (size + width - 1) // width
    task = next_task(args)
    while task < args[TASKS]:
        b, first = task // tasks_per_row, task % tasks_per_row * width
        carry = offset(args[CARRY], b * size, False)
        for step in range(steps - 1, -1, -1):
            row = step * batch + b
            gates, before = offset(args[GATES], 2 * row * size, bf16), offset(args[STATES], row * size, bf16)
            output_grads, grads = (
                offset(args[MINGRU_EXTRA], row * size, bf16),
                offset(args[GRADS], 2 * row * size, bf16),
            )
            for j in range(first, min(first + width, size), WIDTH):
                remaining = size - j
                z, n = load(gates, j, remaining, bf16), load(gates, size + j, remaining, bf16)
                grad = load(output_grads, j, remaining, bf16) + load(carry, j, remaining, False)
                store(grads, j, grad * (n - load(before, j, remaining, bf16)) * z * (one - z), remaining, bf16)
                store(grads, size + j, grad * z, remaining, bf16)
                store(carry, j, grad * (one - z), remaining, False)
        task = next_task(args)


def mingru_forward(args: Arguments) -> None:
    """Run a minGRU layer forward."""
    _run_mingru_forward(args, False)


def mingru_forward_bf16(args: Arguments) -> None:
    """Run a minGRU layer forward in bfloat16."""
    _run_mingru_forward(args, True)


def mingru_backward(args: Arguments) -> None:
    """Compute the gradients of a minGRU layer."""
    _run_mingru_backward(args, False)


def mingru_backward_bf16(args: Arguments) -> None:
    """Compute the gradients of a minGRU layer in bfloat16."""
    _run_mingru_backward(args, True)


FORWARD = {
    "rnn": (rnn_forward, rnn_forward_bf16),
    "gru": (gru_forward, gru_forward_bf16),
    "lstm": (lstm_forward, lstm_forward_bf16),
}
"""Forward kernels of each architecture, for float32 and bfloat16."""

BACKWARD = {
    "rnn": (rnn_backward, rnn_backward_bf16),
    "gru": (gru_backward, gru_backward_bf16),
    "lstm": (lstm_backward, lstm_backward_bf16),
}
"""Backward kernels of each architecture, for float32 and bfloat16."""
