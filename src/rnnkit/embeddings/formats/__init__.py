"""Readers and writers of word-vector files.

`load` detects the format of a file by its content; READERS and WRITERS map the names of formats to functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats import (
    fasttext_binary,
    glove,
    vectors_directory,
    word2vec_binary,
    word2vec_text,
)
from rnnkit.embeddings.formats.detection import (
    FASTTEXT,
    FASTTEXT_BINARY,
    GLOVE,
    HEAD_BYTES,
    WORD2VEC,
    WORD2VEC_BINARY,
    detect_format,
    detect_imperfect_format,
    unknown_format_error,
)
from rnnkit.embeddings.formats.vector_reader import VectorReader, open_vector_file
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError
from rnnkit.io import manifest
from rnnkit.io.safe_reading import Repairs

__all__ = [
    "FASTTEXT", "FASTTEXT_BINARY", "GLOVE", "READERS", "WORD2VEC", "WORD2VEC_BINARY", "WRITERS", "load",
]  # fmt: skip

READERS: Final[dict[str, Callable[[VectorReader, Repairs | None], VectorTable]]] = {
    WORD2VEC: word2vec_text.read,
    WORD2VEC_BINARY: word2vec_binary.read,
    FASTTEXT_BINARY: fasttext_binary.read,
    GLOVE: glove.read,
}
"""Readers by detected format. fastText's `.vec` files are word2vec text."""

WRITERS: Final[dict[str, Callable[[str | os.PathLike[str], VectorTable], None]]] = {
    WORD2VEC: word2vec_text.write,
    WORD2VEC_BINARY: word2vec_binary.write,
    FASTTEXT: word2vec_text.write,
    FASTTEXT_BINARY: fasttext_binary.write,
    GLOVE: glove.write,
}
"""Writers of single-file formats by the name of the format."""


def load(path: str | os.PathLike[str], repair: bool = False) -> VectorTable:
    """Open a vectors directory, or read a file whose format is detected by its content.

    Args:
        path: The directory or file; a file may be compressed, and may be a pipe.
        repair: Accept an imperfect file: repair or skip what is malformed, and record it in the table's `repairs`.

    Raises:
        DataError: The path does not exist, or the file is malformed or of an unknown format.
        FormatError: The directory is damaged or of a newer version.
        ArtefactError: The directory is of another kind.
    """
    path = Path(path)
    if not path.exists():
        hint = manifest.interrupted_replacement_hint(path) or manifest.CREATION_HINTS[vectors_directory.KIND]
        raise DataError(f"there are no vectors at {path}", hint=hint, path=path)
    repairs = Repairs(path) if repair else None
    if path.is_dir():
        return replace(vectors_directory.read(path), repairs=repairs)
    with open_vector_file(path) as reader:
        head = reader.peek(HEAD_BYTES)
        format = detect_format(head) or (detect_imperfect_format(head) if repair else None)
        if format is None:
            raise unknown_format_error(reader, head)
        return replace(READERS[format](reader, repairs), repairs=repairs)
