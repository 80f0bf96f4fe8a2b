"""Training an output layer on a sample of the vocabulary, for vocabularies whose softmax takes most of the time.

The right token t stands among the tokens of a sample, as if it had been drawn like them, and the model is asked which
of them was there. With s = W h + b and pi_v the probability that v is in a sample, that is, for the tokens C of the
sample and t together,

    loss = -log (exp(s_t) / pi_t) / sum_{v in C} exp(s_v) / pi_v

(Jean et al. 2015, arXiv:1412.2007, with the correction by log pi that Bengio and Senecal 2008 introduced). Its least
value is where exp(s) is in proportion to the probabilities, however small the sample (Ma and Collins 2018,
arXiv:1809.01812), and a sample of everything is the exact loss. Beside it goes an estimate of the negative
log-likelihood, in which t is not weighted, since it is always there:

    nll = log (exp(s_t) + sum_{v in C, v != t} exp(s_v) / pi_v) - s_t

The sum in it is right on average, its logarithm a little low. Perplexity is never taken from here:
`losses.exact_nll` has it.

All rows of a batch share one sample, so that one small matrix product serves them. Each token is in it or not on its
own account, so none is there twice and the size varies a little; frequent tokens have a pi of 1 and add no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnkit.nn import losses

SIZE_MULTIPLE = 64
"""Samples are filled up to a multiple of this: libraries make themselves ready for each new size of a product."""

NO_TOKEN = -1
"""Fills up a sample."""


@dataclass(frozen=True)
class Proposal:
    """Which tokens are drawn how often. Made by `propose`.

    Attributes:
        inclusion_V: Each token's probability of being in a sample, on the CPU.
        log_inclusion_V: Its logarithm, where the model is.
    """

    inclusion_V: Tensor
    log_inclusion_V: Tensor

    def draw(self) -> Tensor:
        """Ids (K) of a sample, rising, then `NOTHING` as often as needed; the CPU's global generator decides."""
        (ids_K,) = (torch.rand(len(self.inclusion_V)) < self.inclusion_V).nonzero(as_tuple=True)
        missing = -len(ids_K) % SIZE_MULTIPLE if len(ids_K) else SIZE_MULTIPLE
        ids_K = torch.nn.functional.pad(ids_K, (0, missing), value=NO_TOKEN)
        return ids_K.to(self.log_inclusion_V.device)


def unigram_weights(counts_V: Tensor, power: float = 0.75) -> Tensor:
    """How much each token is to be drawn, by its occurrences to that power; none is left out for want of any."""
    return counts_V.double().clamp(min=1) ** power


def log_uniform_weights(size: int) -> Tensor:
    """Zipf's law for ids that were numbered by falling frequency: log((v + 2) / (v + 1)), where no counts are known."""
    ids_V = torch.arange(size, dtype=torch.float64)
    return torch.log((ids_V + 2) / (ids_V + 1))


def propose(weights_V: Tensor, count: int, device: torch.device | None = None) -> Proposal:
    """Let samples hold each token with a probability in proportion to its weight, but at most 1.

    Args:
        weights_V: Above zero.
        count: Tokens in a sample on average; every sample holds all, if there are no more than that.
        device: Where the model is; the CPU unless given.
    """
    weights_V = weights_V.double()
    inclusion_V = torch.ones_like(weights_V) if count >= len(weights_V) else weights_V * (count / weights_V.sum())
    while (inclusion_V > 1).any():  # what a token has above 1 goes to the others, which may bring them to 1 in turn
        certain_V = inclusion_V >= 1
        share = (count - certain_V.sum()) / weights_V[~certain_V].sum()
        inclusion_V = torch.where(certain_V, 1.0, weights_V * share)
    return Proposal(inclusion_V, inclusion_V.log().float().to(device))


def reference_sampled_loss(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    ids_K: Tensor,
    log_inclusion_V: Tensor,
) -> tuple[Tensor, Tensor]:
    """The loss as its equation.

    Args:
        hidden_NH: One row a target token, padding left out.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the right tokens.
        ids_K: A sample, from `Proposal.draw`.
        log_inclusion_V: The proposal's.

    Returns:
        The loss, summed over rows, and the estimate of the negative log-likelihood of each row (N), without a
        gradient; both in nats.
    """
    scores_NV = torch.nn.functional.linear(hidden_NH, weight_VH, bias_V).float()
    right_N1 = scores_NV.gather(1, target_N.unsqueeze(1))
    others_NK = scores_NV[:, ids_K] - log_inclusion_V[ids_K]
    others_NK = others_NK.masked_fill((ids_K == target_N.unsqueeze(1)) | (ids_K == NO_TOKEN), -torch.inf)
    drawn_N1 = right_N1 - log_inclusion_V[target_N].unsqueeze(1)
    loss, nll = (
        torch.logsumexp(torch.cat([one, others_NK], 1), dim=1) - one.squeeze(1) for one in (drawn_N1, right_N1)
    )
    return loss.sum(), nll.detach()


