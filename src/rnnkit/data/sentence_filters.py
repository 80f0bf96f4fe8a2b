"""Which sentences are left out of the data, and why.

A filter is a reason and a test of one sentence, given as the tokens of each side. The first that applies counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from rnnkit.text.tokenizers.features import is_feature

EMPTY: Final = "empty"
TOO_LONG: Final = "too long"
LENGTH_RATIO: Final = "length ratio"
LEAKED: Final = "in valid or test"
DUPLICATE: Final = "duplicate"
REASONS: Final = (EMPTY, TOO_LONG, LENGTH_RATIO, LEAKED, DUPLICATE)
"""Every reason, in the order in which they are looked for."""

Sides = Sequence[Sequence[str]]
"""A sentence: the tokens of its source, and of its target where there is one."""

_FINGERPRINT_BYTES: Final = 8


@dataclass(frozen=True)
class SentenceFilter:
    """One ground to leave a sentence out.

    Attributes:
        reason: As reports name it.
        drops: Whether it applies to a sentence.
    """

    reason: str
    drops: Callable[[Sides], bool]


def empty_filter() -> SentenceFilter:
    """A side without tokens: there is nothing to read, or nothing to write."""
    return SentenceFilter(EMPTY, lambda sides: not all(sides))


def max_length_filter(most: int) -> SentenceFilter:
    """A side of more than `most` tokens, the end symbol counted."""
    return SentenceFilter(TOO_LONG, lambda sides: max(map(len, sides)) >= most)


def length_ratio_filter(most: float, features: bool = False) -> SentenceFilter:
    """One side more than `most` times as long as the other, in tokens: probably not a translation of it.

    Args:
        most: How many times.
        features: Whether some tokens may be features, which are not counted: no side has words for them.
    """

    def drops(sides: Sides) -> bool:
        lengths = [sum(not is_feature(token) for token in side) if features else len(side) for side in sides]
        return max(lengths) > most * min(lengths)

    return SentenceFilter(LENGTH_RATIO, drops)


def leakage_filter(held_out: frozenset[int], separator: str = " ") -> SentenceFilter:
    """A sentence that stands, all sides alike, in data that the model is to be judged by.

    Args:
        held_out: Fingerprints of that data.
        separator: As for `fingerprint`.
    """
    return SentenceFilter(LEAKED, lambda sides: fingerprint(sides, separator) in held_out)


def fingerprint(sides: Sides, separator: str = " ") -> int:
    """Eight bytes that stand for a sentence.

    Args:
        sides: Its tokens.
        separator: Put between tokens. The empty one makes random segmentations of a text alike, for tokenizers
            that write a space as a mark of its own.
    """
    text = "\n".join(separator.join(side) for side in sides)
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=_FINGERPRINT_BYTES).digest(), "little")


def fingerprints(sentences: Iterable[Sides], separator: str = " ") -> frozenset[int]:
    """Those of all sentences, for `leaked`."""
    return frozenset(fingerprint(sides, separator) for sides in sentences)
