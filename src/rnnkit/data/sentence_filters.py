"""Filters that drop sentences from the training data.

A filter is a reason and a predicate on the tokens of each side. The first filter that matches is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from rnnkit.text.tokenizer import is_feature

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
