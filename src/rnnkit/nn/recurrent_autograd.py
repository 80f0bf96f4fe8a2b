"""Autograd functions of recurrent layers on the CPU, over the kernels of `rnnkit.kernels`.

The products of all inputs with their weights are one matrix product each, forward and backward; the kernels of
`kernels/recurrent_sequence.py` do the recurrence.

Beyond the package's legend: G gates x H, N rows (T x B).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rnnkit.kernels import recurrent_sequence, threads
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
    """Run one RNN, GRU or LSTM layer in one direction.

    It computes in float32. Under autocast to bfloat16, the factors of products, the gates and h are bfloat16, c and all
    sums float32; if the processor cannot multiply bfloat16 or H is odd, autocast has no effect.

    Args:
        arch: `rnn`, `gru` or `lstm`.
        x_TBE: Input.
        state: Initial state, each part (B, H).
        input_weights: Input-to-hidden matrix (G, E) and bias in float32, gates in torch's order.
        hidden_weights: Hidden-to-hidden matrix (G, H) and bias in float32.

    Returns:
        Hidden states h of all steps (T, B, H), and the last state in float32.
    """
    (input_weight, input_bias), (hidden_weight, hidden_bias) = input_weights, hidden_weights
    size = hidden_weight.shape[1]
    bias, candidate_bias = input_bias + hidden_bias, hidden_bias[:0]
    if arch == "gru":  # the reset gate multiplies the candidate's hidden bias, which must stay separate
        outer, candidate_bias = torch.split(hidden_bias, [2 * size, size])
        bias = input_bias + nn.functional.pad(outer, (0, size))
    bf16 = bf16_kernels_apply() and size % 2 == 0
    h_BH, c_BH = state if arch == "lstm" else (*state, None)
    h_TBH, *last = _Recurrence.apply(  # type: ignore[no-untyped-call]
        arch, bf16, x_TBE, h_BH, c_BH, input_weight, bias, hidden_weight, candidate_bias
    )
    return h_TBH, tuple(last)


class _Recurrence(torch.autograd.Function):
    """All time steps of an RNN, GRU or LSTM layer, and their gradients."""

    @staticmethod
    def forward(
        context: Any,
        arch: Arch,
        bf16: bool,
        x_TBE: Tensor,
        h_BH: Tensor,
        c_BH: Tensor | None,
        input_weight_GE: Tensor,
        bias_G: Tensor,
        hidden_weight_GH: Tensor,
        candidate_bias_H: Tensor,
    ) -> tuple[Tensor, ...]:
        (steps, batch, _), size = x_TBE.shape, h_BH.shape[1]
        dtype = torch.bfloat16 if bf16 else torch.float32
        x_NE = x_TBE.reshape(steps * batch, -1).to(dtype)
        gates_NG = matmul(x_NE, input_weight_GE.to(dtype), transposed_m=True)
        states = allocate_states(h_BH, steps, dtype)
        if c_BH is None:
            extra = gates_NG.new_empty(steps if arch == "gru" else 0, batch, size)
        else:
            extra = allocate_states(c_BH, steps, torch.float32)
        hidden = pack_panels(hidden_weight_GH, transposed=True, bf16=bf16)
        hidden_BG = bias_G.new_empty(batch, len(bias_G))
        fields: list[int | Tensor] = [steps, batch, size, hidden, gates_NG, states, extra, hidden_BG]
        fields += [bias_G.contiguous(), candidate_bias_H.contiguous()]
        threads.parallel_for(recurrent_sequence.FORWARD[arch][bf16], fields, task_count(batch))
        context.arch, context.bf16 = arch, bf16
        context.save_for_backward(x_NE, gates_NG, states, extra, input_weight_GE, hidden_weight_GH)
        last = [states[-1]] if c_BH is None else [states[-1], extra[-1]]
        return states[1:], *(float32_copy(part_BH) for part_BH in last)

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_TBH: Tensor, *grad_last: Tensor) -> tuple[Tensor | None, ...]:
        x_NE, gates_NG, states, extra, input_weight_GE, hidden_weight_GH = context.saved_tensors
        arch, bf16, (steps, batch, size) = context.arch, context.bf16, grad_TBH.shape
        grad_h_BH = float32_copy(grad_last[0])
        bypass_BH = float32_copy(grad_last[1]) if arch == "lstm" else torch.zeros_like(grad_h_BH)
        grads_NG = torch.empty_like(gates_NG)
        hidden_grads_NG = torch.empty_like(gates_NG) if arch == "gru" else grads_NG
        hidden, output_grads_TBH = pack_panels(hidden_weight_GH, bf16=bf16), grad_TBH.to(gates_NG.dtype).contiguous()
        fields: list[int | Tensor] = [steps, batch, size, hidden, gates_NG, states, extra, output_grads_TBH]
        fields += [grad_h_BH, bypass_BH, grads_NG, hidden_grads_NG]
        threads.parallel_for(recurrent_sequence.BACKWARD[arch][bf16], fields, task_count(batch))
        x_grad_TBE = None
        if context.needs_input_grad[2]:
            x_grad_TBE = matmul(grads_NG, input_weight_GE.to(grads_NG.dtype)).view(steps, batch, -1)
        return (
            None,
            None,
            x_grad_TBE,
            grad_h_BH + bypass_BH if arch == "gru" else grad_h_BH,
            bypass_BH if arch == "lstm" else None,
            matmul(grads_NG, x_NE, transposed_a=True).float(),
            grads_NG.sum(0).float(),
            matmul(hidden_grads_NG, states[:-1].flatten(0, 1), transposed_a=True).float(),
            hidden_grads_NG[:, -size:].sum(0).float() if arch == "gru" else None,
        )


def run_mingru(x_TBE: Tensor, start_BH: Tensor, weight_GE: Tensor, bias_G: Tensor) -> tuple[Tensor, Tensor]:
    """Run one minGRU layer.

    It computes in float32; under autocast to bfloat16, products, gates and hidden states are bfloat16.

    Args:
        x_TBE: Input.
        start_BH: Initial state.
        weight_GE: W_z above W_h (2 H, E), in float32.
        bias_G: b_z and b_h, in float32.

    Returns:
        Hidden states of all steps (T, B, H), and the last one (B, H) in float32.
    """
    states_TBH, last_BH = _MinGRU.apply(  # type: ignore[no-untyped-call]
        bf16_kernels_apply(), x_TBE, start_BH, weight_GE, bias_G
    )
    return states_TBH, last_BH


class _MinGRU(torch.autograd.Function):
    """All time steps of a minGRU layer, and their gradients."""

    @staticmethod
    def forward(
        context: Any, bf16: bool, x_TBE: Tensor, start_BH: Tensor, weight_GE: Tensor, bias_G: Tensor
    ) -> tuple[Tensor, Tensor]:
        (steps, batch, _), size = x_TBE.shape, start_BH.shape[1]
        dtype = torch.bfloat16 if bf16 else torch.float32
        x_NE = x_TBE.reshape(steps * batch, -1).to(dtype)
        gates_NG = matmul(x_NE, weight_GE.to(dtype), transposed_m=True)
        states, h_BH = allocate_states(start_BH, steps, dtype), float32_copy(start_BH)
        columns, tasks = _split_columns(batch, size)
        fields: list[int | Tensor] = [steps, batch, size, columns, gates_NG, states, h_BH, bias_G.contiguous()]
        threads.parallel_for(
            recurrent_sequence.mingru_forward_bf16 if bf16 else recurrent_sequence.mingru_forward, fields, tasks
        )
        context.save_for_backward(x_NE, gates_NG, states, weight_GE)
        return states[1:], h_BH

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_TBH: Tensor, grad_last_BH: Tensor) -> tuple[Tensor | None, ...]:
        x_NE, gates_NG, states, weight_GE = context.saved_tensors
        steps, batch, size = grad_TBH.shape
        grad_h_BH, grads_NG = float32_copy(grad_last_BH), torch.empty_like(gates_NG)
        columns, tasks = _split_columns(batch, size)
        outputs_TBH = grad_TBH.to(gates_NG.dtype).contiguous()
        fields: list[int | Tensor] = [steps, batch, size, columns, gates_NG, states, grad_h_BH, outputs_TBH, grads_NG]
        bf16 = gates_NG.dtype == torch.bfloat16
        threads.parallel_for(
            recurrent_sequence.mingru_backward_bf16 if bf16 else recurrent_sequence.mingru_backward, fields, tasks
        )
        x_grad_TBE = None
        if context.needs_input_grad[1]:
            x_grad_TBE = matmul(grads_NG, weight_GE.to(grads_NG.dtype)).view(steps, batch, -1)
        weight_grad_GE = matmul(grads_NG, x_NE, transposed_a=True).float()
        return None, x_grad_TBE, grad_h_BH, weight_grad_GE, grads_NG.sum(0).float()


def allocate_states(start_BH: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """Allocate the hidden states of all steps, preceded by the initial one (T + 1, B, H)."""
    states = torch.empty(steps + 1, *start_BH.shape, dtype=dtype)
    states[0] = start_BH
    return states


def float32_copy(tensor: Tensor) -> Tensor:
    """Return a contiguous copy in float32 that a kernel may overwrite."""
    return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def task_count(batch: int) -> int:
    """Return the number of tasks that a batch is split into: at least two rows each, as one takes as long as two."""
    return min(-(-batch // 2), torch.get_num_threads())


def _split_columns(batch: int, size: int) -> tuple[int, int]:
    """Return the columns per minGRU task and the number of tasks: several per row if rows are fewer than threads."""
    per_row = -(-torch.get_num_threads() // batch)
    columns = -(-size // (per_row * WIDTH)) * WIDTH
    return columns, batch * -(-size // columns)
