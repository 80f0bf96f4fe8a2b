"""Parallel scan of linear recurrences, h_t = a_t * h_{t-1} + b_t elementwise.

Two consecutive steps (a, b) and (a', b') compose to one, (a' a, a' b + b'). The doubling scan (Hillis and Steele 1986)
composes steps at distance 1, 2, 4, ...: log2(T) passes over whole tensors, on any device and for any type. The gradient
is the same recurrence run backwards:

    g_t = dL/dh_t + a_{t+1} * g_{t+1}      dL/db_t = g_t      dL/da_t = g_t * h_{t-1}      dL/dh_0 = a_1 * g_1
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def reference_scan(a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
    """Compute the recurrence step by step; return all h (B, T, H)."""
    h_BH = start_BH
    states = []
    for a_BH, b_BH in zip(a_BTH.unbind(1), b_BTH.unbind(1), strict=True):
        h_BH = a_BH * h_BH + b_BH
        states.append(h_BH)
    return torch.stack(states, dim=1)


def linear_scan(a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
    """Compute the recurrence in log2(T) passes, and its gradient in as many.

    Args:
        a_BTH: Factors of the state.
        b_BTH: Terms added to it.
        start_BH: Initial state.

    Returns:
        States h of all steps (B, T, H).
    """
    h_BTH: Tensor = _LinearScan.apply(a_BTH, b_BTH, start_BH)  # type: ignore[no-untyped-call]
    return h_BTH


def doubling_scan(a_BTH: Tensor, b_BTH: Tensor, reverse: bool = False) -> Tensor:
    """Compute the recurrence from a state of zeros by doubling, without a gradient.

    Args:
        a_BTH: Factors of the state; that of the first step is not used.
        b_BTH: Terms added to it.
        reverse: Run from the last step to the first: h_t = a_t * h_{t+1} + b_t.
    """
    steps = b_BTH.shape[1]
    distance = 1
    while distance < steps:
        tail, head = slice(distance, None), slice(None, -distance)
        later, earlier = (head, tail) if reverse else (tail, head)
        composed_b_BTH = torch.addcmul(b_BTH[:, later], a_BTH[:, later], b_BTH[:, earlier])
        composed_a_BTH = a_BTH[:, later] * a_BTH[:, earlier]
        done = slice(-distance, None) if reverse else slice(None, distance)
        pairs = [(b_BTH[:, done], composed_b_BTH), (a_BTH[:, done], composed_a_BTH)]
        b_BTH, a_BTH = (torch.cat(pair[::-1] if reverse else pair, dim=1) for pair in pairs)
        distance *= 2
    return b_BTH


class _LinearScan(torch.autograd.Function):
    """The recurrence by doubling, and its gradient by doubling in reverse."""

    @staticmethod
    def forward(context: Any, a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
        first_B1H = torch.addcmul(b_BTH[:, :1], a_BTH[:, :1], start_BH.unsqueeze(1))
        h_BTH = doubling_scan(a_BTH, torch.cat([first_B1H, b_BTH[:, 1:]], dim=1))
        context.save_for_backward(a_BTH, h_BTH, start_BH)
        return h_BTH

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_BTH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_BTH, h_BTH, start_BH = context.saved_tensors
        next_a_BTH = torch.cat([a_BTH[:, 1:], a_BTH[:, :1]], dim=1)
        grad_b_BTH = doubling_scan(next_a_BTH, grad_BTH, reverse=True)
        previous_BTH = torch.cat([start_BH.unsqueeze(1), h_BTH[:, :-1]], dim=1)
        return grad_b_BTH * previous_BTH, grad_b_BTH, a_BTH[:, 0] * grad_b_BTH[:, 0]
