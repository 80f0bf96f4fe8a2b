"""Greedy search: the most probable token at every step.

One hypothesis per sentence, one call of the stepper per output position. Finished sentences stay in the batch until the
last one ends. The result equals beam search with a beam of one, without its bookkeeping; it ignores the coverage
penalty and does not return attention.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.constraints.token_constraints import (
    NO_CONSTRAINTS,
    BatchConstraints,
    ConstraintMask,
    check_not_nan,
)
from rnnkit.decoding.stepper import (
    PartialHypotheses,
    RankingStepper,
    SearchHypothesis,
    SearchOptions,
    Stepper,
    normalized_score,
)
from rnnkit.text import special_tokens

S = TypeVar("S")


@torch.inference_mode()
def greedy_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, constraints: BatchConstraints = NO_CONSTRAINTS
) -> list[list[SearchHypothesis]]:
    """Decode a batch by greedy search.

    Args:
        stepper: The model, over an encoded batch.
        limit_B: Maximum output length of each sentence, EOS included.
        options: Search options; those of the beam and the coverage penalty are ignored.
        constraints: Constraints of each sentence.

    Returns:
        One hypothesis for each sentence.

    Raises:
        FormatError: The model computes NaN.
    """
    sentences, mask = len(limit_B), ConstraintMask(options, constraints)
    state, sentence_B = stepper.start(), torch.arange(sentences)
    ids_BT = torch.full((sentences, 1), special_tokens.BOS)
    log_p_B = torch.zeros(sentences, dtype=torch.float64)
    done_B = torch.zeros(sentences, dtype=torch.bool)
    while not done_B.all():
        if isinstance(stepper, RankingStepper) and mask.is_static(limit_B, ids_BT.shape[1]):
            ranked = stepper.rank(ids_BT[:, -1:], state, 1, mask.forbidden, ~done_B.unsqueeze(1))
            best_B11, token_B11, state, _ = ranked
            best_B, token_B = best_B11.flatten().double(), token_B11.flatten()
        else:
            log_p_B1V, state, _ = stepper.step(ids_BT[:, -1:], state)
            partial = PartialHypotheses(sentence_B, limit_B, ids_BT.unsqueeze(1))
            best, token = mask.apply(log_p_B1V, partial).squeeze(1).max(dim=-1)
            best_B, token_B = best.cpu().double(), token.cpu()
        check_not_nan(best_B)
        log_p_B += torch.where(done_B, 0.0, best_B)
        token_B = torch.where(done_B, special_tokens.EOS, token_B)
        ids_BT = torch.cat([ids_BT, token_B.unsqueeze(1)], dim=1)
        done_B = done_B | (token_B == special_tokens.EOS)
    pairs = zip(ids_BT[:, 1:].tolist(), log_p_B.tolist(), strict=True)
    return [_make_hypothesis(ids, log_p, options) for ids, log_p in pairs]


def _make_hypothesis(padded: list[int], log_p: float, options: SearchOptions) -> list[SearchHypothesis]:
    """Cut the ids at EOS and score them."""
    ids = tuple(padded[: padded.index(special_tokens.EOS)])
    return [SearchHypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha))]
