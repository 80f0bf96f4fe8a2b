"""How much of a line is read and said at most: bounds that follow from the longest lines of training.

Without them a line of noise, such as base64 in crawled text, takes time and memory by the square of its length, and
its output is as long as twice the line, since a model that has never read such a line seldom ends one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FACTOR: Final = 4
MARGIN: Final = 100
UNRECORDED: Final = 500
"""Tokens of the longest line of training where a model of an older rnnkit does not record it."""


@dataclass(frozen=True)
class Longest:
    """Tokens of the longest source and target of training, the end symbol counted.

    Attributes:
        source: Of the source.
        target: Of the target.
        is_known: Whether they were recorded.
    """

    source: int = UNRECORDED
    target: int = UNRECORDED
    is_known: bool = False

    @property
    def most_source(self) -> int:
        """Tokens of a source line that are read at most, the end symbol counted."""
        return FACTOR * self.source + MARGIN

    @property
    def most_output(self) -> int:
        """Tokens of an output at most, the end symbol counted."""
        return FACTOR * self.target + MARGIN


def longest_of(each: Sequence[tuple[int, int] | None]) -> Longest:
    """The longest lines of models that work together; None stands for a model that does not record them."""
    known = [pair for pair in each if pair is not None]
    if not known:
        return Longest()
    return Longest(max(source for source, _ in known), max(target for _, target in known), is_known=True)
