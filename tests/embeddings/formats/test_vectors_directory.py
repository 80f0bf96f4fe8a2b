"""The vectors directory: written atomically, opened without reading it, damage is located."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits, tables
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.embeddings import WordVectors, formats
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest
from rnnkit.text.vocabulary import Vocabulary


def write(folder: Path, table: VectorTable | None = None) -> Path:
    vectors_directory.write(folder, table or make_table(subwords=True), options={"top": 5}, inputs={"vectors": "ab"})
    return folder


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    table = make_table(subwords=True)
    found = formats.load(write(tmp_path / "embeddings", table))
    assert list(found.words) == WORDS
    assert found.words.counts is not None
    assert found.words.counts.tolist() == COUNTS
    assert same_bits(found.matrix_VD, table.matrix_VD)
    assert found.subwords == SUBWORDS
    assert found.buckets_KD is not None
    assert table.buckets_KD is not None
    assert same_bits(found.buckets_KD, table.buckets_KD)
    assert (found.contexts_VD, found.name) == (None, str(tmp_path / "embeddings"))


@settings(max_examples=40)
@given(tables())
def test_any_words_and_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, table: VectorTable) -> None:
    folder = tmp_path_factory.mktemp("directory") / "embeddings"
    vectors_directory.write(folder, table)
    found = formats.load(folder)
    assert list(found.words) == list(table.words)
    assert same_bits(found.matrix_VD, table.matrix_VD)
    assert found.words.counts is None


def test_files_match_the_documentation(tmp_path: Path) -> None:
    folder = write(tmp_path / "embeddings", VectorTable.of(["a", "ü"], random_matrix(2), [5, 2]))
    assert Vocabulary.load(folder / "vocab.tsv").tokens == ("<pad>", "<unk>", "<s>", "</s>", "a", "ü")
    rows = np.load(folder / "vectors.npy")
    assert (rows.dtype, rows.shape, rows.flags.c_contiguous) == (np.float32, (6, 3), True)
    assert not rows[:4].any()
    meta = manifest.load(folder / "meta.json")
    assert (meta.kind, meta.version, meta.options, meta.inputs) == ("vectors", 1, {"top": 5}, {"vectors": "ab"})
    assert meta.facts == {"words": 2, "dimension": 3, "subwords": None}
    assert sorted(meta.files) == ["vectors.npy", "vocab.tsv"]
    assert manifest.find_mismatches(folder) == []


def test_contexts_are_kept_and_metrics_are_not_listed(tmp_path: Path) -> None:
    table = VectorTable.of(["a", "b"], random_matrix(2), [5, 2])
    table = VectorTable(table.words, table.matrix_VD, contexts_VD=random_matrix(2, seed=9))
    folder = tmp_path / "embeddings"
    folder.mkdir()
    vectors_directory.write_files(folder, table)
    (folder / "metrics.jsonl").write_text("{}\n")
    vectors_directory.write_manifest(folder, table, facts={"epochs": 3})
    found = formats.load(folder)
    assert found.contexts_VD is not None
    assert table.contexts_VD is not None
    assert same_bits(found.contexts_VD, table.contexts_VD)
    first = found.first(1).contexts_VD
    assert first is not None
    assert first.shape == (1, 3)
    assert sorted(manifest.load(folder / "meta.json").files) == ["contexts.npy", "vectors.npy", "vocab.tsv"]
    assert manifest.load(folder / "meta.json").facts["epochs"] == 3


def test_vectors_are_mapped_read_only(tmp_path: Path) -> None:
    matrix = formats.load(write(tmp_path / "embeddings")).matrix_VD
    base: object = matrix
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


def test_a_word_spelled_like_a_special_symbol(tmp_path: Path) -> None:
    found = WordVectors.load(write(tmp_path / "embeddings", VectorTable.of(["</s>", "a"], random_matrix(2))))
    assert found["</s>"].any()
    assert "<pad>" not in found


@pytest.mark.parametrize("name", ["vocab.tsv", "vectors.npy", "subwords.npy"])
def test_a_truncated_or_missing_file(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "embeddings")
    path = folder / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with raises(FormatError, "damaged", size - 1, size, "--overwrite", path=path):
        formats.load(folder)
    path.unlink()
    with raises(FormatError, "missing", path=path):
        formats.load(folder)


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace a file, and update its size in the manifest."""
    (folder / name).write_bytes(content)
    document = json.loads((folder / "meta.json").read_bytes())
    document["files"][name]["size"] = len(content)
    (folder / "meta.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("<unk>", "<UNK>", ["<pad> <unk> <s> </s>"]),
        ("the\t900\n", "", ["4 words", "expected 5"]),
        ("the\t900", "the 900", ["vocab.tsv:5", "`word<TAB>count`"]),
    ],
)
def test_a_damaged_vocabulary(tmp_path: Path, old: str, new: str, values: list[str]) -> None:
    folder = write(tmp_path / "embeddings")
    text = (folder / "vocab.tsv").read_text(encoding="utf-8")
    replace_file(folder, "vocab.tsv", text.replace(old, new).encode())
    with raises(FormatError, *values, path=folder / "vocab.tsv"):
        formats.load(folder)


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (np.zeros((9, 4), np.float32), ["float32 of shape 9 x 4", "float32 of shape 9 x 3"]),
        (np.zeros((9, 3), np.float64), ["float64 of shape 9 x 3", "float32 of shape 9 x 3"]),
        (np.array([{}], object), ["damaged"]),
    ],
)
def test_an_array_of_wrong_type_or_shape(tmp_path: Path, array: np.ndarray, values: list[str]) -> None:
    folder = write(tmp_path / "embeddings")
    np.save(folder / "vectors.npy", array)
    replace_file(folder, "vectors.npy", (folder / "vectors.npy").read_bytes())
    with raises(FormatError, *values, path=folder / "vectors.npy"):
        formats.load(folder)


