"""Mapping of vocabularies by spelling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import ArtefactError
from rnnkit.text import vocabulary_mapping
from rnnkit.text.special_tokens import NAMES, UNK
from rnnkit.text.vocabulary import Vocabulary

WORDS = st.lists(
    st.sampled_from(["a", "b", "c", "dé", "<unk>", "<s>", "\x0b", "x y".replace(" ", "\xa0")]), unique=True
)


def table(*words: str, counts: int = 1) -> Vocabulary:
    return Vocabulary((*NAMES, *words), (0, 0, 0, 0, *[counts] * len(words)))


def found(first: Vocabulary, other: Vocabulary) -> vocabulary_mapping.VocabularyMapping:
    return vocabulary_mapping.map_vocabulary(
        first, other, vocabulary_mapping.token_frequencies(first), vocabulary_mapping.token_frequencies(other)
    )


@given(WORDS, WORDS)
def test_every_token_maps_to_the_same_token(ours: list[str], theirs: list[str]) -> None:
    first, other = table(*ours), table(*theirs)
    match = found(first, other)
    assert match.other_id_V[:4].tolist() == [0, 1, 2, 3]
    for row, token in enumerate(ours, start=4):
        assert match.other_id_V[row] == (other.ids[token] if token in theirs else UNK)
    assert match.missing == len({*ours} - {*theirs} - {"<unk>"})
    assert match.extra == len({*theirs} - {*ours} - {"<unk>"})
    assert match.identical == (ours == theirs)
    assert (vocabulary_mapping.describe_mismatches(match, "A", "B") is None) == (not match.missing and not match.extra)


def test_literal_unk_maps_to_the_unknown_token() -> None:
    match = found(table("<unk>", "a"), table("a"))
    assert match.other_id_V.tolist() == [0, 1, 2, 3, UNK, 4]
    assert (match.missing, match.extra, match.coverage) == (0, 0, 1.0)


def test_mismatches_are_counted_in_one_line() -> None:
    assert vocabulary_mapping.describe_mismatches(found(table("a", "b"), table("a", "c", "d")), "A", "B") == (
        "A and B are matched by spelling: 1 of 2 tokens of A are <unk> to B, 2 of 3 tokens of B are <unk> to A"
    )


def test_shares_are_by_frequency() -> None:
    words = Vocabulary.from_counts({"the": 80, "of": 10, "a": 8, "i": 2})
    letters = Vocabulary.from_counts(dict.fromkeys("aeiot", 20))
    match = found(words, letters)
    assert (match.coverage, match.other_coverage) == pytest.approx((0.1, 0.4))
    with raises(ArtefactError, "B has 10.0% of the vocabulary of A, which has 40.0% of that of B", "50% and 50%"):
        vocabulary_mapping.check_overlap(match, "A", "B")


def test_rare_words_that_one_lacks_are_no_reason_to_refuse() -> None:
    few = Vocabulary.from_counts({"the": 80, "of": 20})
    many = Vocabulary.from_counts({"the": 800, "of": 150, **{f"w{place}": 1 for place in range(50)}})
    for match in (found(few, many), found(many, few)):
        vocabulary_mapping.check_overlap(match, "A", "B")


def test_without_counts_a_models_probabilities_weigh() -> None:
    plain = table("a", "b", counts=0)
    assert vocabulary_mapping.token_frequencies(plain).tolist() == [1] * 6
    assert vocabulary_mapping.token_frequencies(plain, np.arange(6.0)).tolist() == [0, 1, 2, 3, 4, 5]
    assert vocabulary_mapping.token_frequencies(table("a", "b"), np.arange(6.0)).tolist() == [0, 0, 0, 0, 1, 1]


def test_empty_vocabularies_match() -> None:
    vocabulary_mapping.check_overlap(found(table(), table()), "A", "B")
