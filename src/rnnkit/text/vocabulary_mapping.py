"""Mapping of one vocabulary to another by spelling, so that models with different ids for the same tokens combine.

A token that a model lacks is that model's `<unk>`. An ordinary entry `<unk>`, as in the Penn Treebank, is the unknown
token of a vocabulary without such an entry. BOS and EOS correspond by position.

Models of differently tokenized text, such as words and subwords, share few tokens. Coverage is therefore weighted by
frequency: letters are words too, but account for little of a text of words.
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
"""Minimum share of each vocabulary, by frequency, that the other has."""

MIN_JOINT_COVERAGE: Final = 0.2
"""Minimum share of a joint vocabulary of several languages that a vocabulary of one language has."""

_FIRST: Final = len(special_tokens.NAMES)


@dataclass(frozen=True)
class VocabularyMapping:
    """Mapping from a first vocabulary to another.

    Attributes:
        other_id_V: For each id of the first vocabulary, the id of the same token in the other; UNK if it has none.
        other_size: Size of the other vocabulary.
        missing: Ordinary tokens of the first that the other lacks.
        extra: Ordinary tokens of the other that the first lacks.
        coverage: Share of the first, by frequency, that the other has.
        other_coverage: Share of the other, by frequency, that the first has.
    """

    other_id_V: Ids
    other_size: int
    missing: int
    extra: int
    coverage: float
    other_coverage: float

    @property
    def identical(self) -> bool:
        """Whether both have the same tokens with the same ids."""
        size = self.other_size
        return len(self.other_id_V) == size and bool(np.all(self.other_id_V == np.arange(size)))


def map_vocabulary(
    first: Vocabulary, other: Vocabulary, frequency_V: Frequencies, other_frequency_V: Frequencies
) -> VocabularyMapping:
    """Map one vocabulary to another.

    Args:
        first: A vocabulary.
        other: Another vocabulary.
        frequency_V: Frequency of each entry of the first, in any unit.
        other_frequency_V: The same for the other.
    """
    unknown = special_tokens.NAMES[special_tokens.UNK]
    other_id_V = np.arange(len(first), dtype=np.int64)
    known_V = np.ones(len(first), dtype=np.bool_)
    for id, token in enumerate(first.tokens[_FIRST:], start=_FIRST):
        found = other.ids.get(token)
        other_id_V[id] = special_tokens.UNK if found is None else found
        known_V[id] = found is not None or token == unknown
    other_known_V = np.ones(len(other), dtype=np.bool_)
    for id, token in enumerate(other.tokens[_FIRST:], start=_FIRST):
        other_known_V[id] = token in first.ids or token == unknown
    return VocabularyMapping(
        other_id_V=other_id_V,
        other_size=len(other),
        missing=int(np.count_nonzero(~known_V)),
        extra=int(np.count_nonzero(~other_known_V)),
        coverage=_coverage(known_V, frequency_V),
        other_coverage=_coverage(other_known_V, other_frequency_V),
    )


def token_frequencies(vocabulary: Vocabulary, probability_V: Frequencies | None = None) -> Frequencies:
    """Return the frequency of each entry: its count, else its probability under a model, else uniform.

    Args:
        vocabulary: The vocabulary; that of an imported model has no counts.
        probability_V: Probability of each entry, if a model has it.
    """
    count_V = np.array(vocabulary.counts, dtype=np.float64)
    if count_V[_FIRST:].any():
        return count_V
    return np.ones(len(vocabulary)) if probability_V is None else probability_V


def check_overlap(mapping: VocabularyMapping, first: str, other: str, min_coverage: float = MIN_COVERAGE) -> None:
    """Check that two vocabularies have enough tokens in common.

    Args:
        mapping: Mapping between them.
        first: Owner of the first vocabulary, for messages.
        other: Owner of the other.
        min_coverage: Minimum share of the first that the other has.

    Raises:
        ArtefactError: They share too little; the message contains the shares.
    """
    if mapping.coverage >= min_coverage and mapping.other_coverage >= MIN_COVERAGE:
        return
    raise ArtefactError(
        f"{first} and {other} do not predict the same tokens",
        f"by spelling and weighted by frequency, {other} has {mapping.coverage:.1%} of the vocabulary of {first}, "
        f"which has {mapping.other_coverage:.1%} of that of {other}",
        f"at least {min_coverage:.0%} and {MIN_COVERAGE:.0%} are required: either their tokenization or their "
        "languages differ",
        hint="tokenize the text of both models in the same way: for a model of subwords, count n-grams of the tokens "
        "that `rnnkit tokenize` writes",
    )


def describe_mismatches(mapping: VocabularyMapping, first: str, other: str) -> str | None:
    """Return the number of tokens without a counterpart as one line; None if there are none."""
    if not mapping.missing and not mapping.extra:
        return None
    size, other_size = len(mapping.other_id_V) - _FIRST, mapping.other_size - _FIRST
    return (
        f"{first} and {other} are matched by spelling: {mapping.missing:,} of {size:,} tokens of {first} are <unk> to "
        f"{other}, {mapping.extra:,} of {other_size:,} tokens of {other} are <unk> to {first}"
    )


def _coverage(known_V: NDArray[np.bool_], frequency_V: Frequencies) -> float:
    total = float(frequency_V[_FIRST:].sum())
    if not len(known_V) > _FIRST:
        return 1.0
    if total <= 0 or not np.isfinite(total):
        return float(known_V[_FIRST:].mean())
    return float(frequency_V[_FIRST:][known_V[_FIRST:]].sum()) / total
