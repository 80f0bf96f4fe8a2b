"""Files of word vectors: which format one is of, and the way in and out of each."""

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
"""Formats that `detect_format` distinguishes; fastText's `.vec` is word2vec's text."""

WRITERS: Final[dict[str, Callable[[str | os.PathLike[str], VectorTable], None]]] = {
    WORD2VEC: word2vec_text.write,
    WORD2VEC_BINARY: word2vec_binary.write,
    FASTTEXT: word2vec_text.write,
    FASTTEXT_BINARY: fasttext_binary.write,
    GLOVE: glove.write,
}
"""Formats of one file."""


def load(path: str | os.PathLike[str], repair: bool = False) -> VectorTable:
    """Open a vectors directory, or read a file of a format that its content tells; the file may be a pipe.

    Args:
        path: Where.
        repair: Read an imperfect file too: repair or skip what is wrong. The table has the record, `repairs`.

    Raises:
        DataError: There is nothing, or it is not of these formats, or malformed.
        FormatError: The directory is damaged or of a newer version.
        ArtefactError: It is a directory of another kind.
    """
    path = Path(path)
    if not path.exists():
        hint = manifest.interrupted_replacement_hint(path) or manifest.CREATION_HINTS[vectors_directory.KIND]
        raise DataError(f"there are no vectors at {path}", hint=hint)
    repairs = Repairs(path) if repair else None
    if path.is_dir():
        return replace(vectors_directory.read(path), repairs=repairs)
    with open_vector_file(path) as source:
        head = source.peek(HEAD_BYTES)
        kind = detect_format(head) or (detect_imperfect_format(head) if repair else None)
        if kind is None:
            raise unknown_format_error(source, head)
        return replace(READERS[kind](source, repairs), repairs=repairs)
