"""Force-decoding: what a stepper says of outputs that are given, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Stepper
from rnnkit.text import special

S = TypeVar("S")


@torch.inference_mode()
def force(stepper: Stepper[S], outputs: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor | None]:
    """Score outputs of a batch.

    Args:
        stepper: The batch.
        outputs: For each sentence as many outputs as for the others, ids without end symbols.

    Returns:
        Log-probability of each token and the end symbol (B, K, T) in nats and float64, 0 behind the end, and the
        attention at each (B, K, T, S), or None without attention.
    """
    target_BKT = pad_outputs(outputs)
    sentences, rows, _ = target_BKT.shape
    every_BK = torch.zeros(sentences, rows, dtype=torch.long)
    state, read_BK = stepper.start(), torch.full((sentences, 1), special.BOS)
    scores: list[Tensor] = []
    looks: list[Tensor] = []
    for target_BK in target_BKT.unbind(-1):
        log_p_BKV, state, weights_BKS = stepper.step(read_BK, state)
        if not scores:  # One row a sentence so far, from here on one an output.
            state = stepper.select(state, torch.arange(sentences), every_BK)
            log_p_BKV = log_p_BKV.expand(-1, rows, -1)
            weights_BKS = None if weights_BKS is None else weights_BKS.expand(-1, rows, -1)
        chosen_BK = log_p_BKV.gather(-1, target_BK.unsqueeze(-1).to(log_p_BKV.device)).squeeze(-1).cpu().double()
        scores.append(torch.where(target_BK == special.PAD, 0.0, chosen_BK))
        if weights_BKS is not None:
            looks.append(weights_BKS.cpu())
        read_BK = target_BK
    return torch.stack(scores, dim=-1), torch.stack(looks, dim=2) if looks else None


def pad_outputs(outputs: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Outputs with their end symbols, side by side (B, K, T), padded on the right."""
    longest = 1 + max(len(one) for many in outputs for one in many)
    return torch.tensor(
        [[[*one, special.EOS, *[special.PAD] * (longest - 1 - len(one))] for one in many] for many in outputs]
    )
