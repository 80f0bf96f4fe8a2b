"""The output layer and its loss in one, and the exact probabilities that a model is judged by.

    logits_NV = hidden_NH W^T + b
    loss      = sum over rows of (1 - e) (-log p_target) + e mean_v (-log p_v),   p = softmax(logits)

e is the label smoothing (Szegedy et al. 2016, arXiv:1512.00567). `reference_loss` says it plainly.
`fused_loss` never holds the whole of logits_NV: it goes over the rows in chunks that stay in the cache and takes
the gradient while each chunk is at hand, since d loss / d logits = p - (1 - e) onehot - e / V needs nothing later.

Nine tenths of its time are three matrix products a chunk, so all else is kept out of their way. The bias is one more
column of the weights, against a hidden size that is always 1: no product reads it apart, and its gradient comes with
the weights'. The softmax is the only other pass over a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_BYTES = 16 << 20
"""Logits held at once on a CPU, of 838 rows of 10,000 in bfloat16; more would be read from memory again."""

MIN_CHUNK_ROWS = 256
"""But so many rows at least: a product that reads all weights for a few rows takes twice as long."""

CUDA_CHUNK_BYTES = 256 << 20
"""The same on a GPU, which wants few and large calls."""

COLUMN_MULTIPLE = 8
"""The hidden size with the bias' column is filled up to a multiple of this, as matrix units want it."""

MIN_EXACT_PROBABILITY = 1e-30
"""The logarithm of a smaller probability is not taken from the probability, which may have lost digits.

Nor is that of one below 6e-5 in float16, where digits are lost from there on; what is below 3e-8 has no gradient in it.
"""


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
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    smoothing: float = 0.0,
    kind: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """The same as `reference_loss`, faster and in less memory.

    Args:
        hidden_NH: As for the reference, as all that is not named here.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the right tokens.
        smoothing: Label smoothing e.
        kind: The type of the matrix products and of the logits; autocast's, or the hidden states' own, unless given.
    """
    loss, nll_N = fused_loss_and_nll(hidden_NH, weight_VH, bias_V, target_N, smoothing, kind)
    return loss, nll_N.sum()


def fused_loss_and_nll(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    smoothing: float = 0.0,
    kind: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """`fused_loss` with the negative log-likelihood of each row (N), in nats and without a gradient, not their sum."""
    loss, nll_N = _FusedLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, target_N, smoothing, kind or matmul_dtype(hidden_NH), torch.is_grad_enabled()
    )
    return loss, nll_N


@torch.no_grad()
def exact_nll(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor) -> Tensor:
    """The negative log-likelihood of each row's target (N) in nats, in float32 under any autocast, chunk by chunk.

    A row's figure depends on that row alone, but for the last bits of a product: perplexity is the same for every
    batch. Arguments as for `reference_loss`.
    """
    nll_N = torch.empty(target_N.shape, dtype=torch.float32, device=hidden_NH.device)
    with torch.autocast(hidden_NH.device.type, enabled=False):
        weight_HV, bias_V = weight_VH.float().T, bias_V.float()
        for rows in _row_chunks(len(target_N), weight_VH.shape[0], nll_N):
            logits_NV = torch.addmm(bias_V, hidden_NH[rows].float(), weight_HV)
            right_N = logits_NV.gather(1, target_N[rows].unsqueeze(1)).squeeze(1)
            nll_N[rows] = torch.logsumexp(logits_NV, dim=-1) - right_N
    return nll_N


def log_probabilities(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor) -> Tensor:
    """Log-probability of each token of the vocabulary (N, V) in nats, in float32 under any autocast."""
    with torch.autocast(hidden_NH.device.type, enabled=False):
        logits_NV = torch.nn.functional.linear(hidden_NH.float(), weight_VH.float(), bias_V.float())
        return torch.log_softmax(logits_NV, dim=-1)


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
        learning: bool,
    ) -> tuple[Tensor, Tensor]:
        (size, width), device = weight_VH.shape, hidden_NH.device
        nll_N = torch.empty(target_N.shape, dtype=torch.float32, device=device)
        uniform = torch.zeros((), dtype=torch.float32, device=device)
        with torch.autocast(device.type, enabled=False):
            hidden, weight = append_bias_column(hidden_NH, None, kind), append_bias_column(weight_VH, bias_V, kind)
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
                    right = logits_NV.gather(1, target_N1).sum(dtype=torch.float32)
                    uniform += nll_N[rows].sum() + right - (hidden[rows].float() @ mean_H).sum()
                    p_NV -= smoothing / size
                if learning:
                    p_NV[row_N[: len(p_NV)], target_N[rows]] += smoothing - 1  # a scatter takes as long as the softmax
                    torch.mm(p_NV, weight, out=grad_hidden[rows])
                    part = p_NV.T @ hidden[rows]
                    grad_weight = part.to(weight_VH.dtype) if grad_weight is None else grad_weight.add_(part)
        if learning:
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
    """Autocast's type where it is on, the hidden states' own otherwise."""
    device = hidden_NH.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NH.dtype


def _row_chunks(count: int, size: int, like: Tensor) -> Iterator[slice]:
    """Slices of rows as equal as may be, whose logits take no more than the bytes allowed or are few rows."""
    allowed = CUDA_CHUNK_BYTES if like.is_cuda else CHUNK_BYTES
    most = max(MIN_CHUNK_ROWS, allowed // (size * like.element_size()))
    pieces = -(-count // most)
    for piece in range(pieces):
        yield slice(piece * count // pieces, (piece + 1) * count // pieces)


def append_bias_column(rows_NH: Tensor, column_N: Tensor | None, kind: torch.dtype) -> Tensor:
    """The rows in that type, with one more column, of ones unless given, and zeros up to an aligned size."""
    count, width = rows_NH.shape
    longer = rows_NH.new_zeros(count, -(-(width + 1) // COLUMN_MULTIPLE) * COLUMN_MULTIPLE, dtype=kind)
    longer[:, :width] = rows_NH
    longer[:, width] = 1 if column_N is None else column_N
    return longer


def _nll(logits_NV: Tensor, p_NV: Tensor, target_N1: Tensor) -> Tensor:
    """-log p of each row's target in float32: of p itself, or by way of the likeliest token, which never underflows.

    The second costs two passes more, and the first a look at what has been computed, for which a GPU would wait.
    """
    p_N1 = p_NV.gather(1, target_N1).float()
    if not p_NV.is_cuda and not (p_N1 < max(MIN_EXACT_PROBABILITY, torch.finfo(p_NV.dtype).tiny)).any():
        return -p_N1.log().squeeze(1)
    log_sum_N1 = logits_NV.amax(-1, keepdim=True).float() - p_NV.amax(-1, keepdim=True).float().log()
    return (log_sum_N1 - logits_NV.gather(1, target_N1).float()).squeeze(1)
