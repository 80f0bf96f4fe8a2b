"""Sparse matrices of aligned data."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.data import sparse_matrices
from rnnkit.data.aligned_data import Padding, SentenceDataset
from rnnkit.data.sparse_matrices import BAG_OF_WORDS, KINDS, ONE_HOT, write_matrix
from rnnkit.text.special_tokens import EOS

SIZE = 9
SENTENCES = st.lists(st.lists(st.integers(4, SIZE - 1), max_size=5), max_size=12)


def sentences(corpus: list[list[int]], padding: Padding | None) -> SentenceDataset:
    lengths = np.array([len(ids) + 1 for ids in corpus], dtype=np.int64)
    flat = np.array([row for ids in corpus for row in (*ids, EOS)], dtype=np.uint16)
    if padding is None:
        return SentenceDataset(flat, np.cumsum([0, *lengths]))
    rows = padding.apply(flat, lengths)
    return SentenceDataset(rows.reshape(-1), np.arange(len(corpus) + 1) * padding.length, True)


def dense(content: bytes) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """A matrix from the arrays of compressed sparse rows."""
    arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
    assert arrays["format"].item() == b"csr"
    matrix = np.zeros(arrays["shape"], dtype=np.int64)
    for row in range(len(matrix)):
        span = slice(arrays["indptr"][row], arrays["indptr"][row + 1])
        matrix[row, arrays["indices"][span]] = arrays["data"][span]
    return matrix, arrays


@pytest.mark.parametrize("block", [4, 1 << 15])
@given(corpus=SENTENCES, padding=st.sampled_from([None, Padding(6, "left"), Padding(7, "right")]))
def test_rows_represent_the_sentences(block: int, corpus: list[list[int]], padding: Padding | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_matrices, "_BLOCK_IDS", block)
        written = {kind: io.BytesIO() for kind in KINDS}
        shapes = {kind: write_matrix(file, kind, sentences(corpus, padding), SIZE) for kind, file in written.items()}
    bags, _ = dense(written[BAG_OF_WORDS].getvalue())
    assert bags.tolist() == [np.bincount(ids, minlength=SIZE).tolist() for ids in corpus]
    rows, arrays = dense(written[ONE_HOT].getvalue())
    flat = [row for ids in corpus for row in ids]
    assert rows.tolist() == np.eye(SIZE, dtype=np.int64)[flat].tolist()
    assert arrays["offsets"].tolist() == np.cumsum([0, *map(len, corpus)]).tolist()
    assert shapes[ONE_HOT].entries == shapes[ONE_HOT].rows == len(flat)
    assert shapes[BAG_OF_WORDS].entries == np.count_nonzero(bags)


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        with path.open("wb") as file:
            write_matrix(file, BAG_OF_WORDS, sentences([[4, 5, 4]], None), SIZE)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_scipy_reads_them(tmp_path: Path) -> None:
    scipy_sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    path = tmp_path / "bags.npz"
    with path.open("wb") as file:
        write_matrix(file, BAG_OF_WORDS, sentences([[4, 5, 4], []], None), SIZE)
    assert scipy_sparse.load_npz(path).toarray().tolist() == [[0, 0, 0, 0, 2, 1, 0, 0, 0], [0] * SIZE]
