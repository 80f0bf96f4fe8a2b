"""The two files of TensorBoard's Embedding Projector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, WORDS, make_table, random_matrix, same_bits
from tests.raising import raises

from rnnkit.embeddings.formats import projector
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError


def test_rows_of_both_files_correspond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "_BLOCK_ROWS", 2)
    table = make_table()
    projector.write_files(tmp_path, table)
    rows = (tmp_path / "vectors.tsv").read_text().removesuffix("\n").split("\n")
    assert same_bits(np.array([row.split("\t") for row in rows], np.float32), table.matrix_VD)
    header, *labels = (tmp_path / "metadata.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert header == "word\tcount"
    assert labels == [f"{word}\t{count}" for word, count in zip(WORDS, COUNTS, strict=True)]


def test_one_column_has_no_header(tmp_path: Path) -> None:
    projector.write_files(tmp_path, make_table(counted=False))
    assert (tmp_path / "metadata.tsv").read_text(encoding="utf-8").split("\n") == [*WORDS, ""]


def test_a_word_with_a_line_end(tmp_path: Path) -> None:
    with raises(DataError, r"'a\rb'"):
        projector.write_files(tmp_path, VectorTable.of(["a\rb"], random_matrix(1)))
