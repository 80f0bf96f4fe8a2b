"""Greedy search: the likeliest token at every step. Equal to beam search with a beam of one, and simpler."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, forbidden, mask_last_step, score
from rnnkit.text import special

S = TypeVar("S")


@torch.inference_mode()
def greedy_search(stepper: Stepper[S], limit_B: Tensor, options: SearchOptions) -> list[list[Hypothesis]]:
    """Decode a batch.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: Only `alpha` (for the score) and `allow_unknown` matter.

    Returns:
        One hypothesis for each sentence.
    """
    sentences = len(limit_B)
    state = stepper.start()
    token_B = torch.full((sentences,), special.BOS)
    log_p_B = torch.zeros(sentences, dtype=torch.float64)
    done_B = torch.zeros(sentences, dtype=torch.bool)
    chosen: list[Tensor] = []
    while not done_B.all():
        log_p_B1V, state, _ = stepper.step(token_B.unsqueeze(1), state)
        log_p_B1V = log_p_B1V.cpu()
        log_p_B1V[..., forbidden(options)] = -torch.inf
        best_B, token_B = mask_last_step(log_p_B1V, limit_B, len(chosen) + 1).squeeze(1).max(dim=-1)
        log_p_B += torch.where(done_B, 0.0, best_B.double())
        token_B = torch.where(done_B, special.EOS, token_B)
        chosen.append(token_B)
        done_B = done_B | (token_B == special.EOS)
    return [_hypothesis(ids, log_p, options) for ids, log_p in zip(torch.stack(chosen, 1), log_p_B, strict=True)]


def _hypothesis(id_T: Tensor, log_p: Tensor, options: SearchOptions) -> list[Hypothesis]:
    ids = tuple(id_T.tolist())
    ids = ids[: ids.index(special.EOS)]
    return [Hypothesis(ids, log_p.item(), score(log_p.item(), len(ids) + 1, options.alpha))]
