"""Shortlists: their candidates, and rejection of damaged files and other vocabularies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.alignment.shortlist import Shortlist, most_frequent_words, top_translations, write_shortlist
from rnnkit.alignment.translation_table import TranslationTable
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

DIGESTS = {"vocabulary.source": "5" * 64, "vocabulary.target": "7" * 64}
ROWS = {4: [9, 5, 7], 5: [], 6: [5], 7: [11, 10, 9, 8, 7]}
"""Translations of some source words, most probable first."""

SIZE, TARGET_SIZE = 8, 12


def lexicon(rows: dict[int, list[int]] = ROWS, size: int = SIZE) -> TranslationTable:
    lengths = [len(rows.get(source, [])) for source in range(size)]
    targets = [target for source in range(size) for target in rows.get(source, [])]
    p_E = np.concatenate([np.empty(0), *(np.arange(length, 0, -1) for length in lengths)])
    return TranslationTable(np.cumsum([0, *lengths], dtype=np.int64), np.array(targets, dtype=np.int32), p_E)


def write(folder: Path, rows: dict[int, list[int]] = ROWS, best: int = 3, copy: bool = False) -> Shortlist:
    always = np.array([UNK, EOS, 6], dtype=np.int32)
    write_shortlist(
        folder, top_translations(lexicon(rows), best, copy), always, TARGET_SIZE, options={}, inputs=DIGESTS
    )
    return Shortlist.open(folder)


def test_candidates(tmp_path: Path) -> None:
    shortlist = write(tmp_path / "shortlist")
    assert shortlist.candidates(np.array([4])).tolist() == [UNK, EOS, 5, 6, 7, 9]
    assert shortlist.candidates(np.array([[7, 7, 6], [EOS, PAD, UNK]], dtype=np.uint16)).tolist() == [
        1,
        3,
        5,
        6,
        9,
        10,
        11,
    ]
    assert shortlist.candidates(np.array([5])).tolist() == [UNK, EOS, 6]
    nothing = shortlist.candidates(np.array([], dtype=np.int64))
    assert nothing.tolist() == [UNK, EOS, 6]
    assert nothing.dtype == np.dtype(np.int64)


def test_batch_candidates_of_each_sentence(tmp_path: Path) -> None:
    shortlist = write(tmp_path / "shortlist")
    source_BS = np.array([[4, EOS, PAD], [5, 5, EOS], [7, 6, EOS]])
    ids_C, own_BC = shortlist.batch_candidates(source_BS)
    assert ids_C.tolist() == shortlist.candidates(source_BS).tolist()
    for source_S, own_C in zip(source_BS, own_BC, strict=True):
        assert ids_C[own_C].tolist() == shortlist.candidates(source_S).tolist()


def test_words_may_be_their_own_candidates(tmp_path: Path) -> None:
    shortlist = write(tmp_path / "shortlist", copy=True)
    assert shortlist.candidates(np.array([5])).tolist() == [UNK, EOS, 5, 6]
    assert shortlist.candidates(np.array([PAD, BOS])).tolist() == [UNK, EOS, 6]


@given(
    rows=st.dictionaries(st.integers(4, SIZE - 1), st.lists(st.integers(4, TARGET_SIZE - 1), unique=True)),
    best=st.integers(1, 5),
    ids=st.lists(st.integers(0, SIZE - 1), max_size=9),
)
def test_candidates_by_sets(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[int, list[int]], best: int, ids: list[int]
) -> None:
    shortlist = write(tmp_path_factory.mktemp("shortlist") / "it", rows, best)
    expected = {UNK, EOS, 6}.union(*(rows.get(word, [])[:best] for word in ids))
    assert shortlist.candidates(np.array(ids, dtype=np.int32)).tolist() == sorted(expected)


def test_most_frequent_words() -> None:
    counts = np.array([9, 9, 9, 9, 2, 0, 5, 2, 1])
    assert most_frequent_words(counts, 2).tolist() == [UNK, EOS, 4, 6]
    assert most_frequent_words(counts, 100).tolist() == [UNK, EOS, 4, 6, 7, 8]
    assert most_frequent_words(counts, 0).tolist() == [UNK, EOS]
    assert counts[0] == 9


def test_empty_table(tmp_path: Path) -> None:
    assert write(tmp_path / "shortlist", {}).candidates(np.array([4])).tolist() == [UNK, EOS, 6]


def test_files_are_deterministic(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_vocabularies(tmp_path: Path) -> None:
    shortlist = write(tmp_path / "shortlist")
    shortlist.check_vocabularies("5" * 64, "7" * 64)
    for source, target, side, made_with in (("6" * 64, "7" * 64, "source", "5"), ("5" * 64, "6" * 64, "target", "7")):
        values = (side, f"{made_with * 12}…", f"{'6' * 12}…", "rnnkit align-words --shortlist DIR")
        with raises(ArtefactError, *values, path=tmp_path / "shortlist"):
            shortlist.check_vocabularies(source, target)


def test_other_directories_are_rejected(tmp_path: Path) -> None:
    with raises(DataError, tmp_path / "none", "shortlist"):
        Shortlist.open(tmp_path / "none")
    folder = tmp_path / "shortlist"
    write(folder)
    meta = json.loads((folder / manifest.NAME).read_text())
    (folder / manifest.NAME).write_text(json.dumps({**meta, "kind": "data"}))
    with raises(ArtefactError, folder, "data", "shortlist"):
        Shortlist.open(folder)
    (folder / manifest.NAME).write_text(json.dumps({**meta, "version": 2}))
    with raises(FormatError, folder, "version 2"):
        Shortlist.open(folder)
    (folder / manifest.NAME).write_text(json.dumps({**meta, "facts": {"vocabulary_size": 8}}))
    with raises(FormatError, folder / manifest.NAME, "damaged"):
        Shortlist.open(folder)


@pytest.mark.parametrize("name", ["offsets.npy", "targets.npy", "always.npy"])
def test_missing_and_truncated_files_are_rejected(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "shortlist"
    write(folder)
    whole = (folder / name).read_bytes()
    for content in (whole[:-3], whole + b"1234"):
        (folder / name).write_bytes(content)
        with raises(FormatError, folder / name, "damaged"):
            Shortlist.open(folder)
    (folder / name).unlink()
    with raises(FormatError, folder / name, "missing"):
        Shortlist.open(folder)


def test_inconsistent_arrays_are_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "shortlist"
    shortlist = write(folder)
    offsets, targets = np.array(shortlist.offset_S1), np.array(shortlist.target_C)
    del shortlist
    wrapping = offsets.copy()
    wrapping[1:4] = 2**63 - 1, -(2**63), -1  # all differences wrap around to positive ones
    arrays: list[tuple[str, np.ndarray, str]] = [
        ("offsets.npy", offsets[:-1], f"{SIZE} source words"),
        ("offsets.npy", offsets[::-1].copy(), f"{SIZE} source words"),
        ("offsets.npy", offsets + 1, f"{SIZE} source words"),
        ("offsets.npy", wrapping, f"{SIZE} source words"),
        ("targets.npy", targets[:-1], f"it has {len(targets) - 1}"),
        ("targets.npy", np.full_like(targets, TARGET_SIZE), f"to {TARGET_SIZE}"),
        ("always.npy", np.array([-1], dtype=np.int32), "from -1"),
    ]
    for name, array, value in arrays:
        write(folder)
        np.save(folder / name, array)
        with raises(FormatError, value, path=folder / name):
            Shortlist.open(folder)
    write(folder)
    np.save(folder / "always.npy", np.array([1.0]))
    with raises(FormatError, folder / "always.npy", "float64"):
        Shortlist.open(folder)
