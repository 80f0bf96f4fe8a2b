"""Output layer and cross-entropy loss: fused for training, exact for evaluation.

    logits_NV = hidden_NH W^T + b
    loss      = sum over rows of (1 - e) (-log p_target) + e mean_v (-log p_v),   p = softmax(logits)

e is the label smoothing (Szegedy et al. 2016, arXiv:1512.00567). `reference_loss` is the equation. `fused_loss` never
holds all of logits_NV: it goes over the rows in chunks that stay in the cache, and computes the gradient while a chunk
is at hand, since d loss / d logits = p - (1 - e) onehot - e / V depends on nothing computed later.

Three matrix products per chunk take nine tenths of the time, and everything else is kept out of their way. The bias is
an extra column of the weights, against a hidden element that is always 1: no product reads it separately, and its
gradient comes with that of the weights. The softmax is the only other pass over a chunk.

Beyond the package's legend: N rows, one for each target token without padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_BYTES = 16 << 20
"""Logits held at once on a CPU, those of 838 rows of 10,000 in bfloat16; more would not stay in the cache."""

MIN_CHUNK_ROWS = 256
"""Fewest rows of a chunk; a product that reads all weights for fewer rows takes twice as long per row."""

CUDA_CHUNK_BYTES = 256 << 20
"""Logits held at once on a GPU, which needs few and large calls."""

COLUMN_MULTIPLE = 8
"""The hidden size, bias column included, is padded to a multiple of this, as matrix units require."""

MIN_EXACT_PROBABILITY = 1e-30
"""Probabilities below this may have lost digits; -log p is computed from the logits instead.

In float16 the limit is 6e-5, the smallest normal number; probabilities below 3e-8 have no gradient in it.
"""


def reference_loss(
    hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Compute the loss by its equation.

    Args:
        hidden_NH: Hidden states.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the target tokens.
        smoothing: Label smoothing e.

    Returns:
        The loss to optimize and the negative log-likelihood (detached), both in nats, summed over the rows.
    """
    log_p_NV = torch.log_softmax(torch.nn.functional.linear(hidden_NH, weight_VH, bias_V).float(), dim=-1)
    nll = -log_p_NV.gather(1, target_N.unsqueeze(1)).sum()
    return (1 - smoothing) * nll - smoothing * log_p_NV.mean(dim=-1).sum(), nll.detach()


def fused_loss(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    smoothing: float = 0.0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `reference_loss` faster and in less memory.

    Args:
        hidden_NH: Hidden states.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the target tokens.
        smoothing: Label smoothing e.
        dtype: Type of matrix products and logits; by default that of autocast, or of the hidden states.

    Returns:
        As `reference_loss`.
    """
    loss, nll_N = fused_loss_and_nll(hidden_NH, weight_VH, bias_V, target_N, smoothing, dtype)
    return loss, nll_N.sum()


def fused_loss_and_nll(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    smoothing: float = 0.0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `fused_loss`, and the negative log-likelihood of each row (N), detached, instead of their sum."""
    loss, nll_N = _FusedLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, target_N, smoothing, dtype or matmul_dtype(hidden_NH), torch.is_grad_enabled()
    )
    return loss, nll_N


@torch.no_grad()
def exact_nll(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor) -> Tensor:
    """Compute the negative log-likelihood of each target (N) in nats, in float32 even under autocast.

    A row's value does not depend on other rows, but for the last bits of a product: perplexity is the same for every
    batch size. Arguments as for `reference_loss`.
    """
    nll_N = torch.empty(target_N.shape, dtype=torch.float32, device=hidden_NH.device)
    with torch.autocast(hidden_NH.device.type, enabled=False):
        weight_HV, bias_V = weight_VH.float().T, bias_V.float()
        for rows in _row_chunks(len(target_N), weight_VH.shape[0], nll_N):
            logits_NV = torch.addmm(bias_V, hidden_NH[rows].float(), weight_HV)
            target_logit_N = logits_NV.gather(1, target_N[rows].unsqueeze(1)).squeeze(1)
            nll_N[rows] = torch.logsumexp(logits_NV, dim=-1) - target_logit_N
    return nll_N


def log_probabilities(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor) -> Tensor:
    """Compute the log-probabilities of the vocabulary (N, V) in nats, in float32 even under autocast."""
    with torch.autocast(hidden_NH.device.type, enabled=False):
        logits_NV = torch.nn.functional.linear(hidden_NH.float(), weight_VH.float(), bias_V.float())
        return torch.log_softmax(logits_NV, dim=-1)


