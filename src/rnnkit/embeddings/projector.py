"""Export for TensorBoard's embedding projector: a folder with `vectors.tsv` and `metadata.tsv`, written only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rnnkit.embeddings.rows import format_rows
from rnnkit.embeddings.spelling import refuse_unfit
from rnnkit.embeddings.table import Table

VECTORS: Final = "vectors.tsv"
METADATA: Final = "metadata.tsv"
_BLOCK_ROWS = 1024


def fill(folder: Path, table: Table) -> None:
    """Write both files into a folder.

    Raises:
        DataError: A vector is not finite, or a word cannot be written.
    """
    words = refuse_unfit(table, "the projector's table", b"\r")
    counts = table.words.counts
    with (folder / VECTORS).open("wb") as file:
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = format_rows(table.matrix_VD[start : start + _BLOCK_ROWS], "\t")
            file.writelines(b"%b\n" % row for row in rows)
    with (folder / METADATA).open("wb") as file:
        if counts is None:  # the projector wants names of columns only where there are several
            file.writelines(b"%b\n" % word for word in words)
        else:
            file.write(b"word\tcount\n")
            file.writelines(b"%b\t%d\n" % pair for pair in zip(words, counts.tolist(), strict=True))
