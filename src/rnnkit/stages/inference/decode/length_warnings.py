"""Warnings of `decode` about lengths: lines longer than all training lines, truncated lines and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rnnkit.events import WarningEvent

if TYPE_CHECKING:
    from rnnkit.decoding.stepper import SearchOptions, TrainingLengths
    from rnnkit.decoding.translate import TranslatedLine

SHOWN: Final = 5
"""Most line numbers that a warning lists."""


@dataclass
class LineTally:
    """Number of lines of one kind, and the numbers of the first."""

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
    """Counts the lines to warn about.

    Attributes:
        longest: Lengths of the longest training lines.
        search: The search options.
        long: Lines longer than all training lines.
        truncated: Lines whose source was truncated.
        unfinished: Lines whose best output was truncated at the maximum length.
    """

    longest: TrainingLengths
    search: SearchOptions
    long: LineTally = field(default_factory=LineTally)
    truncated: LineTally = field(default_factory=LineTally)
    unfinished: LineTally = field(default_factory=LineTally)

    def add(self, number: int, translated: TranslatedLine) -> None:
        """Count a translated line."""
        if translated.truncated_tokens:
            self.truncated.add(number)
        if self.longest.is_known and len(translated.source) + translated.truncated_tokens + 1 > self.longest.source:
            self.long.add(number)
        if translated.hypotheses and not translated.hypotheses[0].finished:
            self.unfinished.add(number)

    def warnings(self) -> Iterator[WarningEvent]:
        """Yield at most one warning about sources and one about outputs."""
        long, truncated = self.long, self.truncated
        parts = []
        if long.count:
            have = "has" if long.count == 1 else "have"
            parts.append(
                f"{_lines(long.count)} {have} more tokens than the longest training source "
                f"({self.longest.source:,}): {long}"
            )
        if truncated.count:
            were = "was" if truncated.count == 1 else "were"
            parts.append(
                f"{_lines(truncated.count)} {were} truncated to {self.search.max_source_length:,} tokens: {truncated}; "
                "see --max-source-length"
            )
        if parts:
            yield WarningEvent("; ".join(parts))
        if self.unfinished.count:
            one = self.unfinished.count == 1
            what = "the output of 1 line was" if one else f"the outputs of {self.unfinished.count:,} lines were"
            yield WarningEvent(
                f"{what} truncated at the maximum length, perhaps inside a word: {self.unfinished}; see --max-length"
            )


def _lines(count: int) -> str:
    return f"{count:,} line{'' if count == 1 else 's'}"
