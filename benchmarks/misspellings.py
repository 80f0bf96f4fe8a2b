"""Frequent words with one typing error, to see whether vectors of n-grams know them again."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_RANK, LAST_RANK = 500, 5000
"""Words are taken from these places of the vocabulary, the most frequent word being at 1."""

SHORTEST = 5
"""Letters; what is shorter often becomes another word."""


@dataclass(frozen=True)
class Misspelling:
    """A word as it should be, and as it was typed."""

    right: str
    wrong: str


def misspell(word: str, generator: random.Random) -> str:
    """Make one edit at a random place: a letter inserted, deleted, replaced, or swapped with the one behind it."""
    edit = generator.choice(("insert", "delete", "replace", "swap"))
    letter = generator.choice(string.ascii_lowercase)
    if edit == "insert":
        at = generator.randrange(len(word) + 1)
        return word[:at] + letter + word[at:]
    if edit == "swap":
        at = generator.randrange(len(word) - 1)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    at = generator.randrange(len(word))
    return word[:at] + (letter if edit == "replace" else "") + word[at + 1 :]


def misspellings(vocabulary: Sequence[str], count: int, seed: int) -> list[Misspelling]:
    """Misspell a sample of the frequent words, each so that no known word comes out.

    Args:
        vocabulary: All known words, the most frequent first.
        count: Words wanted; fewer where there are not so many.
        seed: Of the sample and of the edits.
    """
    generator = random.Random(seed)
    known = set(vocabulary)
    frequent = [word for word in vocabulary[FIRST_RANK - 1 : LAST_RANK] if len(word) >= SHORTEST]
    result = []
    for word in generator.sample(frequent, min(count, len(frequent))):
        wrong = word
        while wrong in known:
            wrong = misspell(word, generator)
        result.append(Misspelling(word, wrong))
    return result
