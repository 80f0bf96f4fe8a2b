"""The table of distinct words: rows, characters, batches with words of one token and of several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.data.word_table import (
    FIRST_CHARACTER,
    MAX_CHARACTERS,
    UNKNOWN_CHARACTER,
    WORD_END,
    WORD_START,
    Alphabet,
    SparseRows,
    WordTable,
    unknown_tokens,
)
from rnnkit.text.special_tokens import EOS, PAD, UNK

rows_of_ids = st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=7)


@given(rows_of_ids, st.data())
def test_select_and_pad(rows: list[list[int]], data: st.DataObject) -> None:
    sparse = SparseRows.from_lists(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    selected = sparse.select(np.array(chosen, np.int64))
    assert [selected.values[a:b].tolist() for a, b in zip(selected.offsets, selected.offsets[1:], strict=False)] == [
        rows[row] for row in chosen
    ]
    longest = max((len(rows[row]) for row in chosen), default=0)
    assert selected.pad().tolist() == [rows[row] + [0] * (longest - len(rows[row])) for row in chosen]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", [WORD_START, WORD_END]),
        ("ba", [WORD_START, FIRST_CHARACTER + 1, FIRST_CHARACTER, WORD_END]),
        ("xa", [WORD_START, UNKNOWN_CHARACTER, FIRST_CHARACTER, WORD_END]),
        ("a" * 50 + "b" * 50, [WORD_START, *[FIRST_CHARACTER] * 24, *[FIRST_CHARACTER + 1] * 24, WORD_END]),
    ],
)
def test_alphabet(word: str, expected: list[int]) -> None:
    assert Alphabet.of_words(["ab", "b"]).encode(word) == expected
    assert len(Alphabet.of_words(["ab"])) == FIRST_CHARACTER + 2
    assert MAX_CHARACTERS == 48


def test_unknown_tokens() -> None:
    assert unknown_tokens([]) == (UNK,)
    assert unknown_tokens([7]) == [7]


def table(pieces: list[list[int]]) -> WordTable:
    words = ["</s>", *(f"w{row}" for row in range(1, len(pieces)))]
    vectors_WD = np.arange(3 * len(words), dtype=np.float32).reshape(-1, 3)
    made = WordTable(words, SparseRows.from_lists(pieces), vectors_WD=vectors_WD)
    return made.with_features(lambda word: [len(word), 5])


@given(st.lists(st.lists(st.integers(4, 9), min_size=1, max_size=3), min_size=1, max_size=5), st.data())
def test_batch(pieces: list[list[int]], data: st.DataObject) -> None:
    """Every token, word and feature of a batch is where the sentence has it, however words are cut."""
    words = table([[EOS], *pieces])
    sentence = st.lists(st.integers(1, len(pieces)), max_size=4).map(lambda rows: [*rows, 0])
    sentences = data.draw(st.lists(sentence, min_size=1, max_size=4))
    batch = words.batch([np.array(each) for each in sentences])
    assert batch.features is not None
    assert (batch.end_BT is None) == all(len(each) == 1 for each in pieces)
    assert batch.word_length_B.tolist() == [len(each) for each in sentences]
    for row, rows in enumerate(sentences):
        expected = [token for word in rows for token in [[EOS], *pieces][word]]
        length = batch.length_B[row]
        assert batch.token_BS[row, :length].tolist() == expected
        assert (batch.token_BS[row, length:] == PAD).all()
        owners = [word for word in rows for _ in [[EOS], *pieces][word]]
        assert batch.rows_W[batch.word_BS[row, :length]].tolist() == owners
        ends = np.cumsum([len([[EOS], *pieces][word]) for word in rows]) - 1
        assert (np.arange(len(rows)) if batch.end_BT is None else batch.end_BT[row, : len(rows)]).tolist() == (
            ends.tolist()
        )
    assert len(set(batch.rows_W.tolist())) == len(batch.rows_W) == len(batch.features)
    assert batch.vectors_WD is not None
    assert batch.vectors_WD.tolist() == [[3 * row, 3 * row + 1, 3 * row + 2] for row in batch.rows_W.tolist()]
    assert words.with_features(None).features is None
    assert WordTable(words.words, words.tokens).batch([np.array([0])]).vectors_WD is None