class _FusedLoss(torch.autograd.Function):
    """Loss and gradient in one pass: forward computes the gradient too, and backward only scales it."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        smoothing: float,
        dtype: torch.dtype,
        needs_grad: bool,
    ) -> tuple[Tensor, Tensor]:
        (size, width), device = weight_VH.shape, hidden_NH.device
        nll_N = torch.empty(target_N.shape, dtype=torch.float32, device=device)
        uniform = torch.zeros((), dtype=torch.float32, device=device)
        with torch.autocast(device.type, enabled=False):
            hidden, weight = append_bias_column(hidden_NH, None, dtype), append_bias_column(weight_VH, bias_V, dtype)
            mean_H = weight.mean(0, dtype=torch.float32) if smoothing else None
            grad_hidden = torch.empty_like(hidden)
            grad_weight: Tensor | None = None
            row_N = torch.arange(len(target_N), device=device)
            for rows in _row_chunks(len(target_N), size, hidden):
                target_N1 = target_N[rows].unsqueeze(1)
                logits_NV = hidden[rows] @ weight.T
                p_NV = torch.softmax(logits_NV, dim=-1)
                nll_N[rows] = _nll(logits_NV, p_NV, target_N1)
                if mean_H is not None:
                    target_logits = logits_NV.gather(1, target_N1).sum(dtype=torch.float32)
                    uniform += nll_N[rows].sum() + target_logits - (hidden[rows].float() @ mean_H).sum()
                    p_NV -= smoothing / size
                if needs_grad:
                    p_NV[row_N[: len(p_NV)], target_N[rows]] += smoothing - 1  # a scatter takes as long as the softmax
                    torch.mm(p_NV, weight, out=grad_hidden[rows])
                    part = p_NV.T @ hidden[rows]
                    grad_weight = part.to(weight_VH.dtype) if grad_weight is None else grad_weight.add_(part)
        if needs_grad:
            grad_weight = weight_VH.new_zeros(weight.shape) if grad_weight is None else grad_weight
            ctx.save_for_backward(
                grad_hidden[:, :width].to(hidden_NH.dtype),
                grad_weight[:, :width].to(weight_VH.dtype),
                grad_weight[:, width].to(bias_V.dtype),
            )
        ctx.mark_non_differentiable(nll_N)
        return (1 - smoothing) * nll_N.sum() + smoothing * uniform, nll_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * grad_loss for grad in ctx.saved_tensors), None, None, None, None


def matmul_dtype(hidden_NH: Tensor) -> torch.dtype:
    """Return the type of autocast if it is on, else that of the hidden states."""
    device = hidden_NH.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NH.dtype


def _row_chunks(count: int, size: int, like: Tensor) -> Iterator[slice]:
    """Yield slices of nearly equal numbers of rows, whose logits fit into the chunk bytes or which are few rows."""
    max_bytes = CUDA_CHUNK_BYTES if like.is_cuda else CHUNK_BYTES
    max_rows = max(MIN_CHUNK_ROWS, max_bytes // (size * like.element_size()))
    chunks = -(-count // max_rows)
    for chunk in range(chunks):
        yield slice(chunk * count // chunks, (chunk + 1) * count // chunks)


def append_bias_column(rows_NH: Tensor, column_N: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Convert rows to `dtype` and append a column, ones by default, and zeros up to a multiple of the column size."""
    count, width = rows_NH.shape
    extended = rows_NH.new_zeros(count, -(-(width + 1) // COLUMN_MULTIPLE) * COLUMN_MULTIPLE, dtype=dtype)
    extended[:, :width] = rows_NH
    extended[:, width] = 1 if column_N is None else column_N
    return extended


def _nll(logits_NV: Tensor, p_NV: Tensor, target_N1: Tensor) -> Tensor:
    """Compute -log p of each target in float32, from p itself or by way of the most probable token.

    The second never underflows but takes two more passes. The first needs to inspect p, for which a GPU would have to
    synchronize.
    """
    p_N1 = p_NV.gather(1, target_N1).float()
    if not p_NV.is_cuda and not (p_N1 < max(MIN_EXACT_PROBABILITY, torch.finfo(p_NV.dtype).tiny)).any():
        return -p_N1.log().squeeze(1)
    log_sum_N1 = logits_NV.amax(-1, keepdim=True).float() - p_NV.amax(-1, keepdim=True).float().log()
    return (log_sum_N1 - logits_NV.gather(1, target_N1).float()).squeeze(1)
