"""Counting the tokens of token files: what each process does for `rnnkit vocab`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rnnkit.text.blocks import Block
from rnnkit.text.token_files import MAX_LINE_BYTES


@dataclass(frozen=True)
class Counted:
    """How much was counted."""

    lines: int
    tokens: int


class TokenCounter:
    """Counts the tokens of blocks; what it has counted is asked for at the end, so that it is sent once."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def do(self, block: Block) -> Counted:
        """Count a block. Raises DataError where it is no text."""
        tokens = " ".join(block.decode(MAX_LINE_BYTES)).split()
        self._counts.update(tokens)
        return Counted(block.lines, len(tokens))

    def finish(self) -> Counter[str]:
        """The counts of all its blocks."""
        return self._counts
