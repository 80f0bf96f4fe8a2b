"""Files of word vectors are known for what they are, and other files for what they are not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnkit.embeddings.formats import FASTTEXT, FASTTEXT_BINARY, GLOVE, WORD2VEC, WORD2VEC_BINARY, WRITERS
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.reports.artefact import describe

NAMES = {
    WORD2VEC: "word2vec text",
    FASTTEXT: "word2vec text",
    WORD2VEC_BINARY: "word2vec binary",
    FASTTEXT_BINARY: "fastText model",
    GLOVE: "GloVe text",
}


def table(**subwords: Any) -> VectorTable:
    return VectorTable.of([f"w{row}" for row in range(7)], np.full((7, 3), 0.5, np.float32), **subwords)


@pytest.mark.parametrize("format", sorted(NAMES))
@pytest.mark.parametrize("packed", [False, True])
def test_words_and_dimension(tmp_path: Path, format: str, packed: bool) -> None:
    path = tmp_path / "file"
    WRITERS[format](path, table())
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = describe(path)
    assert found.kind == NAMES[format]
    assert {name: found.facts[name] for name in ("bytes", "words", "dimension")} == {
        "bytes": path.stat().st_size,
        "words": 7,
        "dimension": 3,
    }


def test_subwords_of_a_model(tmp_path: Path) -> None:
    model = table(subwords=Subwords(2, 4, 9), buckets_KD=np.ones((9, 3), np.float32))
    WRITERS[FASTTEXT_BINARY](tmp_path / "f", model)
    facts = describe(tmp_path / "f").facts
    assert facts["subwords"] == {"min_length": 2, "max_length": 4, "buckets": 9}
    assert facts["labels"] is None


@pytest.mark.parametrize(
    "text",
    [
        "3 4\n",
        "3 4\nZwei Hunde.\n",
        "3 4\n5 6\n7 8\n",
        "0 0\na 1\n",
        "Kapitel 1 2\nEs war einmal\n",
        "Kapitel 1 2",
        "Lotto 1 2 3\nLotto 4 5\n",
        "the 1061396\nof 593677\n",
    ],
)
def test_other_texts_with_numbers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text"
    path.write_text(text)
    assert describe(path).kind == "text"


def test_bytes_behind_two_numbers(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("30 40\nfür\n".encode("latin-1"))
    assert describe(path).kind == "text"
