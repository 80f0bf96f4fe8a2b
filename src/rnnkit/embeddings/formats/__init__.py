"""Readers and writers of word-vector files.

`load` detects the format of a file by its first bytes; READERS and WRITERS map the names of formats to functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats import fasttext_binary, text_formats, text_repair, vectors_directory, word2vec_binary
from rnnkit.embeddings.formats.text_formats import ROW_PATTERN, count_numbers
from rnnkit.embeddings.formats.vector_reader import VectorReader, open_vector_file
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.errors import DataError
from rnnkit.io import manifest
from rnnkit.io.safe_reading import Repairs

WORD2VEC: Final = "word2vec"
WORD2VEC_BINARY: Final = "word2vec-binary"
FASTTEXT: Final = "fasttext"
FASTTEXT_BINARY: Final = "fasttext-binary"
GLOVE: Final = "glove"

HEAD_BYTES: Final = 1 << 16
"""Bytes of a file that detection needs."""

_CONTROL_CHARACTERS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")

_OTHER_FORMATS: Final = (
    (b"\x93NUMPY", "a NumPy array, which has no words", None),
    (b"PK\x03\x04", "a ZIP archive", "`unzip` it, if it contains a file of word vectors"),
    (b"<pad>\t", "a vocabulary of rnnkit", "use the vectors directory that contains it"),
    (b"\xff\xfe", "text in UTF-16", "convert it: `iconv -f UTF-16 -t UTF-8 FILE`"),
    (b"\xfe\xff", "text in UTF-16", "convert it: `iconv -f UTF-16 -t UTF-8 FILE`"),
)  # fmt: skip
"""Magic bytes of other formats, what they are, and what to do."""

_SUPPORTED = "supported are vectors directories and files of word2vec, fastText and GloVe"


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


def detect_format(head: bytes) -> str | None:
    """Detect the format from the first bytes of a file; None if it is not one of word vectors."""
    if head.startswith(fasttext_binary.MAGIC):
        return FASTTEXT_BINARY
    first, _, rest = head.partition(b"\n")
    if text_formats.HEADER_PATTERN.fullmatch(first):
        second = rest.partition(b"\n")[0]
        return WORD2VEC if ROW_PATTERN.fullmatch(second) or looks_like_text(rest) else WORD2VEC_BINARY
    is_row = ROW_PATTERN.fullmatch(first) and count_numbers(first) >= text_formats.MIN_GLOVE_DIMENSION
    return GLOVE if is_row else None


def detect_imperfect_format(head: bytes) -> str | None:
    """Detect the format of a file that `--repair` can read but `detect_format` does not recognize."""
    first, _, rest = head.partition(b"\n")
    header = text_repair.LOOSE_HEADER_PATTERN.fullmatch(first)
    if header is not None and int(header[2]):
        if looks_like_text(rest) or text_repair.looks_like_rows(rest, int(header[2])):
            return WORD2VEC
        return WORD2VEC_BINARY
    return GLOVE if text_repair.looks_like_rows(head) else None


def looks_like_text(start: bytes) -> bool:
    """Return whether bytes are UTF-8 without control characters; the last character may be incomplete."""
    if start.translate(None, _CONTROL_CHARACTERS) != start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(start) - error.start < 4 and error.reason == "unexpected end of data"
    return True


def unknown_format_error(reader: VectorReader, head: bytes) -> DataError:
    """Make the error for a file that is not of word vectors; it describes what the file is instead."""
    path = Path(reader.name)
    if not head:
        return DataError(f"{path} is empty", "expected a file of word vectors", path=path)
    if (error := pickle_error(path, head)) is not None:
        return error
    for magic, what, hint in _OTHER_FORMATS:
        if head.startswith(magic):
            return DataError(f"{path} contains no word vectors", f"it is {what}", hint=hint or _SUPPORTED, path=path)
    first = head.partition(b"\n")[0]
    format = detect_imperfect_format(head)
    if format is not None and text_repair.LOOSE_HEADER_PATTERN.fullmatch(first):
        what = f"{path}:1: the header has extra white space"
        why, hint = "expected `words dimension`, separated by one space", "--repair reads the file"
    elif b"\t" in first and ROW_PATTERN.fullmatch(first.replace(b"\t", b" ")):
        what = f"{path}:1: the numbers are separated by tabs"
        why = "expected spaces"
        convert = f"`tr '\\t' ' ' < {path}` converts them to spaces; " if reader.editable else ""
        hint = f"{convert}--repair reads them as spaces"
    elif format is not None:
        what = f"{path}:1: the first line is not a word followed by numbers"
        why, hint = "the usual cause is a word that contains a space, or a blank line", "--repair reads the file"
    else:
        text = "text whose first line is not a word followed by numbers"
        why = f"it is {text if looks_like_text(head) else 'of an unknown format'}"
        return DataError(f"{path} contains no word vectors", why, hint=_SUPPORTED, path=path)
    return DataError(what, why, hint=hint, path=path, line=1)


def pickle_error(path: Path, head: bytes) -> DataError | None:
    """Make the error for a Python pickle, the format of gensim's own `save`; None if the file is not a pickle."""
    if head[:1] != b"\x80" or head[1:2] not in (b"\2", b"\3", b"\4", b"\5"):
        return None
    return DataError(
        f"{path} contains no word vectors that can be read",
        "it is a Python pickle, as written by gensim's own `save`; loading it could execute arbitrary code",
        hint="save it in gensim with `vectors.save_word2vec_format(path)`",
        path=path,
    )


def _read_word2vec_text(reader: VectorReader, repairs: Repairs | None) -> VectorTable:
    return text_formats.read_word2vec(reader) if repairs is None else text_repair.read(reader, repairs, header=True)


def _read_glove(reader: VectorReader, repairs: Repairs | None) -> VectorTable:
    return text_formats.read_glove(reader) if repairs is None else text_repair.read(reader, repairs, header=False)


READERS: Final[dict[str, Callable[[VectorReader, Repairs | None], VectorTable]]] = {
    WORD2VEC: _read_word2vec_text,
    WORD2VEC_BINARY: word2vec_binary.read,
    FASTTEXT_BINARY: fasttext_binary.read,
    GLOVE: _read_glove,
}
"""Readers by detected format. fastText's `.vec` files are word2vec text."""

WRITERS: Final[dict[str, Callable[[str | os.PathLike[str], VectorTable], None]]] = {
    WORD2VEC: text_formats.write_word2vec,
    WORD2VEC_BINARY: word2vec_binary.write,
    FASTTEXT: text_formats.write_word2vec,
    FASTTEXT_BINARY: fasttext_binary.write,
    GLOVE: text_formats.write_glove,
}
"""Writers of single-file formats by the name of the format."""
