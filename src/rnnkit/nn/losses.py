"""The output layer and its loss in one.

    logits_NV = hidden_NH W^T + b
    loss      = sum over rows of (1 - e) (-log p_target) + e mean_v (-log p_v),   p = softmax(logits)

e is the label smoothing (Szegedy et al. 2016, arXiv:1512.00567). `reference_loss` says it plainly.
`fused_loss` never holds the whole of logits_NV: it goes over the rows in chunks that stay in the cache and takes
the gradient while each chunk is at hand, since d loss / d logits = p - (1 - e) onehot - e / V needs nothing later.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 512
"""Rows handled at once; 512 x 8,000 logits are 8 MB in bfloat16."""


def reference_loss(
    hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """The loss as its equation.

    Args:
        hidden_NH: One row a target token, padding left out.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the right tokens.
        smoothing: Label smoothing e.

    Returns:
        The loss to optimise and the negative log-likelihood, both in nats, summed over the rows.
    """
    log_p_NV = torch.log_softmax(torch.nn.functional.linear(hidden_NH, weight_VH, bias_V).float(), dim=-1)
    nll = -log_p_NV.gather(1, target_N.unsqueeze(1)).sum()
    return (1 - smoothing) * nll - smoothing * log_p_NV.mean(dim=-1).sum(), nll.detach()


def fused_loss(
    hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """The same as `reference_loss`, faster and in less memory. Matrix products run in autocast's type."""
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden_NH.dtype
    if hidden_NH.is_cuda:
        kind = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else hidden_NH.dtype
    loss, nll = _FusedLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, target_N, smoothing, kind
    )
    return loss, nll


class _FusedLoss(torch.autograd.Function):
    """Loss and gradient together; backward only scales what forward found."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        smoothing: float,
        kind: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        size = weight_VH.shape[0]
        with torch.autocast(hidden_NH.device.type, enabled=False):
            hidden, weight, bias = hidden_NH.to(kind), weight_VH.to(kind), bias_V.to(kind)
            grad_hidden_NH = torch.empty_like(hidden, dtype=torch.float32)
            grad_weight_VH = torch.zeros_like(weight_VH)
            grad_bias_V = torch.zeros_like(bias_V)
            nll = hidden_NH.new_zeros((), dtype=torch.float32)
            uniform = hidden_NH.new_zeros((), dtype=torch.float32)
            for start in range(0, len(target_N), CHUNK):
                rows = slice(start, start + CHUNK)
                target_N1 = target_N[rows].unsqueeze(1)
                logits_NV = torch.addmm(bias, hidden[rows], weight.T)
                log_p_NV = torch.log_softmax(logits_NV, dim=-1)
                nll -= log_p_NV.gather(1, target_N1).float().sum()
                uniform -= log_p_NV.sum(dtype=torch.float32) / size
                grad_NV = log_p_NV.exp_()
                grad_NV -= smoothing / size
                grad_NV.scatter_add_(1, target_N1, grad_NV.new_full(target_N1.shape, smoothing - 1))
                grad_hidden_NH[rows] = grad_NV @ weight
                grad_weight_VH += grad_NV.T @ hidden[rows]
                grad_bias_V += grad_NV.sum(0, dtype=torch.float32)
        ctx.save_for_backward(grad_hidden_NH, grad_weight_VH, grad_bias_V)
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll + smoothing * uniform, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        grad_hidden_NH, grad_weight_VH, grad_bias_V = ctx.saved_tensors
        return grad_hidden_NH * grad_loss, grad_weight_VH * grad_loss, grad_bias_V * grad_loss, None, None, None
