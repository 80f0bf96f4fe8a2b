"""Recurrent layers on the CPU for autograd: whole sequences of a batch by the kernels of `kernels/recurrent_sequence.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rnnkit.kernels import mingru_scan, recurrent_sequence, threads
from rnnkit.kernels.dispatch import bf16_kernels_apply
from rnnkit.kernels.gemm import matmul, pack_panels
from rnnkit.kernels.simd import WIDTH
from rnnkit.nn.cells import State
from rnnkit.nn.kinds import Arch


def run_recurrent(
    arch: Arch,
    x_TBE: Tensor,
    state: State,
    input_weights: tuple[Tensor, Tensor],
    hidden_weights: tuple[Tensor, Tensor],
) -> tuple[Tensor, State]:
    """One layer in one direction.

    In float32; under autocast to bfloat16 the factors of products, the gates and the states h are in that, c and all
    sums in float32. Where the processor cannot multiply bfloat16, or H is odd, autocast changes nothing.

    Args:
        arch: `rnn`, `gru` or `lstm`.
        x_TBE: Inputs.
        state: Where it starts, each part (B, H).
        input_weights: Matrix (gates x H, E) and bias of the inputs, gates in torch's order; in float32.
        hidden_weights: Matrix (gates x H, H) and bias of the states; in float32.

    Returns:
        The states h of all steps (T, B, H), and the last state, in float32.
    """
    (input_weight, input_bias), (hidden_weight, hidden_bias) = input_weights, hidden_weights
    size = hidden_weight.shape[1]
    bias, inner_bias = input_bias + hidden_bias, hidden_bias[:0]
    if arch == "gru":  # the candidate's bias stands inside, where the reset gate is multiplied with it
        outer, inner_bias = torch.split(hidden_bias, [2 * size, size])
        bias = input_bias + nn.functional.pad(outer, (0, size))
    half = bf16_kernels_apply() and size % 2 == 0
    h_BH, c_BH = state if arch == "lstm" else (*state, None)
    h_TBH, *last = _Recurrence.apply(  # type: ignore[no-untyped-call]
        arch, half, x_TBE, h_BH, c_BH, input_weight, bias, hidden_weight, inner_bias
    )
    return h_TBH, tuple(last)


class _Recurrence(torch.autograd.Function):
    """All steps of a layer, and their gradients."""

    @staticmethod
    def forward(
        context: Any,
        arch: Arch,
        half: bool,
        x_TBE: Tensor,
        h_BH: Tensor,
        c_BH: Tensor | None,
        input_weight_GE: Tensor,
        bias_G: Tensor,
        hidden_weight_GH: Tensor,
        inner_bias_H: Tensor,
    ) -> tuple[Tensor, ...]:
        (steps, batch, _), size = x_TBE.shape, h_BH.shape[1]
        kind = torch.bfloat16 if half else torch.float32
        x_NE = x_TBE.reshape(steps * batch, -1).to(kind)
        gates_NG = matmul(x_NE, input_weight_GE.to(kind), transposed_m=True)
        states = allocate_states(h_BH, steps, kind)
        if c_BH is None:
            more = gates_NG.new_empty(steps if arch == "gru" else 0, batch, size)
        else:
            more = allocate_states(c_BH, steps, torch.float32)
        hidden, sums_BG = (
            pack_panels(hidden_weight_GH, transposed=True, half=half),
            bias_G.new_empty(batch, len(bias_G)),
        )
        fields: list[int | Tensor] = [steps, batch, size, hidden, gates_NG, states, more, sums_BG]
        fields += [bias_G.contiguous(), inner_bias_H.contiguous()]
        threads.parallel_for(recurrent_sequence.FORWARD[arch][half], fields, task_count(batch))
        context.arch, context.half = arch, half
        context.save_for_backward(x_NE, gates_NG, states, more, input_weight_GE, hidden_weight_GH)
        last = [states[-1]] if c_BH is None else [states[-1], more[-1]]
        return states[1:], *(float32_copy(part_BH) for part_BH in last)

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_TBH: Tensor, *grad_last: Tensor) -> tuple[Tensor | None, ...]:
        x_NE, gates_NG, states, more, input_weight_GE, hidden_weight_GH = context.saved_tensors
        arch, half, (steps, batch, size) = context.arch, context.half, grad_TBH.shape
        carried_BH = float32_copy(grad_last[0])
        kept_BH = float32_copy(grad_last[1]) if arch == "lstm" else torch.zeros_like(carried_BH)
        grads_NG = torch.empty_like(gates_NG)
        hidden_grads_NG = torch.empty_like(gates_NG) if arch == "gru" else grads_NG
        hidden, outputs_TBH = pack_panels(hidden_weight_GH, half=half), grad_TBH.to(gates_NG.dtype).contiguous()
        fields: list[int | Tensor] = [steps, batch, size, hidden, gates_NG, states, more, outputs_TBH]
        fields += [carried_BH, kept_BH, grads_NG, hidden_grads_NG]
        threads.parallel_for(recurrent_sequence.BACKWARD[arch][half], fields, task_count(batch))
        x_grad_TBE = None
        if context.needs_input_grad[2]:
            x_grad_TBE = matmul(grads_NG, input_weight_GE.to(grads_NG.dtype)).view(steps, batch, -1)
        return (
            None,
            None,
            x_grad_TBE,
            carried_BH + kept_BH if arch == "gru" else carried_BH,
            kept_BH if arch == "lstm" else None,
            matmul(grads_NG, x_NE, transposed_a=True).float(),
            grads_NG.sum(0).float(),
            matmul(hidden_grads_NG, states[:-1].flatten(0, 1), transposed_a=True).float(),
            hidden_grads_NG[:, -size:].sum(0).float() if arch == "gru" else None,
        )


def allocate_states(start_BH: Tensor, steps: int, kind: torch.dtype) -> Tensor:
    """Room for the states of all steps behind the one before the first (T + 1, B, H)."""
    states = torch.empty(steps + 1, *start_BH.shape, dtype=kind)
    states[0] = start_BH
    return states


def float32_copy(tensor: Tensor) -> Tensor:
    """In float32, without gaps, to be written over."""
    return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def task_count(batch: int) -> int:
    """So many threads can have rows of their own; one alone would take as long as two."""
    return min(-(-batch // 2), torch.get_num_threads())


def run_mingru(x_TBE: Tensor, start_BH: Tensor, weight_GE: Tensor, bias_G: Tensor) -> tuple[Tensor, Tensor]:
    """One layer; in float32, under autocast to bfloat16 with products, gates and outputs in that.

    Args:
        x_TBE: Inputs.
        start_BH: The state before the first step.
        weight_GE: W_z above W_h, in float32.
        bias_G: b_z and b_h, in float32.

    Returns:
        The states of all steps (T, B, H), and the last one (B, H) in float32.
    """
    half = bf16_kernels_apply()
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
        gates_NG = matmul(x_NE, weight_GE.to(kind), transposed_m=True)
        states, carried_BH = allocate_states(start_BH, steps, kind), float32_copy(start_BH)
        chunk, shares = _split_columns(batch, size)
        fields: list[int | Tensor] = [steps, batch, size, chunk, gates_NG, states, carried_BH, bias_G.contiguous()]
        threads.parallel_for(mingru_scan.forward_half if half else mingru_scan.forward, fields, shares)
        context.save_for_backward(x_NE, gates_NG, states, weight_GE)
        return states[1:], carried_BH

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_TBH: Tensor, grad_last_BH: Tensor) -> tuple[Tensor | None, ...]:
        x_NE, gates_NG, states, weight_GE = context.saved_tensors
        steps, batch, size = grad_TBH.shape
        carried_BH, grads_NG = float32_copy(grad_last_BH), torch.empty_like(gates_NG)
        chunk, shares = _split_columns(batch, size)
        outputs_TBH = grad_TBH.to(gates_NG.dtype).contiguous()
        fields: list[int | Tensor] = [steps, batch, size, chunk, gates_NG, states, carried_BH, outputs_TBH, grads_NG]
        half = gates_NG.dtype == torch.bfloat16
        threads.parallel_for(mingru_scan.backward_half if half else mingru_scan.backward, fields, shares)
        input_grad_TBE = None
        if context.needs_input_grad[1]:
            input_grad_TBE = matmul(grads_NG, weight_GE.to(grads_NG.dtype)).view(steps, batch, -1)
        weight_grad_GE = matmul(grads_NG, x_NE, transposed_a=True).float()
        return None, input_grad_TBE, carried_BH, weight_grad_GE, grads_NG.sum(0).float()


def _split_columns(batch: int, size: int) -> tuple[int, int]:
    """Columns of a share, and the number of shares: some for each row, so that few rows have work for all threads."""
    pieces = -(-torch.get_num_threads() // batch)
    chunk = -(-size // (pieces * WIDTH)) * WIDTH
    return chunk, batch * -(-size // chunk)
