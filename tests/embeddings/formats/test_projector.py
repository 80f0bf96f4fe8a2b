"""The two files that TensorBoard's projector shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, WORDS, make_table, random_matrix, same_bits

from rnnkit.embeddings.formats import projector
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError


def test_rows_of_both_files_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_word_that_would_end_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a\\rb' cannot be written as the projector's table"):
        projector.write_files(tmp_path, VectorTable.of(["a\rb"], random_matrix(1)))
