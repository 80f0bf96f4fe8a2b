"""What a translator says of translations that are given, in batches of like length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rnnkit.data.batching import pad, plan_epoch
from rnnkit.decoding.forced import force
from rnnkit.decoding.halving import in_halves
from rnnkit.decoding.translator import Translator
from rnnkit.errors import DataError
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import special

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
        ended = [np.array([*sources[index], special.EOS], dtype=np.int64) for index in batch]
        with torch.inference_mode():
            (way,) = translator.begin(*(torch.from_numpy(array) for array in pad(ended)))
            log_p_BT = force(way.stepper, [[way.turn(targets[index])] for index in batch])[0].squeeze(1).numpy()
        lengths = (len(targets[index]) for index in batch)
        return [np.array([*way.turn(row[:length]), row[length]]) for row, length in zip(log_p_BT, lengths, strict=True)]

    for batch in plan_epoch(lengths, batch_tokens, seed=0, epoch=0):
        places = batch.tolist()
        try:
            found = in_halves(work, places)
        except (MemoryError, RuntimeError) as failure:
            if not is_out_of_memory(failure):
                raise
            longest = max(places, key=lambda index: len(sources[index]) + len(targets[index]))
            raise DataError(f"line {first_line + longest} does not fit into memory", "it was scored alone") from failure
        for place, row in zip(places, found, strict=True):
            results[place] = row
    return results
