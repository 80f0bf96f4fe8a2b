"""What the user of `decode` should look at: lines longer than any of training, lines and outputs that were cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rnnkit.events import WarningEvent

if TYPE_CHECKING:
    from rnnkit.decoding.stepper import SearchOptions, TrainingLengths
    from rnnkit.decoding.translate import TranslatedLine

SHOWN: Final = 5
"""Line numbers that a warning names."""


@dataclass
class LineTally:
    """Lines of one sort: how many, and the numbers of the first."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Count a line."""
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(number)

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.first) else ""
        return f"line{'' if self.count == 1 else 's'} {', '.join(f'{number:,}' for number in self.first)}{more}"


@dataclass
class LengthWarnings:
    """Counts lines that deserve a warning.

    Attributes:
        longest: The longest lines of training.
        search: How lines are searched for.
        long: Lines longer than any of training.
        cut: Lines of which the end was not read.
        unfinished: Lines whose first output was cut at its greatest length.
    """

    longest: TrainingLengths
    search: SearchOptions
    long: LineTally = field(default_factory=LineTally)
    cut: LineTally = field(default_factory=LineTally)
    unfinished: LineTally = field(default_factory=LineTally)

    def look(self, number: int, one: TranslatedLine) -> None:
        """Look at a line that was translated."""
        if one.truncated_tokens:
            self.cut.add(number)
        if self.longest.is_known and len(one.source) + one.truncated_tokens + 1 > self.longest.source:
            self.long.add(number)
        if one.hypotheses and not one.hypotheses[0].finished:
            self.unfinished.add(number)

    def warnings(self) -> Iterator[WarningEvent]:
        """One warning of sources and one of outputs, where there is any."""
        long, cut = self.long, self.cut
        parts = []
        if long.count:
            have = "has" if long.count == 1 else "have"
            parts.append(
                f"{_lines(long.count)} {have} more tokens than the longest source line of training "
                f"({self.longest.source:,}): {long}"
            )
        if cut.count:
            parts.append(
                f"only the first {self.search.max_source_length:,} tokens of {_lines(cut.count)} were read: {cut}; "
                "--max-source-length changes that"
            )
        if parts:
            yield WarningEvent("; ".join(parts))
        if self.unfinished.count:
            one = self.unfinished.count == 1
            what = "the output of 1 line was" if one else f"the outputs of {self.unfinished.count:,} lines were"
            yield WarningEvent(
                f"{what} cut at the greatest length, perhaps in mid-word: {self.unfinished}; --max-length changes that"
            )


def _lines(count: int) -> str:
    return f"{count:,} line{'' if count == 1 else 's'}"
