"""The minimal gated unit on the CPU for autograd: one product of all steps, then `kernels/mingru.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnkit.kernels import mingru, team
from rnnkit.kernels.lanes import WIDTH
from rnnkit.kernels.products import matrix_product
from rnnkit.nn.recurrent_function import autocast_helps, own_copy, with_first


def run_layer(x_TBE: Tensor, start_BH: Tensor, weight_GE: Tensor, bias_G: Tensor) -> tuple[Tensor, Tensor]:
    """One layer; in float32, under autocast to bfloat16 with products, gates and outputs in that.

    Args:
        x_TBE: Inputs.
        start_BH: The state before the first step.
        weight_GE: W_z above W_h, in float32.
        bias_G: b_z and b_h, in float32.

    Returns:
        The states of all steps (T, B, H), and the last one (B, H) in float32.
    """
    half = autocast_helps()
    states_TBH, last_BH = _MinGRU.apply(half, x_TBE, start_BH, weight_GE, bias_G)  # type: ignore[no-untyped-call]
    return states_TBH, last_BH


class _MinGRU(torch.autograd.Function):
    """All steps of a layer, and their gradients."""

    @staticmethod
    def forward(
        context: Any, half: bool, x_TBE: Tensor, start_BH: Tensor, weight_GE: Tensor, bias_G: Tensor
    ) -> tuple[Tensor, Tensor]:
        (steps, batch, _), size = x_TBE.shape, start_BH.shape[1]
        kind = torch.bfloat16 if half else torch.float32
        x_NE = x_TBE.reshape(steps * batch, -1).to(kind)
        gates_NG = matrix_product(x_NE, weight_GE.to(kind), transposed_m=True)
        states, carried_BH = with_first(start_BH, steps, kind), own_copy(start_BH)
        chunk, shares = _cut(batch, size)
        fields: list[int | Tensor] = [steps, batch, size, chunk, gates_NG, states, carried_BH, bias_G.contiguous()]
        team.run(mingru.forward_half if half else mingru.forward, fields, shares)
        context.save_for_backward(x_NE, gates_NG, states, weight_GE)
        return states[1:], carried_BH

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_TBH: Tensor, grad_last_BH: Tensor) -> tuple[Tensor | None, ...]:
        x_NE, gates_NG, states, weight_GE = context.saved_tensors
        steps, batch, size = grad_TBH.shape
        carried_BH, grads_NG = own_copy(grad_last_BH), torch.empty_like(gates_NG)
        chunk, shares = _cut(batch, size)
        outputs_TBH = grad_TBH.to(gates_NG.dtype).contiguous()
        fields: list[int | Tensor] = [steps, batch, size, chunk, gates_NG, states, carried_BH, outputs_TBH, grads_NG]
        half = gates_NG.dtype == torch.bfloat16
        team.run(mingru.backward_half if half else mingru.backward, fields, shares)
        input_grad_TBE = None
        if context.needs_input_grad[1]:
            input_grad_TBE = matrix_product(grads_NG, weight_GE.to(grads_NG.dtype)).view(steps, batch, -1)
        weight_grad_GE = matrix_product(grads_NG, x_NE, transposed_a=True).float()
        return None, input_grad_TBE, carried_BH, weight_grad_GE, grads_NG.sum(0).float()


def _cut(batch: int, size: int) -> tuple[int, int]:
    """Columns of a share, and the number of shares: some for each row, so that few rows have work for all threads."""
    pieces = -(-torch.get_num_threads() // batch)
    chunk = -(-size // (pieces * WIDTH)) * WIDTH
    return chunk, batch * -(-size // chunk)
