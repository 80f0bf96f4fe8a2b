"""Counts of labels in the lines of a column, as long as they look like labels: few and short values that recur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

MAX_LABELS: Final = 100
"""Maximum number of labels; a column with more distinct values is not counted."""

MAX_LABEL_LENGTH: Final = 100
"""Maximum number of characters of a label."""


class LabelCounter:
    """Counts the labels of a column in one split, in bounded memory.

    Args:
        per_item: Whether each item of a line is a label, instead of the line.
        may_be_labels: False if only lines and items are counted.

    Attributes:
        lines: Number of lines.
        items: Number of items, or of lines.
        blank: Number of empty lines.
    """

    def __init__(self, per_item: bool, may_be_labels: bool = True) -> None:
        self._per_item = per_item
        self.may_be_labels = may_be_labels
        self._counts: Counter[str] | None = Counter() if may_be_labels else None
        self.lines = 0
        self.items = 0
        self.blank = 0

    def add(self, line: str) -> None:
        """Count the labels of a line."""
        self.lines += 1
        self.blank += not line
        items = line.split() if self._per_item else [line]
        self.items += len(items)
        if self._counts is not None:
            self._counts.update(items)
            if len(self._counts) > MAX_LABELS or (not self._per_item and len(line) > MAX_LABEL_LENGTH):
                self._counts = None

    @property
    def counts(self) -> Mapping[str, int] | None:
        """Labels with their counts, the most frequent first; None if there are too many distinct values."""
        if self._counts is None:
            return None
        return dict(sorted(self._counts.items(), key=lambda each: (-each[1], each[0])))


def look_like_labels(counters: Iterable[LabelCounter]) -> bool:
    """Return whether the values of a column in all its splits look like labels; on average each occurs twice."""
    known = list(counters)
    if not known or any(each.counts is None for each in known):
        return False
    distinct = {label for each in known for label in each.counts or ()}
    return len(distinct) <= MAX_LABELS and 2 * len(distinct) <= sum(each.items for each in known)
