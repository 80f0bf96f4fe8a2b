"""The recurrence of the minimal gated unit, forwards and backwards, compiled for the CPU.

The products of the inputs with their weights are there for all steps. With z = sigmoid(a) and g_t the gradient of all
that depends on h_t:

    h_t = h_{t-1} + z_t (h~_t - h_{t-1})
    g_t = dL/dh_t + (1 - z_{t+1}) g_{t+1}     dL/dh~_t = g_t z_t     dL/da_t = g_t (h~_t - h_{t-1}) z_t (1 - z_t)

A share of the work is one row of the batch, or some columns of it, from the first step to the last. With `half` the
elements of gates, states and their gradients are bfloat16; what is carried from step to step is float32 in any case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnkit.kernels.activations import sigmoid
from rnnkit.kernels.simd import WIDTH, broadcast, load, offset, store
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, inlined, next_task

STEPS, BATCH, SIZE, CHUNK, GATES, STATES, CARRIED, MORE, GRADS = range(FIRST_FIELD, FIRST_FIELD + 9)
"""Fields of a job: T, B, H, columns that belong to one share, and the addresses of

    gates    (T, B, 2 H)    products of the inputs, over which z and h~ are written
    states   (T + 1, B, H)  h, the one before the first step included; the others are written
    carried  (B, H)         forwards h itself, in float32; backwards its gradient
    more                    forwards the bias (2 H), backwards the gradient of the states (T, B, H)
    grads    (T, B, 2 H)    backwards, written: gradient of the products
"""

_ONE = np.float32(1)


@inlined
def _forward(job: Any, half: bool) -> None:
    steps, batch, size, chunk, bias = job[STEPS], job[BATCH], job[SIZE], job[CHUNK], job[MORE]
    chunks = (size + chunk - 1) // chunk
    share = next_task(job)
    while share < job[TASKS]:
        place, first = share // chunks, share % chunks * chunk
        carried = offset(job[CARRIED], place * size, False)
        for step in range(steps):
            row = step * batch + place
            gates, after = offset(job[GATES], 2 * row * size, half), offset(job[STATES], (row + batch) * size, half)
            for j in range(first, min(first + chunk, size), WIDTH):
                left = size - j
                z = sigmoid(load(gates, j, left, half) + load(bias, j, left, False))
                candidate = load(gates, size + j, left, half) + load(bias, size + j, left, False)
                h = load(carried, j, left, False)
                h = h + z * (candidate - h)
                store(gates, j, z, left, half)
                store(gates, size + j, candidate, left, half)
                store(carried, j, h, left, False)
                store(after, j, h, left, half)
        share = next_task(job)


@inlined
def _backward(job: Any, half: bool) -> None:
    steps, batch, size, chunk, one = job[STEPS], job[BATCH], job[SIZE], job[CHUNK], broadcast(_ONE)
    chunks = (size + chunk - 1) // chunk
    share = next_task(job)
    while share < job[TASKS]:
        place, first = share // chunks, share % chunks * chunk
        carried = offset(job[CARRIED], place * size, False)
        for step in range(steps - 1, -1, -1):
            row = step * batch + place
            gates, before = offset(job[GATES], 2 * row * size, half), offset(job[STATES], row * size, half)
            outputs, grads = offset(job[MORE], row * size, half), offset(job[GRADS], 2 * row * size, half)
            for j in range(first, min(first + chunk, size), WIDTH):
                left = size - j
                z, candidate = load(gates, j, left, half), load(gates, size + j, left, half)
                grad = load(outputs, j, left, half) + load(carried, j, left, False)
                store(grads, j, grad * (candidate - load(before, j, left, half)) * z * (one - z), left, half)
                store(grads, size + j, grad * z, left, half)
                store(carried, j, grad * (one - z), left, False)
        share = next_task(job)


def forward(job: Any) -> None:
    """All steps of a layer."""
    _forward(job, False)


def forward_half(job: Any) -> None:
    """The same in bfloat16."""
    _forward(job, True)


def backward(job: Any) -> None:
    """Their gradients."""
    _backward(job, False)


def backward_half(job: Any) -> None:
    """The same in bfloat16."""
    _backward(job, True)