def sampled_loss(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    target_N: Tensor,
    ids_K: Tensor,
    log_inclusion_V: Tensor,
    kind: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """The same as `reference_sampled_loss`, without the scores of tokens that are not needed.

    The gradient of the weights is dense, for optimisers that know no other, but made of the rows that were used.

    Args:
        hidden_NH: As for the reference, as all that is not named here.
        weight_VH: Output matrix.
        bias_V: Output bias.
        target_N: Ids of the right tokens.
        ids_K: A sample, from `Proposal.draw`.
        log_inclusion_V: The proposal's.
        kind: The type of the matrix products; autocast's, or the hidden states' own, unless given.
    """
    kind = kind or losses.matmul_dtype(hidden_NH)
    loss, nll_N = _SampledLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, bias_V, target_N, ids_K, log_inclusion_V, kind
    )
    return loss, nll_N


class _SampledLoss(torch.autograd.Function):
    """Loss and gradient together; backward only scales and spreads what forward found."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        target_N: Tensor,
        ids_K: Tensor,
        log_inclusion_V: Tensor,
        kind: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        width = hidden_NH.shape[1]
        with torch.autocast(hidden_NH.device.type, enabled=False):
            right_NH = weight_VH[target_N]
            right_N = ((hidden_NH * right_NH).sum(-1) + bias_V[target_N]).float()
            drawn_N = right_N - log_inclusion_V[target_N]
            hidden = losses.append_bias_column(hidden_NH, None, kind)
            others = losses.append_bias_column(weight_VH[ids_K], bias_V[ids_K], kind)
            log_pi_K = log_inclusion_V[ids_K].masked_fill(ids_K == NO_TOKEN, torch.inf)
            scores_NK = (hidden @ others.T) - log_pi_K
            _mask_targets(scores_NK, target_N, ids_K, len(weight_VH))
            log_others_N = torch.logsumexp(scores_NK, dim=-1)
            log_sum_N = torch.logaddexp(log_others_N, drawn_N)
            grad_right_N1 = torch.expm1(drawn_N - log_sum_N).unsqueeze(1).to(hidden_NH.dtype)
            p_NK = scores_NK.sub_(log_sum_N.unsqueeze(1)).exp_().to(kind)
            grad_hidden_NH = (p_NK @ others)[:, :width].to(hidden_NH.dtype)
            grad_others = (p_NK.T @ hidden).to(weight_VH.dtype)
        ctx.shape = weight_VH.shape
        ctx.save_for_backward(
            grad_hidden_NH.addcmul_(grad_right_N1, right_NH),
            torch.cat([grad_others[:, :width], grad_right_N1 * hidden_NH]),
            torch.cat([grad_others[:, width], grad_right_N1.squeeze(1)]).to(bias_V.dtype),
            torch.cat([ids_K.clamp(min=0), target_N]),
        )
        nll_N = torch.logaddexp(log_others_N, right_N) - right_N
        ctx.mark_non_differentiable(nll_N)
        return (log_sum_N - drawn_N).sum(), nll_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_NH, grad_rows, grad_biases, ids = ctx.saved_tensors
        grad_weight_VH = grad_rows.new_zeros(ctx.shape).index_add_(0, ids, grad_rows * grad_loss)
        grad_bias_V = grad_biases.new_zeros(ctx.shape[0]).index_add_(0, ids, grad_biases * grad_loss)
        return grad_hidden_NH * grad_loss, grad_weight_VH, grad_bias_V, None, None, None, None


def _mask_targets(scores_NK: Tensor, target_N: Tensor, ids_K: Tensor, size: int) -> None:
    """Put minus infinity where the sample holds a row's own target, which stands apart already."""
    place_V = ids_K.new_full((size + 1,), -1)  # the last is for NOTHING
    place_V[ids_K] = torch.arange(len(ids_K), device=ids_K.device)
    place_N = place_V[target_N]
    at = torch.arange(len(target_N), device=target_N.device), place_N.clamp(min=0)
    scores_NK[at] = torch.where(place_N >= 0, -torch.inf, scores_NK[at])
