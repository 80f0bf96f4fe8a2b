"""The training text as ids on disk."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.embeddings import corpus as corpora
from rnnkit.embeddings.corpus import (
    Corpus,
    WordCounts,
    open_corpus,
    select_words,
    write_aligned_corpus,
    write_corpus,
    write_vocabulary_ids,
)
from rnnkit.errors import DataError, FormatError
from rnnkit.events import Event, Progress, null_listener
from rnnkit.kernels.word2vec_chunk import MAX_SEGMENT_WORDS
from rnnkit.text import special_tokens

FIRST = len(special_tokens.NAMES)


def made(folder: Path, *texts: str, min_count: int = 1) -> tuple[WordCounts, Corpus]:
    """Write a corpus of these texts; words are numbered after the special symbols."""
    paths = [folder / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    found = write_corpus(paths, folder, min_count, null_listener)
    write_vocabulary_ids(folder, found.vocabulary_ids(np.arange(FIRST, FIRST + len(found.words), dtype=np.int32)))
    return found, open_corpus(folder)


def words_of(found: WordCounts, rows: Sequence[int]) -> list[str]:
    """The words of some ids; a dash for special symbols."""
    names = ["-"] * FIRST + [word.decode() for word in found.words]
    return [names[row] for row in rows]


def check_rejected(counts: Sequence[int], min_count: int, *values: object, option: str | None = "--min-count") -> None:
    with raises(DataError, *values) as raised:
        select_words(np.array(counts, np.int64), lambda number: f"w{number}".encode(), min_count)
    assert raised.value.option == option


def test_words_come_by_frequency_and_ties_by_code_point(tmp_path: Path) -> None:
    found, corpus = made(tmp_path, "c b é b\n語 b é\n", "rare c\n", min_count=2)
    assert [word.decode() for word in found.words] == ["b", "c", "é"]
    assert found.counts.tolist() == [3, 2, 2]
    assert (found.distinct, corpus.tokens) == (5, 9)
    ids, segments = corpus.read_segments(0, 3)
    assert words_of(found, ids.tolist()) == ["c", "b", "é", "b", "-", "b", "é", "-", "c"]
    assert segments.tolist() == [0, 4, 7, 9]
    ids, segments = corpus.read_segments(1, 2)
    assert words_of(found, ids.tolist()) == ["-", "b", "é"]
    assert segments.tolist() == [0, 3], "indices within the batch"
    assert corpus.counts(FIRST + 3).tolist() == [0] * FIRST + [3, 2, 2], "rare words are not counted"


def test_files_end_segments_and_long_lines_are_split(tmp_path: Path) -> None:
    long = " ".join(["a", "b", "c"] * MAX_SEGMENT_WORDS)
    _, corpus = made(tmp_path, "a b", f"\n\n{long}\nc", "", "b\n")
    assert np.diff(corpus.segments).tolist() == [2, MAX_SEGMENT_WORDS, MAX_SEGMENT_WORDS, MAX_SEGMENT_WORDS, 1, 1]
    assert corpus.ids[:3].tolist() == [0, 1, 0], "the second file's first word does not stand behind the first's last"


def test_any_range_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "_BLOCK", 7)
    words = [f"w{number * number % 11}" for number in range(50)]
    found, corpus = made(tmp_path, "\n".join(words))
    for start, stop in [(0, 50), (0, 0), (3, 5), (49, 50), (45, 99), (50, 60)]:
        rows = corpus.rows[corpus.read(start, stop)].tolist()
        assert words_of(found, rows) == words[start:stop]
    counted = Counter(words)
    assert corpus.counts(FIRST + len(found.words)).tolist()[FIRST:] == [counted[w.decode()] for w in found.words]


def test_progress_events(tmp_path: Path) -> None:
    events: list[Event] = []
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"a b\na c\n"))
    write_corpus([path, path], tmp_path, 1, events.append)
    assert events[-1] == Progress("reading text", 8, None, "words", {"different": "3"}, finished=True)


def test_too_few_words_are_rejected() -> None:
    check_rejected([], 5, "empty", option=None)
    check_rejected([0, 0], 5, "empty", option=None)  # the special symbols of aligned data are not words
    check_rejected([4, 1_000, 3], 1_001, "all 3 ", "1001", "1,000 times", 1_007)
    check_rejected([1, 1], 2, "once among 2")
    check_rejected([1, 7, 3], 5, "'w1'", "--min-count 5")


def test_words_of_count_0_are_not_selected() -> None:
    found = select_words(np.array([0, 2, 0, 1]), lambda number: f"w{number}".encode(), 0)
    assert list(found.words) == [b"w1", b"w3"]


@pytest.mark.parametrize(
    "lengths",
    [
        [3, 0, 2],
        [MAX_SEGMENT_WORDS, 1],
        [MAX_SEGMENT_WORDS + 1],
        [2 * MAX_SEGMENT_WORDS, 0, 5, 2 * MAX_SEGMENT_WORDS + 7],
        [0, 0, 1, 0],
    ],
)
def test_aligned_sentences_are_segments(tmp_path: Path, lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "_BLOCK", 1001)
    generator = np.random.default_rng(3)
    ids = generator.integers(0, 9, sum(lengths)).astype(np.uint16)
    offsets = np.cumsum([0, *lengths])
    counts = write_aligned_corpus(SentenceDataset(ids, offsets), tmp_path, 11)
    assert counts.tolist() == [0] * FIRST + np.bincount(ids, minlength=11)[FIRST:].tolist()
    write_vocabulary_ids(tmp_path, np.arange(11, dtype=np.int32))
    corpus = open_corpus(tmp_path)
    assert corpus.tokens == len(ids)
    assert corpus.ids.tolist() == ids.tolist()
    assert set(offsets.tolist()) <= set(corpus.segments.tolist())
    assert np.diff(corpus.segments).max() <= MAX_SEGMENT_WORDS
    pieces = sum(max(1, -(-length // MAX_SEGMENT_WORDS)) for length in lengths)
    assert len(corpus.segments) == pieces + 1, "no unnecessary split"
    batches = [corpus.read_segments(first, last)[0].tolist() for first, last in pairwise([0, 1, pieces])]
    assert [word for batch in batches for word in batch] == ids.tolist()


def test_damage_is_found(tmp_path: Path) -> None:
    made(tmp_path, "a b\n")
    (tmp_path / corpora.ROWS).unlink()
    with pytest.raises(FormatError, match=r"rows\.npy is missing"):
        open_corpus(tmp_path)
