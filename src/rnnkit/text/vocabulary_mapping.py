"""Two vocabularies matched by spelling, so that models that number the same tokens differently work together.

A token that one vocabulary lacks is that model's `<unk>`. An ordinary row spelt `<unk>`, as in the Penn Treebank, is
the unknown word of a vocabulary that has no such row. The beginning and the end of a line match by position.

Models whose text is cut into different tokens, such as words and pieces, share few tokens by spelling. How many is
measured by how frequent tokens are: letters are words too, but make little of a text of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import ArtefactError
from rnnkit.text import special_tokens
from rnnkit.text.vocabulary import Vocabulary

Ids = NDArray[np.int64]
Frequencies = NDArray[np.float64]

MIN_COVERAGE: Final = 0.5
"""Share of each vocabulary, by frequency, that the other must have."""

MIN_JOINT_COVERAGE: Final = 0.2
"""Share of a joint vocabulary of several languages that one of a single language must have."""

_FIRST: Final = len(special_tokens.NAMES)


@dataclass(frozen=True)
class VocabularyMapping:
    """Tokens of one vocabulary in another.

    Attributes:
        row_V: For each row of the first vocabulary, the row of the other that is spelt alike; UNK where it has none.
        size: Rows of the other vocabulary.
        lacking: Ordinary rows of the first that the other lacks.
        extra: Ordinary rows of the other that the first lacks.
        share: Of the first, by frequency, what the other has.
        other_share: Of the other, by frequency, what the first has.
    """

    row_V: Ids
    size: int
    lacking: int
    extra: int
    share: float
    other_share: float

    @property
    def identical(self) -> bool:
        """Whether both have the same tokens in the same rows."""
        return len(self.row_V) == self.size and bool(np.all(self.row_V == np.arange(self.size)))


def map_vocabulary(
    first: Vocabulary, other: Vocabulary, weight_V: Frequencies, other_weight_V: Frequencies
) -> VocabularyMapping:
    """Match by spelling.

    Args:
        first: A vocabulary.
        other: Another.
        weight_V: How frequent each row of the first is, in any unit.
        other_weight_V: The same of the other.
    """
    unknown = special_tokens.NAMES[special_tokens.UNK]
    row_V = np.arange(len(first), dtype=np.int64)
    known_V = np.ones(len(first), dtype=np.bool_)
    for row, token in enumerate(first.tokens[_FIRST:], start=_FIRST):
        found = other.ids.get(token)
        row_V[row] = special_tokens.UNK if found is None else found
        known_V[row] = found is not None or token == unknown
    other_known_V = np.ones(len(other), dtype=np.bool_)
    for row, token in enumerate(other.tokens[_FIRST:], start=_FIRST):
        other_known_V[row] = token in first.ids or token == unknown
    return VocabularyMapping(
        row_V=row_V,
        size=len(other),
        lacking=int(np.count_nonzero(~known_V)),
        extra=int(np.count_nonzero(~other_known_V)),
        share=_share(known_V, weight_V),
        other_share=_share(other_known_V, other_weight_V),
    )


def token_frequencies(vocabulary: Vocabulary, probability_V: Frequencies | None = None) -> Frequencies:
    """How frequent each row is: as counted, else as probable as a model has it, else all alike.

    Args:
        vocabulary: The rows. Those of an imported model are not counted.
        probability_V: Of each row, where a model has it.
    """
    count_V = np.array(vocabulary.counts, dtype=np.float64)
    if count_V[_FIRST:].any():
        return count_V
    return np.ones(len(vocabulary)) if probability_V is None else probability_V


def check_overlap(matching: VocabularyMapping, first: str, other: str, least: float = MIN_COVERAGE) -> None:
    """Refuse vocabularies that mostly do not match.

    Args:
        matching: What matches.
        first: What the first vocabulary belongs to.
        other: What the other one belongs to.
        least: Least share of the first that the other must have.

    Raises:
        ArtefactError: They share too little; the message has the shares.
    """
    if matching.share >= least and matching.other_share >= MIN_COVERAGE:
        return
    raise ArtefactError(
        f"{first} and {other} do not predict the same tokens",
        f"by spelling and weighted by frequency, {other} has {matching.share:.1%} of the vocabulary of {first}, "
        f"which has {matching.other_share:.1%} of that of {other}",
        f"at least {least:.0%} and {MIN_COVERAGE:.0%} are needed: one cuts text into words, the other does not, or the "
        "languages differ",
        hint="cut the text of both alike: beside a model of pieces, n-grams are counted in the pieces that "
        "`rnnkit tokenize` writes",
    )


def describe_mismatches(matching: VocabularyMapping, first: str, other: str) -> str | None:
    """What does not match, as one line; None where every token does."""
    if not matching.lacking and not matching.extra:
        return None
    ours, theirs = len(matching.row_V) - _FIRST, matching.size - _FIRST
    return (
        f"{first} and {other} are matched by spelling: {matching.lacking:,} of {ours:,} tokens of {first} are <unk> to "
        f"{other}, {matching.extra:,} of {theirs:,} tokens of {other} are <unk> to {first}"
    )


def _share(known_V: NDArray[np.bool_], weight_V: Frequencies) -> float:
    total = float(weight_V[_FIRST:].sum())
    if not len(known_V) > _FIRST:
        return 1.0
    if total <= 0 or not np.isfinite(total):
        return float(known_V[_FIRST:].mean())
    return float(weight_V[_FIRST:][known_V[_FIRST:]].sum()) / total