@pytest.mark.parametrize("facts", [{}, {"words": "five", "dimension": 3, "subwords": None}, {"words": 5}])
def test_a_damaged_manifest(tmp_path: Path, facts: dict[str, object]) -> None:
    folder = write(tmp_path / "embeddings")
    document = json.loads((folder / "meta.json").read_bytes())
    (folder / "meta.json").write_text(json.dumps({**document, "facts": facts}))
    with pytest.raises(FormatError, match=f"{folder / 'meta.json'} is damaged"):
        formats.load(folder)


def test_other_directories(tmp_path: Path) -> None:
    manifest.write(tmp_path / "meta.json", manifest.Manifest("data", 1))
    with pytest.raises(ArtefactError, match=f"{tmp_path} is data, not vectors"):
        formats.load(tmp_path)
    manifest.write(tmp_path / "meta.json", manifest.Manifest("vectors", 2))
    with pytest.raises(FormatError, match="has format version 2; this rnnkit reads up to 1"):
        formats.load(tmp_path)
    (tmp_path / "meta.json").unlink()
    with pytest.raises(DataError, match=r"meta\.json is missing"):
        formats.load(tmp_path)


def test_an_interrupted_replacement(tmp_path: Path) -> None:
    write(tmp_path / "embeddings").rename(tmp_path / ".embeddings.old")
    with pytest.raises(DataError) as caught:
        formats.load(tmp_path / "embeddings")
    assert f"`mv {tmp_path / '.embeddings.old'}" in str(caught.value.hint)


def test_vectors_with_nan(tmp_path: Path) -> None:
    folder = write(tmp_path / "embeddings")
    rows = np.load(folder / "vectors.npy")
    rows[6, 1] = np.nan
    np.save(folder / "vectors.npy", rows)
    vectors = WordVectors.load(folder)
    assert vectors["the"].any()
    with raises(FormatError, r"'New\xa0York'", "NaN", path=folder):
        vectors.neighbors("the")
    matrix = random_matrix(2)
    matrix[0] = np.inf
    with raises(FormatError, "'a'", "NaN"):
        vectors_directory.write(tmp_path / "new", VectorTable.of(["a", "b"], matrix))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("word", ["", "a b", "a\tb", "a\nb"])
