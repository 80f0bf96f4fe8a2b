"""The word hash table, compared with Python's `dict` and `Counter`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.kernels.word_hashing import WordHashTable, hash_word_ngrams, hash_words
from rnnkit.text.blocks import ASCII_SPACES

SAME_HASH = [
    ("8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"),
    ("7mohtcOFVz", "c1E51sSEyx"),
    ("6a5x-VbtXk", "f_2k7GG-4v"),
]
"""Pairs of words with the same 64-bit FNV-1a hash."""

words = st.sampled_from(["a", "b", "c", "é", "語", "ab", "ba", "🙂", "abcdefgh"])
lines = st.lists(st.lists(words, max_size=9), max_size=9)


def encode(table: WordHashTable, blocks: Sequence[bytes]) -> tuple[list[int], list[list[int]]]:
    """The id of each word, and the words of each segment; the last segment ends with the text."""
    numbers: list[int] = []
    bounds = [0]
    for block in blocks:
        ids, ends = table.encode(block)
        bounds += (len(numbers) + ends).tolist()
        numbers += ids.tolist()
    if table.end_segment():
        bounds.append(len(numbers))
    assert bounds[-1] == len(numbers), "no word is outside of a segment"
    return numbers, [numbers[first:last] for first, last in pairwise(bounds)]


def cut(text: bytes, places: Sequence[int]) -> list[bytes]:
    """Split the text into blocks that end after white space."""
    spaces = [match.end() for match in re.finditer(b"[%b]" % re.escape(ASCII_SPACES), text)]
    bounds = sorted({0, len(text), *(spaces[place % len(spaces)] for place in places if spaces)})
    return [text[first:last] for first, last in pairwise(bounds)]


@given(lines, st.lists(st.integers(0, 99), max_size=5), st.integers(1, 4), st.booleans())
def test_ids_counts_and_segments(
    lines: list[list[str]], places: list[int], longest: int, ends_with_newline: bool
) -> None:
    text = "\n".join(" ".join(words) for words in lines) + "\n" * ends_with_newline
    table = WordHashTable(longest, ASCII_SPACES)
    numbers, segments = encode(table, cut(text.encode(), places))
    words = [word for line in lines for word in line]
    first_met = {word: number for number, word in enumerate(dict.fromkeys(words))}
    assert numbers == [first_met[word] for word in words]
    assert [table.word(number).decode() for number in range(len(table))] == list(first_met)
    assert dict(zip(first_met, table.counts.tolist(), strict=True)) == Counter(words)
    pieces = [line[start : start + longest] for line in lines for start in range(0, len(line), longest)]
    assert segments == [[first_met[word] for word in piece] for piece in pieces]


@pytest.mark.parametrize("space", [bytes([space]) for space in ASCII_SPACES])
def test_every_white_space_separates_words(space: bytes) -> None:
    table = WordHashTable(7, ASCII_SPACES)
    numbers, segments = encode(table, [space + b"a" + space * 2 + b"b" + space])
    assert numbers == [0, 1]
    assert len(segments) == (2 if space == b"\n" else 1)


def test_hash_collisions_while_the_table_grows() -> None:
    alike = [word for pair in SAME_HASH for word in pair]
    table = WordHashTable(1000, ASCII_SPACES)
    for start in range(0, 6000, 300):
        others = [f"word{number}" for number in range(start, start + 300)]
        for block in (alike, others):
            table.encode(" ".join(block).encode() + b"\n")
    words = [*alike, *(f"word{number}" for number in range(6000))]
    assert [table.word(number).decode() for number in range(len(table))] == words
    assert table.counts.tolist() == [20] * len(alike) + [1] * 6000
    ids, _ = table.encode(" ".join(reversed(words)).encode())
    assert ids.tolist() == list(range(len(words)))[::-1]


def test_counts_start_at_zero() -> None:
    for _ in range(20):
        dirty = np.full(1 << 12, -1, np.int64)
        del dirty
        table = WordHashTable(5, ASCII_SPACES)
        table.encode(b"a b a\n" * 300)
        assert table.counts.tolist() == [600, 300]


def test_segments_span_blocks_but_not_files() -> None:
    table = WordHashTable(5, ASCII_SPACES)
    assert table.encode(b"a b ")[1].tolist() == []
    assert table.encode(b"c\nd ")[1].tolist() == [1]
    assert table.end_segment()
    assert not table.end_segment(), "there is none any more"
    ids, ends = table.encode(b"a\n")
    assert (ids.tolist(), ends.tolist()) == ([0], [1])


def fnv(word: str) -> int:
    """FNV-1a with 32 bits of sign-extended bytes, as fastText computes it, as a signed number."""
    hashed = 2166136261
    for byte in word.encode():
        hashed = ((hashed ^ (byte - 256 * (byte > 127))) & 0xFFFFFFFF) * 16777619 & 0xFFFFFFFF
    return hashed - (1 << 32) * (hashed >> 31)


def test_hashes_of_words() -> None:
    words = ["hello", "wörld", "語", "", "🙂"]
    assert hash_words(words).astype(np.int32).tolist() == [fnv(word) for word in words]


@given(lines, st.integers(1, 4), st.integers(1, 1000))
def test_word_ngrams(lines: list[list[str]], max_words: int, buckets: int) -> None:
    """The empty string stands for what is not a word; it is `c` here."""
    lines = [["" if word == "c" else word for word in line] for line in lines]
    words = sorted({word for line in lines for word in line})
    ids = np.array([words.index(word) for line in lines for word in line], np.int32)
    starts = np.cumsum([0, *map(len, lines)])
    expected = np.full((max_words - 1, len(ids)), -1)
    for line, start in zip(lines, starts[:-1].tolist(), strict=True):
        for first in range(len(line)):
            for size in range(2, min(max_words, len(line) - first) + 1):
                ngram, hashed = line[first : first + size], 0
                for word in ngram:
                    hashed = (hashed * 116049371 + fnv(word)) % (1 << 64)
                expected[size - 2, start + first] = hashed % buckets if all(ngram) else -1
    assert np.array_equal(hash_word_ngrams(ids, starts, words, max_words, buckets), expected)
