"""Filters that drop sentences from the training data, and the report of what they have dropped.

A filter is a reason and a predicate on the tokens of each side. The first filter that matches is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent
from rnnkit.text.token_files import TEST
from rnnkit.text.tokenizer import is_feature

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import SplitCounts

EMPTY: Final = "empty"
TOO_LONG: Final = "too long"
LENGTH_RATIO: Final = "length ratio"
LEAKED: Final = "in valid or test"
DUPLICATE: Final = "duplicate"
REASONS: Final = (EMPTY, TOO_LONG, LENGTH_RATIO, LEAKED, DUPLICATE)
"""All reasons, in the order of the filters."""

Sides = Sequence[Sequence[str]]
"""A sentence: the tokens of its source, and of its target if present."""

_FINGERPRINT_BYTES: Final = 8

_DROPPED_WARNING: Final = 0.1
"""Share of dropped lines above which the note becomes a warning."""


@dataclass(frozen=True)
class SentenceFilter:
    """A reason to drop a sentence.

    Attributes:
        reason: Name in reports.
        drops: Returns whether a sentence is dropped.
    """

    reason: str
    drops: Callable[[Sides], bool]


def empty_filter() -> SentenceFilter:
    """Drop sentences with an empty side."""
    return SentenceFilter(EMPTY, lambda sides: not all(sides))


def max_length_filter(max_length: int) -> SentenceFilter:
    """Drop sentences with a side of more than `max_length` tokens, including EOS."""
    return SentenceFilter(TOO_LONG, lambda sides: max(map(len, sides)) >= max_length)


def length_ratio_filter(max_ratio: float, features: bool = False) -> SentenceFilter:
    """Drop pairs of very different lengths, which are probably not translations.

    Args:
        max_ratio: Maximum ratio of the lengths in tokens.
        features: Whether tokens may be features, which are not counted: the other side has no words for them.
    """

    def drops(sides: Sides) -> bool:
        lengths = [sum(not is_feature(token) for token in side) if features else len(side) for side in sides]
        return max(lengths) > max_ratio * min(lengths)

    return SentenceFilter(LENGTH_RATIO, drops)


def leakage_filter(held_out: frozenset[int], separator: str = " ") -> SentenceFilter:
    """Drop sentences that occur, with all sides equal, in held-out data.

    Args:
        held_out: Fingerprints of the held-out data.
        separator: As in `fingerprint`.
    """
    return SentenceFilter(LEAKED, lambda sides: fingerprint(sides, separator) in held_out)


def fingerprint(sides: Sides, separator: str = " ") -> int:
    """Return an 8-byte hash of a sentence.

    Args:
        sides: Its tokens.
        separator: Joins the tokens. With the empty string all segmentations of a text are equal, for tokenizers that
            represent a space by a token of its own.
    """
    text = "\n".join(separator.join(side) for side in sides)
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=_FINGERPRINT_BYTES).digest(), "little")


def fingerprints(sentences: Iterable[Sides], separator: str = " ") -> frozenset[int]:
    """Return the fingerprints of all sentences, for `leakage_filter`."""
    return frozenset(fingerprint(sides, separator) for sides in sentences)


def describe_counts(counts: SplitCounts) -> str:
    """Describe the counts of a split in one line."""
    sides = [
        f"{side} {side_counts.tokens:,} tokens ({side_counts.unknown / max(1, side_counts.tokens):.2%} unknown, "
        f"longest {side_counts.longest})"
        for side, side_counts in counts.sides.items()
    ]
    dropped = [f"dropped {count:,} {reason}" for reason, count in counts.dropped.items()]
    truncated = [f"truncated {counts.truncated:,}"] if counts.truncated else []
    return "; ".join([f"{counts.sentences:,} of {counts.lines:,} lines", *sides, *dropped, *truncated])


def report_split(name: str, split: str, counts: SplitCounts, sources: Sequence[Path], listen: Listener) -> None:
    """Report dropped and truncated sentences of a split, as a warning if there are many.

    Args:
        name: Name of the split or test set.
        split: `train`, `valid` or `test`.
        counts: Its counts.
        sources: Its token files or shards, for the error.
        listen: Receives the report.

    Raises:
        DataError: The split has no sentences left.
    """
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.dropped.items())
    if not counts.sentences:
        raise DataError(
            f"the {name} split has no sentences left",
            f"{' and '.join(map(str, sources))}: {counts.lines:,} lines" + (f", dropped: {reasons}" if reasons else ""),
            hint="see --max-length, --long and the filters" if reasons else None,
            path=sources[0],
        )
    if dropped > _DROPPED_WARNING * counts.lines:
        listen(WarningEvent(f"{name}: dropped {dropped:,} of {counts.lines:,} lines: {reasons}"))
    elif dropped:
        listen(Note(f"{name}: dropped {reasons}"))
    if counts.truncated and split == TEST:
        listen(WarningEvent(f"{name}: truncated {counts.truncated:,} lines; scores on them cover only what is left"))


def warn_of_blank_lines(splits: Mapping[str, SplitCounts], listen: Listener) -> None:
    """Warn if blank lines of data with one side were dropped from some splits and kept in others."""
    dropped = {name: counts.dropped.get(EMPTY, 0) for name, counts in splits.items()}
    kept = {name: counts.blank for name, counts in splits.items()}
    if not any(dropped.values()) or not any(kept.values()):
        return
    without, having = (
        ", ".join(f"{name} ({count:,})" for name, count in found.items() if count) for found in (dropped, kept)
    )
    listen(
        WarningEvent(
            f"blank lines are dropped from {without} but kept in {having}: scores there include blank lines, which the "
            "model is not trained on; --keep-empty keeps them in all splits, as WikiText results do"
        )
    )
