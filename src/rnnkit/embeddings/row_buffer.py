"""Rows gathered while they are read: memory follows what has been read, not what a header promises."""

from __future__ import annotations

import numpy as np

from rnnkit.embeddings.table import Matrix


class RowBuffer:
    """A matrix that grows by halves, in place where the system can.

    Args:
        dimension: Numbers in a row.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows = 0
        self._matrix: Matrix = np.empty((0, dimension), dtype=np.float32)

    def __len__(self) -> int:
        return self._rows

    def append(self, block_ND: Matrix) -> None:
        """Add rows (N, D) at the end."""
        wanted = self._rows + len(block_ND)
        if wanted > len(self._matrix):
            self._matrix.resize((int(1.5 * self._rows) + len(block_ND), self._dimension), refcheck=False)
        self._matrix[self._rows : wanted] = block_ND
        self._rows = wanted

    def rows(self) -> Matrix:
        """The rows so far (N, D): a view, to be let go before more are added."""
        return self._matrix[: self._rows]

    def row(self, number: int) -> Matrix:
        """A copy of one row (D,); -1 is the last."""
        row: Matrix = self._matrix[: self._rows][number].copy()
        return row

    def drop(self) -> None:
        """Take back the last row."""
        self._rows -= 1

    def take(self) -> Matrix:
        """The rows (V, D). The buffer is empty afterwards."""
        matrix, self._matrix = self._matrix, np.empty((0, self._dimension), dtype=np.float32)
        matrix.resize((self._rows, self._dimension), refcheck=False)
        self._rows = 0
        return matrix
