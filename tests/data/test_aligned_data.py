"""Aligned data: write, read, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.data import aligned_data
from rnnkit.data.aligned_data import AlignedData, Padding
from rnnkit.data.aligned_data_writer import SentenceWriter, SideCounts, SplitCounts, write_data_manifest
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.text.special_tokens import EOS, PAD, UNK

Corpus = list[list[int]]

SENTENCES = st.lists(st.lists(st.integers(UNK, 9).filter(lambda row: row != EOS), max_size=5), max_size=12)


def made(
    folder: Path, corpora: dict[str, Corpus], size: int = 10, padding: Padding | None = None, split: str = "train"
) -> Path:
    """Write data of one split; EOS is added to each sentence."""
    counts = {}
    for language, corpus in corpora.items():
        with SentenceWriter(folder, split, language, size, padding) as writer:
            for ids in corpus:
                writer.append([*ids, EOS])
        counts[language] = writer.counts
    write_data_manifest(
        folder,
        splits={split: SplitCounts(counts, lines=99, dropped={"empty": 2})},
        vocabulary_size=dict.fromkeys(corpora, size),
        padding=padding,
        options={"max-length": 5},
        inputs={"vocabulary": "abc"},
    )
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(FormatError) as caught:
        AlignedData.open(folder)
    return str(caught.value)


def test_sentences_are_reversed_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligned_data, "REVERSED_AT_ONCE", 3)
    corpus = [[4, 5, 6], [], [7], [8, 9], [4, 4, 5, 6], [], [9, 8, 7]]
    backward = AlignedData.open(made(tmp_path, {"en": corpus})).side("train", "en").reversed()
    assert backward.ids.dtype == np.uint16
    assert [backward[number].tolist() for number in range(7)] == [[*ids[::-1], EOS] for ids in corpus]


@given(SENTENCES, st.sampled_from([None, Padding(6, "left"), Padding(6, "right"), Padding(9, "left")]))
def test_written_and_read_are_equal(
    tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, padding: Padding | None
) -> None:
    data = AlignedData.open(made(tmp_path_factory.mktemp("data"), {"en": corpus}, padding=padding))
    sentences = data.side("train", "en")
    assert [sentences[number].tolist() for number in range(len(sentences))] == [[*ids, EOS] for ids in corpus]
    assert sentences.lengths().tolist() == [len(ids) + 1 for ids in corpus]
    backward = sentences.reversed()
    assert [backward[number].tolist() for number in range(len(corpus))] == [[*ids[::-1], EOS] for ids in corpus]
    if padding is not None:
        rows = sentences.ids.reshape(-1, padding.length)
        assert len(rows) == len(corpus)
        at_end = 0 if padding.side == "left" else -1
        assert all(
            (row[at_end] == PAD) == (len(ids) + 1 < padding.length) for row, ids in zip(rows, corpus, strict=True)
        )


def test_what_is_known(tmp_path: Path) -> None:
    data = AlignedData.open(made(tmp_path, {"de": [[4], [5, 1, 1]], "en": [[], [6]]}))
    assert (data.task, data.sides, data.splits) == ("parallel", ("de", "en"), ("train",))
    assert data.vocabulary_size("de") == 10
    assert data.meta.inputs == {"vocabulary": "abc"}
    assert data.meta.facts["splits"]["train"] == {
        "lines": 99,
        "sentences": 2,
        "tokens": {"de": 6, "en": 3},
        "unknown": {"de": 2, "en": 0},
        "longest": {"de": 4, "en": 2},
        "dropped": {"empty": 2},
        "truncated": 0,
    }
    assert sorted(data.meta.files) == [
        f"train.{side}.{kind}.npy" for side in ("de", "en") for kind in ("ids", "offsets")
    ]
    with pytest.raises(DataError) as caught:
        data.side("test", "de")
    assert str(caught.value) == (
        f"{tmp_path} has no test.de\n  splits: train; sides: de, en\n  hint: `rnnkit align --test FILE…` adds a split"
    )
    with pytest.raises(IndexError, match="sentence 2 of 2"):
        data.side("train", "de")[2]


@pytest.mark.parametrize(("size", "dtype"), [(65_536, np.uint16), (65_537, np.int32)])
def test_ids_are_stored_narrow_where_they_fit(tmp_path: Path, size: int, dtype: type) -> None:
    data = AlignedData.open(made(tmp_path, {"en": [[size - 1]]}, size=size))
    assert data.side("train", "en").ids.dtype == dtype
    assert data.side("train", "en")[0].tolist() == [size - 1, EOS]


def test_many_sentences_are_flushed_in_between(tmp_path: Path) -> None:
    corpus = [[4 + number % 5] * (number % 7) for number in range(50_000)]
    sentences = AlignedData.open(made(tmp_path, {"en": corpus})).side("train", "en")
    assert len(sentences) == 50_000
    assert all(sentences[number].tolist() == [*corpus[number], EOS] for number in (0, 1, 23_456, 49_999))
    assert sentences.lengths().tolist() == [len(ids) + 1 for ids in corpus]


def test_counts_leave_padding_out(tmp_path: Path) -> None:
    with SentenceWriter(tmp_path, "train", "en", 10, Padding(8, "right")) as writer:
        writer.append([UNK, 4, EOS])
    assert writer.counts == SideCounts(sentences=1, tokens=3, unknown=1, longest=3)


def test_an_error_closes_the_files(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), SentenceWriter(tmp_path, "train", "en", 10) as writer:
        writer.append([4, EOS])
        raise RuntimeError


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no data at"):
        AlignedData.open(tmp_path / "none")
    meta = made(tmp_path, {"en": [[4]]}) / "meta.json"
    document = json.loads(meta.read_text())
    meta.write_text(json.dumps({**document, "version": 2}))
    assert "has format version 2; this rnnkit reads up to 1" in refused(tmp_path)
    meta.write_text(json.dumps({**document, "kind": "model"}))
    with pytest.raises(ArtefactError, match="is model, not data"):
        AlignedData.open(tmp_path)
    for facts in ({}, {**document["facts"], "splits": 3}, {**document["facts"], "vocabulary_size": {"en": "x"}}):
        meta.write_text(json.dumps({**document, "facts": facts}))
        assert refused(tmp_path).startswith(f"{meta} is damaged")


def test_a_folder_moved_aside_by_a_crash_is_found(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made(tmp_path / "data", {"en": [[4]]}).rename(tmp_path / ".data.old")
    with pytest.raises(DataError) as caught:
        AlignedData.open(tmp_path / "data")
    assert f"mv {tmp_path / '.data.old'}" in str(caught.value.hint)


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    ids, offsets = (tmp_path / f"train.en.{kind}.npy" for kind in ("ids", "offsets"))

    def again() -> None:
        made(tmp_path, {"en": [[4, 5], [6]]})

    again()
    ids.write_bytes(ids.read_bytes()[:-1])
    assert refused(tmp_path).splitlines()[0] == f"{ids} is damaged or truncated"
    again()
    ids.unlink()
    assert refused(tmp_path).splitlines()[0] == f"{ids} is missing"
    again()
    np.save(offsets, np.array([0, 3]))
    assert refused(tmp_path) == f"{offsets} has 2 offsets\n  meta.json records 2 sentences, 3 offsets"
    np.save(offsets, np.array([0, 4, 3]))
    assert refused(tmp_path) == f"{offsets} is damaged\n  an offset is smaller than the one before it"
    np.save(offsets, np.array([-1, 3, 5]))
    assert "smaller" in refused(tmp_path)
    made(tmp_path, {"en": [[4, 5], [6], [7], [4]]})
    np.save(offsets, np.array([0, 2**63 - 1, -(2**63), -1, 9]))  # differences that wrap around are all positive
    assert "smaller" in refused(tmp_path)
    again()
    np.save(offsets, np.array([0, 3, 4]))
    assert refused(tmp_path) == (f"{offsets} does not fit train.en.ids.npy\n  offsets run from 0 to 4, there are 5 ids")
    again()
    np.save(ids, np.array([4, 5, 3, 10, 3], dtype=np.uint16))
    assert refused(tmp_path).startswith(f"{ids} is damaged\n  it contains id 10,")
    np.save(ids, np.array([4, 5, 3, -1, 3], dtype=np.int32))
    assert "it contains id -1" in refused(tmp_path)
