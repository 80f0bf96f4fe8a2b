"""Sampling: each token drawn by its probability, which temperature, top k and top p reshape, in this order.

Every output has random numbers of its own, one a step, that depend on nothing but the seed, the number of its line and
its own number: what a line becomes does not depend on what is decoded beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rnnkit.decoding.constraints.token_constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask, check_finite
from rnnkit.decoding.stepper import Hypothesis, PartialHypotheses, SearchOptions, Stepper, normalized_score
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass(frozen=True)
class SamplingOptions:
    """How the probabilities are reshaped before a token is drawn.

    Attributes:
        temperature: Above 0; 1 leaves them.
        top_k: Tokens drawn from; 0 for all.
        top_p: Probability of those drawn from, above 0; 1 for all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def reshape(self, score_BKV: Tensor) -> Tensor:
        """The scores that a token is drawn by; minus infinity where it is never drawn."""
        score_BKV = apply_temperature(score_BKV, self.temperature)
        if self.top_k:
            score_BKV = filter_top_k(score_BKV, self.top_k)
        return filter_top_p(score_BKV, self.top_p)


def random_numbers(seed: int, lines: Sequence[int], samples: int, steps: int) -> Tensor:
    """Uniform numbers from 0 to below 1 for each line, sample and step (B, K, T), in float64.

    The numbers of a sample are the beginning of one endless row, whatever the steps.
    """
    rows = [[np.random.default_rng([seed, line, place]).random(steps) for place in range(samples)] for line in lines]
    return torch.from_numpy(np.array(rows))


@torch.inference_mode()
def sample(
    stepper: Stepper[S],
    limit_B: Tensor,
    options: SearchOptions,
    sampling: SamplingOptions,
    number_BKT: Tensor,
    terms: BatchConstraints = NO_CONSTRAINTS,
) -> list[list[Hypothesis]]:
    """Draw K outputs for each sentence of a batch.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: `alpha` (for the score) and the rules about what may be said.
        sampling: How probabilities are reshaped.
        number_BKT: A random number for each output and step, as `random_numbers` makes them.
        terms: What the sentences ask for.

    Returns:
        For each sentence its K outputs, best score first. Their log-probabilities are the model's, not reshaped.
    """
    sentences, samples, _ = number_BKT.shape
    choice, state, sentence_B = ConstraintMask(options, terms), stepper.start(), torch.arange(sentences)
    ids_BKT = torch.full((sentences, 1, 1), special_tokens.BOS)
    log_p_BK = torch.zeros(sentences, samples, dtype=torch.float64)
    done_BK = torch.zeros(sentences, samples, dtype=torch.bool)
    while not done_BK.all():
        step_BKV, state, _ = stepper.step(ids_BKT[:, :, -1], state)
        if ids_BKT.shape[2] == 1:  # One row a sentence so far, from here on one a sample.
            state = stepper.select(state, sentence_B, torch.zeros(sentences, samples, dtype=torch.long))
            step_BKV, ids_BKT = step_BKV.repeat(1, samples, 1), ids_BKT.repeat(1, samples, 1)
        allowed_BKV = choice.restrict(step_BKV.cpu().double(), PartialHypotheses(sentence_B, limit_B, ids_BKT))
        check_finite(allowed_BKV.amax(-1))
        token_BK = sample_tokens(sampling.reshape(allowed_BKV), number_BKT[..., ids_BKT.shape[2] - 1])
        token_BK = torch.where(done_BK, special_tokens.EOS, token_BK)
        chosen_BK1 = token_BK.unsqueeze(-1)
        log_p_BK += torch.where(done_BK, 0.0, allowed_BKV.gather(-1, chosen_BK1).squeeze(-1))
        ids_BKT = torch.cat([ids_BKT, chosen_BK1], dim=-1)
        done_BK = done_BK | (token_BK == special_tokens.EOS)
    return [
        sorted((_make_hypothesis(*pair, options) for pair in zip(*many, strict=True)), key=lambda one: -one.score)
        for many in zip(ids_BKT[..., 1:].tolist(), log_p_BK.tolist(), strict=True)
    ]


def sample_tokens(score_BKV: Tensor, number_BK: Tensor) -> Tensor:
    """The token at which the sum of the probabilities, in the order of the vocabulary, passes a number from 0 to 1."""
    reached_BKV = torch.softmax(score_BKV, dim=-1).cumsum(dim=-1)
    total_BK1 = reached_BKV[..., -1:].contiguous()
    # From the last token with a probability on, the sum stands still; rounding may bring the number there.
    last_BK1 = torch.searchsorted(reached_BKV, total_BK1)
    drawn_BK1 = torch.searchsorted(reached_BKV, number_BK.unsqueeze(-1) * total_BK1, right=True)
    return torch.minimum(drawn_BK1, last_BK1).squeeze(-1)


def _make_hypothesis(row: list[int], log_p: float, options: SearchOptions) -> Hypothesis:
    ids = tuple(row[: row.index(special_tokens.EOS)])
    return Hypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha))


def apply_temperature(score_BKV: Tensor, temperature: float) -> Tensor:
    """Scores at another temperature.

    Args:
        score_BKV: Log-probabilities, or anything that differs from them by a constant; minus infinity is never drawn.
        temperature: Above zero, however small.

    Returns:
        Log-probabilities that sum to one.
    """
    # The best score goes to zero first, so that the smallest temperature leaves it where it is.
    shifted_BKV = score_BKV - score_BKV.max(dim=-1, keepdim=True).values
    return torch.log_softmax(shifted_BKV / temperature, dim=-1)


def filter_top_k(score_BKV: Tensor, count: int) -> Tensor:
    """The scores with all but the greatest `count` at minus infinity."""
    if count >= score_BKV.shape[-1]:
        return score_BKV
    score_BKN, index_BKN = score_BKV.topk(count, dim=-1)
    return torch.full_like(score_BKV, -torch.inf).scatter_(-1, index_BKN, score_BKN)


def filter_top_p(score_BKV: Tensor, mass: float) -> Tensor:
    """The scores with all outside the nucleus at minus infinity.

    Args:
        score_BKV: Log-probabilities, or anything that differs from them by a constant.
        mass: Probability p to be reached, above 0; 1 keeps everything.
    """
    if mass >= 1:
        return score_BKV
    sorted_BKV, index_BKV = score_BKV.sort(dim=-1, descending=True, stable=True)
    p_BKV = torch.softmax(sorted_BKV, dim=-1)
    # A token is in the nucleus if those before it have not reached the mass; the first always is.
    outside_BKV = p_BKV.cumsum(dim=-1) - p_BKV >= mass
    outside_BKV[..., 0] = False
    return score_BKV.masked_fill(torch.zeros_like(outside_BKV).scatter_(-1, index_BKV, outside_BKV), -torch.inf)
