"""fastText's model file: reading composes vectors, writing decomposes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits
from tests.raising import raises

from rnnkit.embeddings import WordVectors, formats
from rnnkit.embeddings.formats import FASTTEXT_BINARY, WRITERS
from rnnkit.embeddings.vector_table import Matrix, Subwords, VectorTable
from rnnkit.errors import DataError


@dataclass(frozen=True)
class Model:
    """A model file written field by field."""

    words: list[str] = field(default_factory=lambda: ["</s>", "abc", "de"])
    labels: list[str] = field(default_factory=list)
    rows: Matrix = field(default_factory=lambda: random_matrix(3 + 5))
    min_length: int = 2
    max_length: int = 3
    buckets: int = 5
    version: int = 12
    pruned: int = -1
    quantized: bool = False
    entries: int = 3

    def content(self) -> bytes:
        arguments = [self.rows.shape[1], 5, 5, 1, 5, 1, 2, 2, self.buckets, self.min_length, self.max_length, 100]
        parts = [struct.pack("<2i", 793712314, self.version), struct.pack("<12id", *arguments, 1e-4)]
        parts.append(struct.pack("<3i2q", self.entries, len(self.words), len(self.labels), 99, self.pruned))
        entries = [(word, 0) for word in self.words] + [(label, 1) for label in self.labels]
        parts += [word.encode() + b"\0" + struct.pack("<qb", 7, kind) for word, kind in entries]
        for matrix in (self.rows, self.rows[:3]):
            parts.append(struct.pack("<?2q", self.quantized, *matrix.shape) + matrix.astype("<f4").tobytes())
        return b"".join(parts)


def load(path: Path, content: bytes) -> VectorTable:
    path.write_bytes(content)
    return formats.load(path)


def test_a_word_is_the_mean_of_its_row_and_its_ngrams(tmp_path: Path) -> None:
    model = Model()
    table = load(tmp_path / "f", model.content())
    assert (list(table.words), table.subwords) == (model.words, Subwords(2, 3, 5))
    assert table.words.counts is not None
    assert table.words.counts.tolist() == [7, 7, 7]
    buckets = model.rows[3:]
    ngrams = ["<d", "<de", "de", "de>", "e>"]
    rows = [model.rows[2], *(buckets[Subwords(2, 3, 5).rows("de")])]
    assert len(rows) == 1 + len(ngrams)
    assert table.matrix_VD[2] == pytest.approx(np.mean(rows, axis=0), abs=1e-6)
    assert table.matrix_VD[0] == pytest.approx(model.rows[0])  # the end of the sentence has no n-grams
    assert WordVectors(table)["unseen"] == pytest.approx(
        buckets[Subwords(2, 3, 5).rows("unseen")].mean(axis=0), abs=1e-6
    )


def test_a_classifier_has_labels_after_its_words(tmp_path: Path) -> None:
    model = Model(labels=["__label__x", "__label__y"], entries=5, min_length=0, max_length=0)
    table = load(tmp_path / "f", model.content())
    assert (list(table.words), table.subwords, table.buckets_KD) == (model.words, None, None)
    assert same_bits(table.matrix_VD, model.rows[:3])


@pytest.mark.parametrize("subwords", [SUBWORDS, Subwords(1, 1, 7), Subwords(3, 6, 1000)])
def test_round_trip(tmp_path: Path, subwords: Subwords) -> None:
    table = replace(make_table(), subwords=subwords, buckets_KD=random_matrix(subwords.buckets, seed=8))
    WRITERS[FASTTEXT_BINARY](tmp_path / "f", table)
    found = formats.load(tmp_path / "f")
    assert (list(found.words), found.subwords) == (WORDS, subwords)
    assert found.words.counts is not None
    assert found.words.counts.tolist() == COUNTS
    assert np.allclose(found.matrix_VD, table.matrix_VD, atol=1e-6)
    assert found.buckets_KD is not None
    assert table.buckets_KD is not None
    assert same_bits(found.buckets_KD, table.buckets_KD)


def test_counts_and_contexts_are_written(tmp_path: Path) -> None:
    table = replace(make_table(counted=False), contexts_VD=random_matrix(5, seed=9))
    WRITERS[FASTTEXT_BINARY](tmp_path / "f", table)
    content = (tmp_path / "f").read_bytes()
    assert table.contexts_VD is not None
    assert content.endswith(struct.pack("<?2q", False, 5, 3) + table.contexts_VD.tobytes())
    assert struct.unpack_from("<3i2q", content, 64) == (5, 5, 0, 5, -1)  # counts of 1 if unknown


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Model(version=11), ["version 11", "version 12"]),
        (Model(pruned=4), ["quantized"]),
        (Model(quantized=True), ["quantized", ".bin"]),
        (Model(entries=4), ["damaged", "3 words", "0 labels", "4 entries", "dimension 3"]),
        (Model(words=[], entries=0), ["damaged", "0 words"]),
        (Model(rows=random_matrix(8, 1)[:, :0]), ["damaged", "dimension 0"]),
        (Model(buckets=6), ["damaged", "8 x 3", "9 x 3"]),
        (Model(words=["a", "b", "a"]), ["word 3", "'a'", "word 1"]),
        (Model(words=["a", "", "b"]), ["word 2", "word is missing"]),
        (Model(rows=np.full((8, 3), np.nan, np.float32)), ["word 1", "'</s>'", "NaN"]),
        (Model(rows=np.concatenate([random_matrix(7), np.full((1, 3), np.inf, np.float32)])), ["bucket 4", "NaN"]),
    ],
)
def test_models_that_are_rejected(tmp_path: Path, model: Model, values: list[str]) -> None:
    with raises(DataError, *values, path=tmp_path / "f"):
        load(tmp_path / "f", model.content())


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    content = bytearray(Model().content())
    struct.pack_into("<i", content, 8 + 56 + 4, 2_000_000_000)
    struct.pack_into("<i", content, 8 + 56, 2_000_000_000)
    with raises(DataError, "damaged", 2_000_000_000, path=tmp_path / "f"):
        load(tmp_path / "f", bytes(content))
    content = bytearray(Model().content())
    shape = content.index(b"de\0") + 3 + 9 + 1
    struct.pack_into("<q", content, shape, 2_000_000_000)
    with raises(DataError, "truncated", "2,000,000,000 x 3", path=tmp_path / "f"):
        load(tmp_path / "f", bytes(content))


def test_a_label_among_the_words(tmp_path: Path) -> None:
    content = bytearray(Model().content())
    content[content.index(b"abc\0") + 4 + 8] = 1
    with raises(DataError, "damaged", "word 2 of 3", "kind 1", path=tmp_path / "f"):
        load(tmp_path / "f", bytes(content))
