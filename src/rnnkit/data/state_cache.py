"""Frozen states of the words of a split, computed once and read from a memory-mapped file during training.

The file is a `.npy` array of float16 with D numbers for each word of the split, in order. It is written under a
temporary name and renamed when it is complete, so that a run that is resumed finds all states or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import explain_os_errors
from rnnkit.io import atomic
from rnnkit.io.npy import IntArray, NpyWriter, map_npy
from rnnkit.io.resumable_output import PARTIAL_SUFFIX

States = NDArray[np.float16]


class StateCache:
    """The states of a split.

    Args:
        state_ND: States of all words; memory-mapped.
        offsets: First word of each text, and the end of the last.
    """

    def __init__(self, state_ND: States, offsets: IntArray) -> None:
        self._state_ND = state_ND
        self._offsets = offsets

    def batch(self, rows: NDArray[np.int64]) -> States:
        """Return the states of some texts, padded with 0 on the right (B, T, D)."""
        spans = [(int(self._offsets[row]), int(self._offsets[row + 1])) for row in rows]
        longest = max(end - start for start, end in spans)
        padded_BTD = np.zeros((len(spans), longest, self._state_ND.shape[1]), np.float16)
        for state_TD, (start, end) in zip(padded_BTD, spans, strict=True):
            state_TD[: end - start] = self._state_ND[start:end]
        return padded_BTD


def write_states(path: Path, blocks: Iterable[States]) -> None:
    """Write the states of consecutive words (N, D).

    Raises:
        ArtefactError: The file cannot be written.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = NpyWriter(partial, np.float16)
        try:
            for block in blocks:
                writer.append(block)
        finally:
            writer.close()
        atomic.fsync_path(partial)
        partial.replace(path)


def read_states(path: Path, words: int, size: int) -> States | None:
    """Map a file of states (words, size); return None if it is missing, or has another type or length."""
    try:
        values = map_npy(path)
    except (OSError, ValueError):
        return None
    if values.dtype != np.float16 or values.shape != (words * size,):
        return None
    return values.reshape(words, size)
