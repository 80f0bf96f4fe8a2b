"""Words are found without being read, and damaged tables are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.embeddings.samples import COUNTS, WORDS

from rnnkit.embeddings.word_index import MAX_LINEAR_SEARCHES, WordIndex
from rnnkit.errors import FormatError

SPELLED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), min_size=1, max_size=4)


@given(st.lists(SPELLED, unique=True, max_size=9), SPELLED)
def test_search_and_index_find_the_same_rows(known: list[str], other: str) -> None:
    words = WordIndex.from_list(known)
    asked = [*known, other, *(word[1:] for word in known), *(word[:-1] for word in known)]
    expected = [known.index(word) if word in known else None for word in asked]
    assert [words.row(word) for word in asked[:MAX_LINEAR_SEARCHES]] == expected[:MAX_LINEAR_SEARCHES]  # by searching
    for _ in range(MAX_LINEAR_SEARCHES):
        words.row(other)
    assert [words.row(word) for word in asked] == expected  # by the index
    assert list(words) == known


def test_a_sequence_of_words() -> None:
    words = WordIndex.from_list(WORDS, COUNTS)
    assert (len(words), words[1], words[-1], words[1:3]) == (5, "straße", "日本語", ["straße", "New\u00a0York"])
    assert "the" in words
    assert all(other not in words for other in ("", "th", "the\t900", "he", 5, "\udcff"))
    assert words.counts is not None
    assert words.counts.tolist() == COUNTS
    assert words.lengths().tolist() == [3, 7, 9, 10, 9]
    with pytest.raises(IndexError):
        words[5]


def test_the_first_words_hide_the_others() -> None:
    first = WordIndex.from_list(WORDS, COUNTS).first(2)
    assert (list(first), first.row("straße"), first.row("日本語")) == (WORDS[:2], 1, None)
    assert first.table == "the\t900\nstraße\t70\n".encode()
    assert first.first(0).table == b""
    assert first.first(0).row("the") is None


def test_rows_of_a_file() -> None:
    words = WordIndex.from_table("<pad>\t0\nthe\t3\nün\t2\n".encode(), "vocab.tsv", skip=1)
    assert (list(words), words.row("ün"), words.row("<pad>")) == (["the", "ün"], 1, None)
    assert words.counts is not None
    assert words.counts.tolist() == [3, 2]


def test_counts_that_nobody_made() -> None:
    assert WordIndex.from_list(["a", "b"]).counts is None
    assert WordIndex.from_list([], []).counts is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"<pad>\t0\nthe\t3", "vocab.tsv:2: .*\n  its last row has no end: the file may have been cut off"),
        (b"<pad>\t0\nthe 3\n", r"vocab\.tsv:2: a row is `word<TAB>count`, this one is not$"),
        (b"<pad>\t0\nt\the\t3\na\t1\n", r"vocab\.tsv:2: a row is"),
        (b"<pad>\t0\nthe\n\t3\n", r"vocab\.tsv:2: a row is"),
        (b"<pad>\t0\n\t3\n", r"vocab\.tsv:2: a row is"),
        (b"", r"vocab\.tsv:1: a row is"),
    ],
)
def test_a_damaged_row_is_named(table: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        WordIndex.from_table(table, "vocab.tsv", skip=1)


def test_damage_that_is_met_later() -> None:
    words = WordIndex.from_table(b"<pad>\t0\na\t1\nb\xff\t-2\na\t1\n", "vocab.tsv", skip=1)
    with pytest.raises(FormatError, match=r"vocab\.tsv:3:2: not UTF-8 \(byte 0xff\)"):
        words[1]
    with pytest.raises(FormatError, match=r"vocab\.tsv:3: the count '-2' is no whole number"):
        words.counts  # noqa: B018 - it is computed when it is asked for
    with pytest.raises(FormatError, match=r"vocab\.tsv:4: 'a' has a row already\n  the first is line 2"):
        for _ in range(MAX_LINEAR_SEARCHES + 1):
            words.row("a")


def test_counts_are_numbers_of_numpy() -> None:
    counts = WordIndex.from_list(["a"], [5]).counts
    assert counts is not None
    assert counts.dtype == np.int64
