"""Ancestral sampling with temperature, top-k and top-p (nucleus) filtering, applied in this order.

Samples are reproducible: each output draws one random number per step from its own generator, seeded by the seed, the
line number and the index of the sample. So the samples of a line do not depend on the other lines of its batch.

Shapes: B sentences, K samples, T tokens, V vocabulary entries, N tokens that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rnnkit.decoding.constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask, check_not_nan
from rnnkit.decoding.stepper import PartialHypotheses, SearchHypothesis, SearchOptions, Stepper, normalized_score
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass(frozen=True)
class SamplingOptions:
    """How the distribution is modified before a token is drawn.

    Attributes:
        temperature: Softmax temperature, above 0; 1 leaves the distribution as it is.
        top_k: Sample from the k most probable tokens; 0 uses all.
        top_p: Sample from the smallest set of tokens whose probability reaches p; 1 uses all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def filter(self, log_p_BKV: Tensor) -> Tensor:
        """Apply temperature and filters; tokens that are never drawn get minus infinity."""
        log_p_BKV = apply_temperature(log_p_BKV, self.temperature)
        if self.top_k:
            log_p_BKV = filter_top_k(log_p_BKV, self.top_k)
        return filter_top_p(log_p_BKV, self.top_p)


def apply_temperature(logits_BKV: Tensor, temperature: float) -> Tensor:
    """Compute log-probabilities at another temperature (Ackley et al. 1985).

        p'(v) = p(v)^(1/t) / sum_u p(u)^(1/t)

    Towards zero the distribution concentrates on the most probable token, towards infinity it becomes uniform.

    Args:
        logits_BKV: Logits; minus infinity for tokens that are never drawn.
        temperature: Above zero, however small.

    Returns:
        Normalized log-probabilities (B, K, V).
    """
    # Shift the maximum to zero first, so that division by a tiny temperature leaves it finite.
    shifted_BKV = logits_BKV - logits_BKV.max(dim=-1, keepdim=True).values
    return torch.log_softmax(shifted_BKV / temperature, dim=-1)


def filter_top_k(logits_BKV: Tensor, count: int) -> Tensor:
    """Set all but the `count` greatest logits to minus infinity (Fan et al. 2018, arXiv:1805.04833)."""
    if count >= logits_BKV.shape[-1]:
        return logits_BKV
    logits_BKN, index_BKN = logits_BKV.topk(count, dim=-1)
    return torch.full_like(logits_BKV, -torch.inf).scatter_(-1, index_BKN, logits_BKN)


def filter_top_p(logits_BKV: Tensor, mass: float) -> Tensor:
    """Set logits outside the nucleus to minus infinity: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    The nucleus is the smallest set of most probable tokens whose probability reaches p.

    Args:
        logits_BKV: Logits.
        mass: Probability p, above 0; 1 keeps everything.
    """
    if mass >= 1:
        return logits_BKV
    sorted_BKV, index_BKV = logits_BKV.sort(dim=-1, descending=True, stable=True)
    p_BKV = torch.softmax(sorted_BKV, dim=-1)
    # A token is in the nucleus if the tokens before it have not reached the mass; the first one always is.
    outside_BKV = p_BKV.cumsum(dim=-1) - p_BKV >= mass
    outside_BKV[..., 0] = False
    return logits_BKV.masked_fill(torch.zeros_like(outside_BKV).scatter_(-1, index_BKV, outside_BKV), -torch.inf)


def random_numbers(seed: int, lines: Sequence[int], samples: int, steps: int) -> Tensor:
    """Draw uniform random numbers in [0, 1) for each line, sample and step (B, K, T), in float64.

    The numbers of a sample are the start of its own infinite sequence, whatever the number of steps.
    """
    numbers = [[np.random.default_rng([seed, line, index]).random(steps) for index in range(samples)] for line in lines]
    return torch.from_numpy(np.array(numbers))


@torch.inference_mode()
def sample(
    stepper: Stepper[S],
    limit_B: Tensor,
    options: SearchOptions,
    sampling: SamplingOptions,
    number_BKT: Tensor,
    constraints: BatchConstraints = NO_CONSTRAINTS,
) -> list[list[SearchHypothesis]]:
    """Sample K outputs for each sentence of a batch.

    Args:
        stepper: The model, over an encoded batch.
        limit_B: Maximum output length of each sentence, EOS included.
        options: Length penalty for the scores, and constraints shared by all sentences.
        sampling: Temperature and filters.
        number_BKT: A random number for each output and step, from `random_numbers`.
        constraints: Constraints of each sentence.

    Returns:
        The K outputs of each sentence, best score first. Their log-probabilities are the model's, before temperature
        and filters.

    Raises:
        FormatError: The model computes NaN.
    """
    sentences, samples, _ = number_BKT.shape
    mask, state, sentence_B = ConstraintMask(options, constraints), stepper.start(), torch.arange(sentences)
    ids_BKT = torch.full((sentences, 1, 1), special_tokens.BOS)
    log_p_BK = torch.zeros(sentences, samples, dtype=torch.float64)
    done_BK = torch.zeros(sentences, samples, dtype=torch.bool)
    while not done_BK.all():
        step_BKV, state, _ = stepper.step(ids_BKT[:, :, -1], state)
        if ids_BKT.shape[2] == 1:  # The first step is shared by all samples of a sentence.
            state = stepper.select(state, sentence_B, torch.zeros(sentences, samples, dtype=torch.long))
            step_BKV, ids_BKT = step_BKV.repeat(1, samples, 1), ids_BKT.repeat(1, samples, 1)
        masked_BKV = mask.apply(step_BKV.cpu().double(), PartialHypotheses(sentence_B, limit_B, ids_BKT))
        check_not_nan(masked_BKV.amax(-1))
        token_BK = sample_tokens(sampling.filter(masked_BKV), number_BKT[..., ids_BKT.shape[2] - 1])
        token_BK = torch.where(done_BK, special_tokens.EOS, token_BK)
        token_BK1 = token_BK.unsqueeze(-1)
        log_p_BK += torch.where(done_BK, 0.0, masked_BKV.gather(-1, token_BK1).squeeze(-1))
        ids_BKT = torch.cat([ids_BKT, token_BK1], dim=-1)
        done_BK = done_BK | (token_BK == special_tokens.EOS)
    return [
        sorted((_make_hypothesis(*pair, options) for pair in zip(*outputs, strict=True)), key=lambda one: -one.score)
        for outputs in zip(ids_BKT[..., 1:].tolist(), log_p_BK.tolist(), strict=True)
    ]


def sample_tokens(logits_BKV: Tensor, number_BK: Tensor) -> Tensor:
    """Sample tokens by inverse transform: the first whose cumulative probability exceeds a number in [0, 1) (B, K)."""
    cumulative_BKV = torch.softmax(logits_BKV, dim=-1).cumsum(dim=-1)
    total_BK1 = cumulative_BKV[..., -1:].contiguous()
    # The sum is constant after the last possible token; rounding may let the number exceed it.
    last_BK1 = torch.searchsorted(cumulative_BKV, total_BK1)
    token_BK1 = torch.searchsorted(cumulative_BKV, number_BK.unsqueeze(-1) * total_BK1, right=True)
    return torch.minimum(token_BK1, last_BK1).squeeze(-1)


def _make_hypothesis(padded: list[int], log_p: float, options: SearchOptions) -> SearchHypothesis:
    """Cut the ids at EOS and score them."""
    ids = tuple(padded[: padded.index(special_tokens.EOS)])
    return SearchHypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha))