def test_words_that_no_vocabulary_can_represent(tmp_path: Path, word: str) -> None:
    with raises(DataError, repr(word)):
        vectors_directory.write(tmp_path / "embeddings", VectorTable.of([word], random_matrix(1)))


def test_a_full_disk_keeps_the_old_directory(tmp_path: Path) -> None:
    folder = write(tmp_path / "embeddings")
    with raises(ArtefactError, path=folder), limit_files(150):
        write(folder, make_table(7))
    assert len(formats.load(folder).words) == 5
    assert manifest.find_mismatches(folder) == []
    assert list(tmp_path.iterdir()) == [folder]


def test_a_run_without_vectors_yet(tmp_path: Path) -> None:
    table = make_table(subwords=True)
    vectors_directory.write_words(tmp_path, table.words)
    vectors_directory.write_manifest(tmp_path, table)
    words, subwords = vectors_directory.read_words(tmp_path)
    assert (list(words), subwords) == (WORDS, SUBWORDS)
    with raises(DataError, "--resume", path=tmp_path):
        formats.load(tmp_path)


def table(seed: int, *, subwords: bool = True) -> VectorTable:
    made = make_table(subwords=subwords)
    return replace(made, matrix_VD=random_matrix(len(WORDS), seed=seed), contexts_VD=random_matrix(len(WORDS)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    vectors_directory.start_run(tmp_path, table(1), {"dimension": 3}, {"text.1": "ab"})
    return tmp_path


def test_a_run_starts_with_its_words(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["meta.json", "vocab.tsv"]
    words, subwords = vectors_directory.read_words(run)
    assert (list(words), words.counts is not None and words.counts.tolist(), subwords) == (WORDS, COUNTS, SUBWORDS)
    meta = manifest.load(run / manifest.NAME)
    assert (meta.options, meta.inputs, meta.facts["finished"]) == ({"dimension": 3}, {"text.1": "ab"}, False)
    with raises(DataError, "`rnnkit train-embeddings --resume`", path=run):
        formats.load(run)


def test_new_vectors_replace_older_ones(run: Path) -> None:
    for seed in (2, 3):
        vectors_directory.update_run(run, table(seed), {"finished": seed == 3, "loss": 0.5})
        read = formats.load(run)
        assert same_bits(read.matrix_VD, table(seed).matrix_VD)
        assert read.buckets_KD is not None and read.contexts_VD is not None
    assert sorted(path.name for path in run.iterdir()) == [
        "contexts.npy", "meta.json", "subwords.npy", "vectors.npy", "vocab.tsv",
    ]  # fmt: skip
    meta = manifest.load(run / manifest.NAME)
    assert (meta.options, meta.inputs, meta.facts["finished"]) == ({"dimension": 3}, {"text.1": "ab"}, True)
    assert manifest.find_mismatches(run) == []


def test_a_full_disk_leaves_the_old_vectors(run: Path) -> None:
    vectors_directory.update_run(run, table(2), {"finished": False})
    size = (run / vectors_directory.SUBWORDS).stat().st_size - 1
    with raises(ArtefactError, "disk"), limit_files(size):
        vectors_directory.update_run(run, table(3), {"finished": True})
    assert same_bits(formats.load(run).matrix_VD, table(2).matrix_VD)
    assert manifest.find_mismatches(run) == []
    assert not (run / "new").exists()


def test_a_kill_while_replacing_leaves_readable_vectors(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors_directory.update_run(run, table(2), {"finished": False})

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vectors_directory, "fsync_directory", killed)
    with pytest.raises(KeyboardInterrupt):
        vectors_directory.update_run(run, table(3), {"finished": True})
    monkeypatch.undo()
    assert same_bits(formats.load(run).matrix_VD, table(3).matrix_VD)
    vectors_directory.update_run(run, table(4), {"finished": True})
    assert manifest.find_mismatches(run) == []
