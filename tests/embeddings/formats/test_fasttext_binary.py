"""fastText's model file: what it holds, taken apart and put together again."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits

from rnnkit.embeddings import Vectors, formats
from rnnkit.embeddings.formats import FASTTEXT_BINARY, WRITERS
from rnnkit.embeddings.subword_ngrams import Subwords
from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.errors import DataError


@dataclass(frozen=True)
class Model:
    """A model file written field by field."""

    words: list[str] = field(default_factory=lambda: ["</s>", "abc", "de"])
    labels: list[str] = field(default_factory=list)
    rows: Matrix = field(default_factory=lambda: random_matrix(3 + 5))
    shortest: int = 2
    longest: int = 3
    buckets: int = 5
    version: int = 12
    pruned: int = -1
    quantised: bool = False
    entries: int = 3

    def content(self) -> bytes:
        arguments = [self.rows.shape[1], 5, 5, 1, 5, 1, 2, 2, self.buckets, self.shortest, self.longest, 100]
        parts = [struct.pack("<2i", 793712314, self.version), struct.pack("<12id", *arguments, 1e-4)]
        parts.append(struct.pack("<3i2q", self.entries, len(self.words), len(self.labels), 99, self.pruned))
        entries = [(word, 0) for word in self.words] + [(label, 1) for label in self.labels]
        parts += [word.encode() + b"\0" + struct.pack("<qb", 7, kind) for word, kind in entries]
        for matrix in (self.rows, self.rows[:3]):
            parts.append(struct.pack("<?2q", self.quantised, *matrix.shape) + matrix.astype("<f4").tobytes())
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
    assert Vectors(table)["unseen"] == pytest.approx(buckets[Subwords(2, 3, 5).rows("unseen")].mean(axis=0), abs=1e-6)


def test_a_classifier_has_labels_behind_its_words(tmp_path: Path) -> None:
    model = Model(labels=["__label__x", "__label__y"], entries=5, shortest=0, longest=0)
    table = load(tmp_path / "f", model.content())
    assert (list(table.words), table.subwords, table.buckets_KD) == (model.words, None, None)
    assert same_bits(table.matrix_VD, model.rows[:3])


@pytest.mark.parametrize("subwords", [SUBWORDS, Subwords(1, 1, 7), Subwords(3, 6, 1000)])
def test_what_was_taken_apart_is_put_together(tmp_path: Path, subwords: Subwords) -> None:
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
    assert struct.unpack_from("<3i2q", content, 64) == (5, 5, 0, 5, -1)  # counts of 1 where nobody counted


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(version=11), "f is of fastText's version 11\n  version 12 is read"),
        (Model(pruned=4), "f is a quantised fastText model\n  its vectors are compressed"),
        (Model(quantised=True), "f is a quantised fastText model\n  .*\n  hint: use the model's .bin file"),
        (Model(entries=4), "f is damaged\n  its header says 3 words and 0 labels, 4 entries, of dimension 3"),
        (Model(words=[], entries=0), "f is damaged\n  its header says 0 words"),
        (Model(rows=random_matrix(8, 1)[:, :0]), "f is damaged\n  its header says .* of dimension 0"),
        (Model(buckets=6), "f is damaged\n  its input matrix is 8 x 3, 9 x 3 follows from its header"),
        (Model(words=["a", "b", "a"]), "f: word 3: 'a' has a vector already\n  the first is at .*f: word 1"),
        (Model(words=["a", "", "b"]), "f: word 2: the word is missing"),
        (Model(rows=np.full((8, 3), np.nan, np.float32)), "f: word 1: the vector of '</s>' holds NaN or infinity"),
        (
            Model(rows=np.concatenate([random_matrix(7), np.full((1, 3), np.inf, np.float32)])),
            "f: the vector of bucket 4 holds NaN or infinity",
        ),
    ],
)
def test_models_that_are_refused(tmp_path: Path, model: Model, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path / "f", model.content())


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    content = bytearray(Model().content())
    struct.pack_into("<i", content, 8 + 56 + 4, 2_000_000_000)
    struct.pack_into("<i", content, 8 + 56, 2_000_000_000)
    with pytest.raises(DataError, match="f is damaged\n  its header says 2,000,000,000 words"):
        load(tmp_path / "f", bytes(content))
    content = bytearray(Model().content())
    place = content.index(b"de\0") + 3 + 9 + 1
    struct.pack_into("<q", content, place, 2_000_000_000)
    with pytest.raises(DataError, match="f is cut off\n  the input matrix would be 2,000,000,000 x 3"):
        load(tmp_path / "f", bytes(content))


def test_a_label_among_the_words(tmp_path: Path) -> None:
    content = bytearray(Model().content())
    content[content.index(b"abc\0") + 4 + 8] = 1
    with pytest.raises(DataError, match="f is damaged\n  word 2 of 3 is marked as of kind 1"):
        load(tmp_path / "f", bytes(content))
