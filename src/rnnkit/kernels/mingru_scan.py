"""The recurrence of the minGRU over whole sequences, forward and backward.

The products of the inputs with their weights are given for all steps. With z = sigmoid(a), candidate n, and g_t the
gradient of everything that depends on h_t:

    h_t = h_{t-1} + z_t (n_t - h_{t-1})
    g_t = dL/dh_t + (1 - z_{t+1}) g_{t+1}     dL/dn_t = g_t z_t     dL/da_t = g_t (n_t - h_{t-1}) z_t (1 - z_t)

A task is one row of the batch or some columns of it, from the first step to the last. With `bf16`, the elements of
gates, hidden states and their gradients are bfloat16; what is carried from step to step is always float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.activations import sigmoid
from rnnkit.kernels.simd import WIDTH, broadcast, load, offset, store
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

STEPS, BATCH, SIZE, TASK_COLUMNS, GATES, STATES, CARRY, EXTRA, GRADS = range(FIRST_FIELD, FIRST_FIELD + 9)
"""Fields: T, B, H, columns of a task, and the addresses of

    gates   (T, B, 2 H)    products of the inputs, overwritten by z and n
    states  (T + 1, B, H)  h; the initial one is given, the others are output
    carry   (B, H)         float32; forward: h, backward: its gradient; from the initial or last state to the other
    extra                  forward: bias (2 H); backward: gradient of the hidden states (T, B, H)
    grads   (T, B, 2 H)    backward: gradient of the products, output
"""

_ONE = np.float32(1)


@inlined
def _run_forward(args: Any, bf16: bool) -> None:
    steps, batch, size, width, bias = args[STEPS], args[BATCH], args[SIZE], args[TASK_COLUMNS], args[EXTRA]
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
def _run_backward(args: Any, bf16: bool) -> None:
    steps, batch, size, width, one = args[STEPS], args[BATCH], args[SIZE], args[TASK_COLUMNS], broadcast(_ONE)
    tasks_per_row = (size + width - 1) // width
    task = next_task(args)
    while task < args[TASKS]:
        b, first = task // tasks_per_row, task % tasks_per_row * width
        carry = offset(args[CARRY], b * size, False)
        for step in range(steps - 1, -1, -1):
            row = step * batch + b
            gates, before = offset(args[GATES], 2 * row * size, bf16), offset(args[STATES], row * size, bf16)
            output_grads, grads = offset(args[EXTRA], row * size, bf16), offset(args[GRADS], 2 * row * size, bf16)
            for j in range(first, min(first + width, size), WIDTH):
                remaining = size - j
                z, n = load(gates, j, remaining, bf16), load(gates, size + j, remaining, bf16)
                grad = load(output_grads, j, remaining, bf16) + load(carry, j, remaining, False)
                store(grads, j, grad * (n - load(before, j, remaining, bf16)) * z * (one - z), remaining, bf16)
                store(grads, size + j, grad * z, remaining, bf16)
                store(carry, j, grad * (one - z), remaining, False)
        task = next_task(args)


def forward(args: Any) -> None:
    """Run a minGRU layer forward."""
    _run_forward(args, False)


def forward_bf16(args: Any) -> None:
    """Run a minGRU layer forward in bfloat16."""
    _run_forward(args, True)


def backward(args: Any) -> None:
    """Compute the gradients of a minGRU layer."""
    _run_backward(args, False)


def backward_bf16(args: Any) -> None:
    """Compute the gradients of a minGRU layer in bfloat16."""
    _run_backward(args, True)
