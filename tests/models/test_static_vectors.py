"""Static word vectors of a tagger or text classifier: look-up, scale, and the copy in the model directory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.raising import raises

from rnnkit.data.word_table import SparseRows, WordTable
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import manifest
from rnnkit.models.labelling import static_vectors
from rnnkit.models.labelling.static_vectors import StaticVectors, copy_vectors, load_vectors

DIMENSION = 5
SUBWORDS = Subwords(min_length=3, max_length=4, buckets=7)


def table_of(*words: str, subwords: bool = False) -> VectorTable:
    random = np.random.default_rng(3)
    matrix_VD = random.normal(2.0, 3.0, (len(words), DIMENSION)).astype(np.float32)
    buckets_KD = random.normal(0.0, 1.0, (SUBWORDS.buckets, DIMENSION)).astype(np.float32)
    return VectorTable.of(words, matrix_VD, None, *((SUBWORDS, buckets_KD) if subwords else ()))


def scaled(table: VectorTable) -> NDArray[np.float64]:
    """The definition: all vectors divided by the root of the mean squared length."""
    matrix_VD = table.matrix_VD.astype(np.float64)
    found: NDArray[np.float64] = matrix_VD / np.sqrt(np.square(matrix_VD).sum(1).mean())
    return found


@pytest.mark.parametrize(
    ("word", "words", "match"),
    [
        ("Haus", ["haus", "Haus"], "Haus"),
        ("Haus", ["haus"], "haus"),
        ("▁Haus", ["haus", "Haus", "▁Haus"], "▁Haus"),
        ("▁Haus", ["haus", "Haus"], "Haus"),
        ("▁HAUS", ["x", "haus"], "haus"),
        ("￭,￭", [","], ","),
        ("Haus", ["Häuser"], None),
    ],
)
def test_look_up_order(word: str, words: list[str], match: str | None) -> None:
    table = table_of(*words)
    found = StaticVectors(table).look_up(word)
    if match is None:
        assert found is None
    else:
        assert found is not None
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scaled(table)[words.index(match)], rtol=1e-5)


def test_other_words_are_composed_of_subwords() -> None:
    table = table_of("house", subwords=True)
    vectors = StaticVectors(table)
    assert table.buckets_KD is not None
    mean_D = table.buckets_KD[SUBWORDS.rows("houses")].mean(0)
    for word in ("houses", "￭houses"):
        found = vectors.look_up(word)
        assert found is not None
        np.testing.assert_allclose(found, mean_D * vectors.scale, rtol=1e-5)
    exact = vectors.look_up("House")
    assert exact is not None
    np.testing.assert_allclose(exact, scaled(table)[0], rtol=1e-5)


@pytest.mark.parametrize("block", [2, 1 << 14])
def test_the_mean_squared_length_is_one(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_vectors, "BLOCK_ROWS", block)
    words = ["a", "b", "c", "d", "e"]
    vectors = StaticVectors(table_of(*words))
    found = vectors.stack(vectors.look_up(word) for word in words)
    assert np.square(found).sum(1).mean() == pytest.approx(1, rel=1e-6)


def test_words_without_a_vector_have_zeros() -> None:
    table = table_of("a", "b", "</s>")
    table.matrix_VD[1] = 0
    vectors = StaticVectors(table)
    assert vectors.look_up("b") is None, "a vector of zeros"
    words = WordTable(["</s>", "x", "a", "b"], SparseRows.from_lists([[3], [4], [5], [6]]))
    extended = vectors.extend(words)
    assert extended.vectors_WD is not None
    np.testing.assert_array_equal(extended.vectors_WD.any(axis=1), [False, False, True, False])
    np.testing.assert_allclose(extended.vectors_WD[2], scaled(table)[0], rtol=1e-5)
    assert extended.with_features(lambda word: [1]).vectors_WD is extended.vectors_WD
    nothing = StaticVectors(VectorTable.of(["a"], np.zeros((1, 3), np.float32)))
    assert nothing.scale == 1
    assert nothing.look_up("a") is None


@pytest.mark.parametrize("block", [2, 1 << 14])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(value: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_vectors, "BLOCK_ROWS", block)
    table = table_of("a", "b", "c", "d", "e")
    table.matrix_VD[3, 2] = value
    with raises(FormatError, "the vector of 'd' contains NaN or infinity"):
        StaticVectors(table)


@pytest.mark.parametrize("subwords", [False, True])
def test_the_copy_has_the_same_vectors(tmp_path: Path, subwords: bool) -> None:
    table = table_of("a", "b", "c", subwords=subwords)
    original = StaticVectors(replace(table, contexts_VD=table.matrix_VD))
    copy_vectors(original, tmp_path)
    copy = load_vectors(tmp_path, DIMENSION)
    assert copy.equals(original)
    assert copy.scale == original.scale
    assert copy.table.contexts_VD is None
    for word in ("a", "C", "abc"):
        np.testing.assert_array_equal(copy.look_up(word), original.look_up(word))
    again = StaticVectors(vectors_directory.read(tmp_path / "word-vectors"))
    assert again.scale == original.scale, "computed from the copy"


def test_vectors_differ_by_words_numbers_and_subwords() -> None:
    table = table_of("a", "b", subwords=True)
    assert table.buckets_KD is not None
    same, whole = StaticVectors(table_of("a", "b", subwords=True)), StaticVectors(table)
    assert whole.equals(same)
    others = [
        table_of("a", "c", subwords=True),
        replace(table, matrix_VD=table.matrix_VD + 1),
        replace(table, buckets_KD=table.buckets_KD + 1),
        replace(table, subwords=replace(SUBWORDS, max_length=5)),
        replace(table, subwords=None, buckets_KD=None),
    ]
    assert [whole.equals(StaticVectors(other)) for other in others] == [False] * 5


@pytest.mark.parametrize("damage", ["removed", "dimension", "cut", "scale missing", "scale zero", "scale text", "kind"])
def test_a_damaged_copy_is_named(tmp_path: Path, damage: str) -> None:
    copy_vectors(StaticVectors(table_of("a", "b", "c")), tmp_path)
    folder = tmp_path / "word-vectors"
    dimension = DIMENSION
    if damage == "removed":
        shutil.rmtree(folder)
    elif damage == "dimension":
        dimension = 7
    elif damage == "cut":
        content = (folder / "vectors.npy").read_bytes()
        (folder / "vectors.npy").write_bytes(content[:-3])
    else:
        meta = manifest.load(folder / manifest.NAME)
        facts: dict[str, Any] = {name: value for name, value in meta.facts.items() if name != "scale"}
        if damage in ("scale zero", "scale text"):
            facts["scale"] = 0 if damage == "scale zero" else "x"
        kind = "tokens" if damage == "kind" else meta.kind
        manifest.write(folder / manifest.NAME, replace(meta, kind=kind, facts=facts))
    with raises(ArtefactError if damage == "kind" else FormatError, "word-vectors"):
        load_vectors(tmp_path, dimension)
