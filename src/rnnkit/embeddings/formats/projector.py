"""Export to TensorBoard's Embedding Projector: a directory with `vectors.tsv` and `metadata.tsv`; not read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats.text_rows import format_rows
from rnnkit.embeddings.formats.word_validation import check_writable
from rnnkit.embeddings.vector_table import VectorTable

VECTORS: Final = "vectors.tsv"
METADATA: Final = "metadata.tsv"
_BLOCK_ROWS = 1024


def write_files(folder: Path, table: VectorTable) -> None:
    """Write both files into an existing directory.

    Raises:
        DataError: A vector is not finite, or a word cannot be written.
    """
    words = check_writable(table, "the projector's table", b"\r")
    counts = table.words.counts
    with (folder / VECTORS).open("wb") as file:
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = format_rows(table.matrix_VD[start : start + _BLOCK_ROWS], "\t")
            file.writelines(b"%b\n" % row for row in rows)
    with (folder / METADATA).open("wb") as file:
        if counts is None:  # the projector expects column names only if there are several columns
            file.writelines(b"%b\n" % word for word in words)
        else:
            file.write(b"word\tcount\n")
            file.writelines(b"%b\t%d\n" % pair for pair in zip(words, counts.tolist(), strict=True))
