"""Output layer and cross-entropy loss: fused for training, exact for evaluation, and sampled for large vocabularies.

    logits_NV = hidden_NH W^T + b
    loss      = sum over rows of (1 - e) (-log p_target) + e mean_v (-log p_v),   p = softmax(logits)

e is the label smoothing (Szegedy et al. 2016, arXiv:1512.00567). `reference_loss` is the equation. `fused_loss` never
holds all of logits_NV: it goes over the rows in chunks that stay in the cache, and computes the gradient while a chunk
is at hand, since d loss / d logits = p - (1 - e) onehot - e / V depends on nothing computed later.

Three matrix products per chunk take nine tenths of the time, and everything else is kept out of their way. The bias is
an extra column of the weights, against a hidden element that is always 1: no product reads it separately, and its
gradient comes with that of the weights. The softmax is the only other pass over a chunk.

Sampled softmax trains the output layer on a sample C of the vocabulary. The target t is put among the tokens of the
sample, as if it had been drawn like them. With scores s = W h + b and the inclusion probability pi_v of token v,

    loss = -log (exp(s_t) / pi_t) / sum_{v in C or v = t} exp(s_v) / pi_v

(Jean et al. 2015, arXiv:1412.2007, with the correction by log pi of Bengio and Senecal 2008). The loss is minimal where
exp(s) is proportional to the probabilities, for any sample size (Ma and Collins 2018, arXiv:1809.01812), and a sample
of the whole vocabulary gives the exact loss. The negative log-likelihood is estimated along with it; in the estimate t
is not weighted, as it is always present. The sum is unbiased, its logarithm slightly low; perplexity is never computed
from it:

    nll = log (exp(s_t) + sum_{v in C, v != t} exp(s_v) / pi_v) - s_t

All rows of a batch share one sample, so that one small matrix product serves them. Tokens are drawn independently of
each other (Poisson sampling): none occurs twice, the size of a sample varies a little, and frequent tokens have pi = 1
and add no noise.

Beyond the package's legend: N rows, one for each target token without padding; K size of a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

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

SIZE_MULTIPLE = 64
"""Samples are padded to a multiple of this size; libraries tune themselves anew for each new size of a product."""

NO_TOKEN = -1
"""Id that pads a sample."""


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
    """Compute `reference_loss` faster and in less memory; arguments and result are the same.

    `dtype` is the type of matrix products and logits, by default that of autocast, or of the hidden states.
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
    settings = _LossSettings(smoothing, dtype or matmul_dtype(hidden_NH), torch.is_grad_enabled())
    loss, nll_N = _FusedLoss.apply(hidden_NH, weight_VH, bias_V, target_N, settings)  # type: ignore[no-untyped-call]
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


class _LossSettings(NamedTuple):
    """Label smoothing, type of matrix products and logits, and whether to compute the gradient."""

    smoothing: float
    dtype: torch.dtype
    needs_grad: bool


class _FusedLoss(torch.autograd.Function):
    """Loss and gradient in one pass: forward computes the gradient too, and backward only scales it."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, settings: _LossSettings
    ) -> tuple[Tensor, Tensor]:
        (size, width), device = weight_VH.shape, hidden_NH.device
        smoothing, dtype, needs_grad = settings
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
        return *(grad * grad_loss for grad in ctx.saved_tensors), None, None


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


class VocabularySample(NamedTuple):
    """A sample of the vocabulary.

    Attributes:
        ids_K: Ids, ascending, padded with `NO_TOKEN`.
        log_inclusion_V: Logarithm of each token's probability of being in a sample.
    """

    ids_K: Tensor
    log_inclusion_V: Tensor


@dataclass(frozen=True)
class Proposal:
    """Proposal distribution of the samples; made by `propose`.

    Attributes:
        inclusion_V: Probability of each token of being in a sample, on the CPU.
        log_inclusion_V: Its logarithm, on the model's device.
    """

    inclusion_V: Tensor
    log_inclusion_V: Tensor

    def draw(self) -> VocabularySample:
        """Draw a sample with the CPU's global generator."""
        (ids_K,) = (torch.rand(len(self.inclusion_V)) < self.inclusion_V).nonzero(as_tuple=True)
        padding = -len(ids_K) % SIZE_MULTIPLE if len(ids_K) else SIZE_MULTIPLE
        ids_K = torch.nn.functional.pad(ids_K, (0, padding), value=NO_TOKEN)
        return VocabularySample(ids_K.to(self.log_inclusion_V.device), self.log_inclusion_V)


def unigram_weights(counts_V: Tensor, power: float = 0.75) -> Tensor:
    """Return sampling weights: token counts, at least 1, to a power."""
    return counts_V.double().clamp(min=1) ** power


def propose(weights_V: Tensor, count: int, device: torch.device | None = None) -> Proposal:
    """Return a proposal distribution with inclusion probabilities proportional to weights, capped at 1.

    Args:
        weights_V: Weights above zero.
        count: Expected number of tokens in a sample; if the vocabulary has no more, every sample holds all.
        device: Device of the model; the CPU by default.
    """
    weights_V = weights_V.double()
    inclusion_V = torch.ones_like(weights_V) if count >= len(weights_V) else weights_V * (count / weights_V.sum())
    while (inclusion_V > 1).any():  # the excess above 1 goes to the others, which may raise them above 1 in turn
        certain_V = inclusion_V >= 1
        scale = (count - certain_V.sum()) / weights_V[~certain_V].sum()
        inclusion_V = torch.where(certain_V, 1.0, weights_V * scale)
    return Proposal(inclusion_V, inclusion_V.log().float().to(device))


