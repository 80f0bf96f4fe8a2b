"""Sampled softmax: train an output layer on a sample of the vocabulary, where the full softmax takes most of the time.

The target t is put among the tokens C of a random sample, as if it had been drawn like them. With scores s = W h + b
and the inclusion probability pi_v of token v,

    loss = -log (exp(s_t) / pi_t) / sum_{v in C or v = t} exp(s_v) / pi_v

(Jean et al. 2015, arXiv:1412.2007, with the correction by log pi of Bengio and Senecal 2008). The loss is minimal where
exp(s) is proportional to the probabilities, for any sample size (Ma and Collins 2018, arXiv:1809.01812), and a sample
of the whole vocabulary gives the exact loss. The negative log-likelihood is estimated along with it; in the estimate t
is not weighted, as it is always present:

    nll = log (exp(s_t) + sum_{v in C, v != t} exp(s_v) / pi_v) - s_t

The sum is unbiased, its logarithm slightly low. Perplexity is never computed from it; `losses.exact_nll` is exact.

All rows of a batch share one sample, so that one small matrix product serves them. Tokens are drawn independently of
each other (Poisson sampling): none occurs twice, the size of a sample varies a little, and frequent tokens have pi = 1
and add no noise.

Beyond the package's legend: K size of a sample, N rows, one for each target token without padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnkit.nn import losses

SIZE_MULTIPLE = 64
"""Samples are padded to a multiple of this size; libraries tune themselves anew for each new size of a product."""

NO_TOKEN = -1
"""Id that pads a sample."""


@dataclass(frozen=True)
class Proposal:
    """Proposal distribution of the samples; made by `propose`.

    Attributes:
        inclusion_V: Probability of each token of being in a sample, on the CPU.
        log_inclusion_V: Its logarithm, on the model's device.
    """

    inclusion_V: Tensor
    log_inclusion_V: Tensor

    def draw(self) -> Tensor:
        """Draw a sample with the CPU's global generator; return its ids (K), ascending, padded with `NO_TOKEN`."""
        (ids_K,) = (torch.rand(len(self.inclusion_V)) < self.inclusion_V).nonzero(as_tuple=True)
        padding = -len(ids_K) % SIZE_MULTIPLE if len(ids_K) else SIZE_MULTIPLE
        ids_K = torch.nn.functional.pad(ids_K, (0, padding), value=NO_TOKEN)
        return ids_K.to(self.log_inclusion_V.device)


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
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    ids_K: Tensor,
    log_inclusion_V: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute the loss by its equation.

    Args:
        hidden_NH: Hidden states.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the target tokens.
        ids_K: Sample from `Proposal.draw`.
        log_inclusion_V: That of the proposal.

    Returns:
        The loss, summed over rows, and the estimated negative log-likelihood of each row (N), detached; both in nats.
    """
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
    ids_K: Tensor,
    log_inclusion_V: Tensor,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `reference_sampled_loss` without the scores of tokens outside the sample.

    The gradient of the weights is dense, as optimizers expect, but computed from the rows in use only.

    Args:
        hidden_NH: Hidden states.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the target tokens.
        ids_K: Sample from `Proposal.draw`.
        log_inclusion_V: That of the proposal.
        dtype: Type of matrix products; by default that of autocast, or of the hidden states.

    Returns:
        As `reference_sampled_loss`.
    """
    loss, nll_N = _SampledLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, target_N, ids_K, log_inclusion_V, dtype or losses.matmul_dtype(hidden_NH)
    )
    return loss, nll_N


class _SampledLoss(torch.autograd.Function):
    """Loss and gradient in one pass: forward computes the gradient too, and backward scales and scatters it."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        ids_K: Tensor,
        log_inclusion_V: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        width = hidden_NH.shape[1]
        with torch.autocast(hidden_NH.device.type, enabled=False):
            target_weight_NH = weight_VH[target_N]
            target_score_N = ((hidden_NH * target_weight_NH).sum(-1) + bias_V[target_N]).float()
            weighted_N = target_score_N - log_inclusion_V[target_N]
            hidden = losses.append_bias_column(hidden_NH, None, dtype)
            sampled = losses.append_bias_column(weight_VH[ids_K], bias_V[ids_K], dtype)
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
        return grad_hidden_NH * grad_loss, grad_weight_VH, grad_bias_V, None, None, None, None


def _mask_targets(scores_NK: Tensor, target_N: Tensor, ids_K: Tensor, size: int) -> None:
    """Set the score of a row's target to minus infinity if the sample holds it, as the target is added separately."""
    column_V = ids_K.new_full((size + 1,), -1)  # the last element belongs to NO_TOKEN
    column_V[ids_K] = torch.arange(len(ids_K), device=ids_K.device)
    column_N = column_V[target_N]
    index = torch.arange(len(target_N), device=target_N.device), column_N.clamp(min=0)
    scores_NK[index] = torch.where(column_N >= 0, -torch.inf, scores_NK[index])
