"""Sentences as sparse matrices: a one-hot row per token, or a bag-of-words row per sentence.

The files are in the format of `scipy.sparse.load_npz`: compressed sparse rows, one column per vocabulary entry. A
one-hot file also contains `offsets`: sentence i is rows offsets[i] to offsets[i + 1].
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.io.npy import IntArray, NpyWriter
from rnnkit.text.special_tokens import EOS, PAD

ONE_HOT: Final = "onehot"
BAG_OF_WORDS: Final = "bow"
KINDS: Final = (ONE_HOT, BAG_OF_WORDS)

_BLOCK_IDS: Final = 1 << 15


@dataclass(frozen=True)
class MatrixShape:
    """Size of a written matrix.

    Attributes:
        rows: Tokens (one-hot) or sentences (bag of words).
        columns: Vocabulary size.
        entries: Nonzero entries.
    """

    rows: int
    columns: int
    entries: int


def write_matrix(file: IO[bytes], kind: str, sentences: SentenceDataset, vocabulary_size: int) -> MatrixShape:
    """Write one side of one split as a sparse matrix, in constant memory.

    EOS and PAD are left out, because they are not part of the text.

    Args:
        file: New binary file.
        kind: `onehot` or `bow`.
        sentences: The sentences.
        vocabulary_size: Number of columns.
    """
    with TemporaryDirectory() as folder:
        arrays = _CsrWriter(Path(folder), kind)
        for ids, offsets in _blocks(sentences):
            arrays.add(ids, offsets, vocabulary_size)
        names = arrays.close()
        shape = MatrixShape(arrays.rows, vocabulary_size, arrays.entries)
        with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            _write_array(archive, "format", np.array(b"csr"))
            _write_array(archive, "shape", np.array([shape.rows, shape.columns], dtype="<i8"))
            for name in names:
                with (Path(folder) / name).open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
    return shape


class _CsrWriter:
    """The arrays of a CSR matrix, written to disk until their lengths are known."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.rows = self.entries = 0
        value = np.uint8 if kind == ONE_HOT else np.int32
        names = {"indices": np.int32, "indptr": np.int64, "data": value}
        if kind == ONE_HOT:
            names["offsets"] = np.int64
        self._files = {name: NpyWriter(folder / f"{name}.npy", dtype) for name, dtype in names.items()}
        for name in names.keys() & {"indptr", "offsets"}:
            self._files[name].append(np.zeros(1, dtype=np.int64))

    def add(self, ids: IntArray, offsets: NDArray[np.int64], vocabulary_size: int) -> None:
        """Append sentences: the concatenated `ids`, and their `offsets` from 0."""
        if self.kind == ONE_HOT:
            columns, counts = ids, np.ones(len(ids), dtype=np.uint8)
            ends = np.arange(1, len(ids) + 1)
            self._files["offsets"].append(offsets[1:] + self.rows)
        else:
            sentence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            cells, counts = np.unique(sentence * vocabulary_size + ids, return_counts=True)
            columns = cells % vocabulary_size
            ends = np.searchsorted(cells, np.arange(1, len(offsets)) * vocabulary_size)
        self._files["indices"].append(columns)
        self._files["data"].append(counts)
        self._files["indptr"].append(ends + self.entries)
        self.rows += len(ends)
        self.entries += len(columns)

    def close(self) -> list[str]:
        """Close the files and return their names."""
        for file in self._files.values():
            file.close()
        return [f"{name}.npy" for name in self._files]


def _blocks(sentences: SentenceDataset) -> Iterator[tuple[IntArray, NDArray[np.int64]]]:
    """Yield consecutive sentences without EOS and PAD: their ids, and their offsets from 0."""
    start = 0
    while start < len(sentences):
        last = int(np.searchsorted(sentences.offsets, sentences.offsets[start] + _BLOCK_IDS, side="right")) - 1
        stop = min(max(start + 1, last), len(sentences))
        bounds = sentences.offsets[start : stop + 1].astype(np.int64)
        ids = sentences.ids[bounds[0] : bounds[-1]].astype(np.int64)
        kept = (ids != PAD) & (ids != EOS)
        before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
        yield ids[kept], before[bounds - bounds[0]]
        start = stop


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    with archive.open(f"{name}.npy", "w") as target:
        np.lib.format.write_array(target, array, allow_pickle=False)
