"""Duplicates between the splits of a corpus: lines of one that occur in another, by their 8-byte hashes.

A line takes 8 bytes of memory. Two different lines have the same hash with probability 2^-64, so that among N and M
lines N M / 2^64 false duplicates are expected: one in 180,000 runs of ten million lines each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

HASH_BYTES: Final = 8

MAX_HASHES: Final = 1 << 24
"""Lines of a split that are compared, which bounds the memory to 128 MiB per split."""


@dataclass(frozen=True)
class SplitDuplicates:
    """Lines of a split that occur in another.

    Attributes:
        split: The split.
        other: The split in which they also occur.
        lines: Number of such lines, repeated ones counted each.
        compared: Number of lines of the split.
    """

    split: str
    other: str
    lines: int
    compared: int


class DuplicateCounter:
    """Counts duplicates between splits. Blank lines do not count.

    Args:
        splits: The splits; the lines of each are compared with those of the splits before it.
    """

    def __init__(self, splits: Iterable[str]) -> None:
        self._hashes: dict[str, array[int]] = {split: array("Q") for split in splits}

    def add(self, split: str, line: str) -> None:
        """Add a line of a split."""
        hashes = self._hashes[split]
        if line and len(hashes) < MAX_HASHES:
            hashes.frombytes(blake2b(line.encode(), digest_size=HASH_BYTES).digest())

    @property
    def is_complete(self) -> bool:
        """Whether all lines were compared."""
        return all(len(hashes) < MAX_HASHES for hashes in self._hashes.values())

    def count(self) -> Iterator[SplitDuplicates]:
        """Yield the duplicates of each pair of splits."""
        import numpy as np

        seen: dict[str, np.ndarray[tuple[int], np.dtype[np.uint64]]] = {}
        for split, hashes in self._hashes.items():
            lines = np.frombuffer(hashes, np.uint64) if hashes else np.empty(0, np.uint64)
            for other, unique in seen.items():
                yield SplitDuplicates(split, other, int(np.isin(lines, unique).sum()), len(lines))
            seen[split] = np.unique(lines)
