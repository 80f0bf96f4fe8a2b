"""Force-decoding: what a stepper says of outputs that are given, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences, plan_epoch
from rnnkit.decoding.batch_execution import split_on_oom
from rnnkit.decoding.ensemble import Direction, TokenSequence
from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, normalized_score
from rnnkit.decoding.translator import Translator
from rnnkit.errors import DataError
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import special_tokens

S = TypeVar("S")


@torch.inference_mode()
def score_targets(stepper: Stepper[S], outputs: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor | None]:
    """Score outputs of a batch.

    Args:
        stepper: The batch.
        outputs: For each sentence as many outputs as for the others, ids without end symbols.

    Returns:
        Log-probability of each token and the end symbol (B, K, T) in nats and float64, 0 behind the end, and the
        attention at each (B, K, T, S), 0 where the sentence's longest output has ended, or None without attention.
    """
    target_BKT = pad_targets(outputs)
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


def pad_targets(outputs: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Outputs with their end symbols, side by side (B, K, T), padded on the right."""
    longest = 1 + max(len(one) for many in outputs for one in many)
    return torch.tensor(
        [
            [[*one, special_tokens.EOS, *[special_tokens.PAD] * (longest - 1 - len(one))] for one in many]
            for many in outputs
        ]
    )


BATCH_TOKENS = 4096


def score_pairs(
    translator: Translator,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    batch_tokens: int = BATCH_TOKENS,
    first_line: int = 1,
) -> list[NDArray[np.float64]]:
    """Score targets, given their sources; ids without end symbols.

    Args:
        translator: What scores: models of one direction.
        sources: What is read; where there is nothing, the end symbol alone.
        targets: What is scored.
        batch_tokens: Tokens a batch, padding counted, on its longer side.
        first_line: Number of the first pair's line.

    Returns:
        For each pair the log-probability in nats of each target token and the end symbol.

    Raises:
        DataError: A pair does not fit into memory even alone.
    """
    results: list[NDArray[np.float64]] = [np.empty(0) for _ in targets]
    lengths = [np.array([len(ids) + 1 for ids in side]) for side in (sources, targets)]

    def work(batch: Sequence[int]) -> list[NDArray[np.float64]]:
        ended = [np.array([*sources[index], special_tokens.EOS], dtype=np.int64) for index in batch]
        with torch.inference_mode():
            (way,) = translator.begin(*(torch.from_numpy(array) for array in pad_sequences(ended)))
            log_p_BT = score_targets(way.stepper, [[way.turn(targets[index])] for index in batch])[0].squeeze(1).numpy()
        lengths = (len(targets[index]) for index in batch)
        return [np.array([*way.turn(row[:length]), row[length]]) for row, length in zip(log_p_BT, lengths, strict=True)]

    for batch in plan_epoch(lengths, batch_tokens, seed=0, epoch=0):
        places = batch.tolist()
        try:
            found = split_on_oom(work, places)
        except (MemoryError, RuntimeError) as failure:
            if not is_out_of_memory(failure):
                raise
            longest = max(places, key=lambda index: len(sources[index]) + len(targets[index]))
            raise DataError(f"line {first_line + longest} does not fit into memory", "it was scored alone") from failure
        for place, row in zip(places, found, strict=True):
            results[place] = row
    return results


def rerank_bidirectional(
    ways: Sequence[Direction],
    found: Sequence[Sequence[Sequence[Hypothesis]]],
    options: SearchOptions,
    keep_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Rank what all directions found by what all of them say of it.

    Args:
        ways: The directions; attention is that of the first that has any.
        found: For each of them, what its search found for each sentence, as it is read, with attention if it is kept.
        options: Length penalty and n-best.
        keep_attention: Whether the hypotheses carry their attention.

    Returns:
        For each sentence its `nbest` best hypotheses, best first; log_p is the score above, before the length penalty.
    """
    outputs = [list(dict.fromkeys(one.ids for many in each for one in many)) for each in zip(*found, strict=True)]
    said = [_score_in_direction(way, each, outputs, keep_attention) for way, each in zip(ways, found, strict=True)]
    results = []
    for row, many in enumerate(outputs):
        hypotheses = []
        for ids in many:
            by_each = [sentences[row][ids] for sentences in said]
            log_p = sum(way.share * one.log_p for way, one in zip(ways, by_each, strict=True))
            look_TS = next((one.attention for one in by_each if one.attention is not None), None)
            hypotheses.append(Hypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha), look_TS))
        results.append(sorted(hypotheses, key=lambda one: -one.score)[: options.nbest])
    return results


def _score_in_direction(
    way: Direction,
    found: Sequence[Sequence[Hypothesis]],
    outputs: Sequence[Sequence[TokenSequence]],
    keep_attention: bool,
) -> list[dict[TokenSequence, Hypothesis]]:
    """What a direction says of each output of each sentence. Of what it found itself the search has said it."""
    said = [{one.ids: one for one in many} for many in found]
    missing = [[ids for ids in many if ids not in known] for many, known in zip(outputs, said, strict=True)]
    most = max(map(len, missing))
    if not most:
        return said
    # All have as many outputs; those that are made up are the shortest there are.
    level = [[*map(way.turn, many), *[()] * (most - len(many))] for many in missing]
    log_p_BKT, look_BKTS = score_targets(way.stepper, level)
    for row, many in enumerate(missing):
        for place, ids in enumerate(many):
            look_TS = None
            if keep_attention and look_BKTS is not None:
                look_TS = way.turn_attention(look_BKTS[row, place, : len(ids) + 1])
            log_p = float(log_p_BKT[row, place].sum())
            said[row][ids] = Hypothesis(ids, log_p, log_p, look_TS)
    return said
