"""Force-decoding: what a stepper says of outputs that are given, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Stepper
from rnnkit.text import special_tokens

S = TypeVar("S")


@torch.inference_mode()
def force(stepper: Stepper[S], outputs: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor | None]:
    """Score outputs of a batch.

    Args:
        stepper: The batch.
        outputs: For each sentence as many outputs as for the others, ids without end symbols.

    Returns:
        Log-probability of each token and the end symbol (B, K, T) in nats and float64, 0 behind the end, and the
        attention at each (B, K, T, S), 0 where the sentence's longest output has ended, or None without attention.
    """
    target_BKT = pad_outputs(outputs)
    sentences, rows, longest = target_BKT.shape
    length_B = (target_BKT != special_tokens.PAD).sum(-1).amax(-1)
    row_K = torch.arange(rows)
    alive = torch.arange(sentences)
    state, read_BK = stepper.start(), torch.full((sentences, 1), special_tokens.BOS)
    log_p_BKT = torch.zeros(sentences, rows, longest, dtype=torch.float64)
    look_BKTS: Tensor | None = None
    for step in range(longest):
        log_p_BKV, state, weights_BKS = stepper.step(read_BK, state)
        read_BK = target_BKT[alive, :, step]
        chosen_BK = log_p_BKV.expand(-1, rows, -1).gather(-1, read_BK.unsqueeze(-1).to(log_p_BKV.device)).squeeze(-1)
        log_p_BKT[alive, :, step] = torch.where(read_BK == special_tokens.PAD, 0.0, chosen_BK.cpu().double())
        if weights_BKS is not None:
            if look_BKTS is None:
                look_BKTS = weights_BKS.new_zeros(sentences, rows, longest, weights_BKS.shape[-1], device="cpu")
            look_BKTS[alive, :, step] = weights_BKS.expand(-1, rows, -1).cpu()
        # One row a sentence at first, from then on one an output; a sentence whose outputs have all ended is left out.
        keep = (length_B[alive] > step + 1).nonzero().squeeze(1)
        if len(keep) and (step == 0 or len(keep) < len(alive)):
            row_BK = (torch.zeros_like(row_K) if step == 0 else row_K).expand(len(keep), -1)
            state, alive, read_BK = stepper.select(state, keep, row_BK), alive[keep], read_BK[keep]
    return log_p_BKT, look_BKTS


def pad_outputs(outputs: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Outputs with their end symbols, side by side (B, K, T), padded on the right."""
    longest = 1 + max(len(one) for many in outputs for one in many)
    return torch.tensor(
        [
            [[*one, special_tokens.EOS, *[special_tokens.PAD] * (longest - 1 - len(one))] for one in many]
            for many in outputs
        ]
    )
