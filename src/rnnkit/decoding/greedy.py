"""Greedy search: the likeliest token at every step. Equal to beam search with a beam of one, and simpler."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.constraints.token_constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask, check_finite
from rnnkit.decoding.stepper import (
    Hypothesis,
    PartialHypotheses,
    RankingStepper,
    SearchOptions,
    Stepper,
    normalized_score,
)
from rnnkit.text import special_tokens

S = TypeVar("S")


@torch.inference_mode()
def greedy_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, terms: BatchConstraints = NO_CONSTRAINTS
) -> list[list[Hypothesis]]:
    """Decode a batch.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: Those of the beam do not matter, nor does coverage.
        terms: What the sentences ask for.

    Returns:
        One hypothesis for each sentence.
    """
    sentences, choice = len(limit_B), ConstraintMask(options, terms)
    state, sentence_B = stepper.start(), torch.arange(sentences)
    ids_BT = torch.full((sentences, 1), special_tokens.BOS)
    log_p_B = torch.zeros(sentences, dtype=torch.float64)
    done_B = torch.zeros(sentences, dtype=torch.bool)
    while not done_B.all():
        if isinstance(stepper, RankingStepper) and choice.is_plain(limit_B, ids_BT.shape[1]):
            ranked = stepper.rank(ids_BT[:, -1:], state, 1, choice.never, ~done_B.unsqueeze(1))
            best_B11, token_B11, state, _ = ranked
            best_B, token_B = best_B11.flatten().double(), token_B11.flatten()
        else:
            log_p_B1V, state, _ = stepper.step(ids_BT[:, -1:], state)
            said = PartialHypotheses(sentence_B, limit_B, ids_BT.unsqueeze(1))
            best, token = choice.restrict(log_p_B1V, said).squeeze(1).max(dim=-1)
            best_B, token_B = best.cpu().double(), token.cpu()
        check_finite(best_B)
        log_p_B += torch.where(done_B, 0.0, best_B)
        token_B = torch.where(done_B, special_tokens.EOS, token_B)
        ids_BT = torch.cat([ids_BT, token_B.unsqueeze(1)], dim=1)
        done_B = done_B | (token_B == special_tokens.EOS)
    pairs = zip(ids_BT[:, 1:].tolist(), log_p_B.tolist(), strict=True)
    return [_make_hypothesis(ids, log_p, options) for ids, log_p in pairs]


def _make_hypothesis(row: list[int], log_p: float, options: SearchOptions) -> list[Hypothesis]:
    ids = tuple(row[: row.index(special_tokens.EOS)])
    return [Hypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha))]