def reference_sampled_loss(
    hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, sample: VocabularySample
) -> tuple[Tensor, Tensor]:
    """Compute the loss of sampled softmax by its equation.

    Arguments as for `reference_loss`; all rows share the sample.

    Returns:
        The loss, summed over rows, and the estimated negative log-likelihood of each row (N), detached; both in nats.
    """
    ids_K, log_inclusion_V = sample
    scores_NV = torch.nn.functional.linear(hidden_NH, weight_VH, bias_V).float()
    target_N1 = scores_NV.gather(1, target_N.unsqueeze(1))
    sampled_NK = scores_NV[:, ids_K] - log_inclusion_V[ids_K]
    sampled_NK = sampled_NK.masked_fill((ids_K == target_N.unsqueeze(1)) | (ids_K == NO_TOKEN), -torch.inf)
    weighted_N1 = target_N1 - log_inclusion_V[target_N].unsqueeze(1)
    loss, nll = (
        torch.logsumexp(torch.cat([one, sampled_NK], 1), dim=1) - one.squeeze(1) for one in (weighted_N1, target_N1)
    )
    return loss.sum(), nll.detach()


def sampled_loss(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    sample: VocabularySample,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `reference_sampled_loss` without the scores of tokens outside the sample.

    The gradient of the weights is dense, as optimizers expect, but computed from the rows in use only. Arguments and
    result are the same; `dtype` is the type of matrix products, by default that of autocast, or of the hidden states.
    """
    loss, nll_N = _SampledLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, (target_N, sample), dtype or matmul_dtype(hidden_NH)
    )
    return loss, nll_N


class _SampledLoss(torch.autograd.Function):
    """Loss and gradient in one pass: forward computes the gradient too, and backward scales and scatters it."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor,
        targets: tuple[Tensor, VocabularySample], dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        target_N, (ids_K, log_inclusion_V) = targets
        width = hidden_NH.shape[1]
        with torch.autocast(hidden_NH.device.type, enabled=False):
            target_weight_NH = weight_VH[target_N]
            target_score_N = ((hidden_NH * target_weight_NH).sum(-1) + bias_V[target_N]).float()
            weighted_N = target_score_N - log_inclusion_V[target_N]
            hidden = append_bias_column(hidden_NH, None, dtype)
            sampled = append_bias_column(weight_VH[ids_K], bias_V[ids_K], dtype)
            log_pi_K = log_inclusion_V[ids_K].masked_fill(ids_K == NO_TOKEN, torch.inf)
            scores_NK = (hidden @ sampled.T) - log_pi_K
            _mask_targets(scores_NK, target_N, ids_K, len(weight_VH))
            log_sampled_N = torch.logsumexp(scores_NK, dim=-1)
            log_sum_N = torch.logaddexp(log_sampled_N, weighted_N)
            grad_target_N1 = torch.expm1(weighted_N - log_sum_N).unsqueeze(1).to(hidden_NH.dtype)
            p_NK = scores_NK.sub_(log_sum_N.unsqueeze(1)).exp_().to(dtype)
            grad_hidden_NH = (p_NK @ sampled)[:, :width].to(hidden_NH.dtype)
            grad_sampled = (p_NK.T @ hidden).to(weight_VH.dtype)
        ctx.shape = weight_VH.shape
        ctx.save_for_backward(
            grad_hidden_NH.addcmul_(grad_target_N1, target_weight_NH),
            torch.cat([grad_sampled[:, :width], grad_target_N1 * hidden_NH]),
            torch.cat([grad_sampled[:, width], grad_target_N1.squeeze(1)]).to(bias_V.dtype),
            torch.cat([ids_K.clamp(min=0), target_N]),
        )
        nll_N = torch.logaddexp(log_sampled_N, target_score_N) - target_score_N
        ctx.mark_non_differentiable(nll_N)
        return (log_sum_N - weighted_N).sum(), nll_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_NH, grad_rows, grad_biases, ids = ctx.saved_tensors
        grad_weight_VH = grad_rows.new_zeros(ctx.shape).index_add_(0, ids, grad_rows * grad_loss)
        grad_bias_V = grad_biases.new_zeros(ctx.shape[0]).index_add_(0, ids, grad_biases * grad_loss)
        return grad_hidden_NH * grad_loss, grad_weight_VH, grad_bias_V, None, None


def _mask_targets(scores_NK: Tensor, target_N: Tensor, ids_K: Tensor, size: int) -> None:
    """Set the score of a row's target to minus infinity if the sample holds it, as the target is added separately."""
    column_V = ids_K.new_full((size + 1,), -1)  # the last element belongs to NO_TOKEN
    column_V[ids_K] = torch.arange(len(ids_K), device=ids_K.device)
    column_N = column_V[target_N]
    index = torch.arange(len(target_N), device=target_N.device), column_N.clamp(min=0)
    scores_NK[index] = torch.where(column_N >= 0, -torch.inf, scores_NK[index])
