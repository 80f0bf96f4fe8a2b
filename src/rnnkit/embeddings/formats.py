"""Files of word vectors: which format one is of, and the way in and out of each."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from rnnkit.embeddings import directory, fasttext_binary, glove, repaired_text, word2vec_binary, word2vec_text
from rnnkit.embeddings.rows import ROW, count_numbers
from rnnkit.embeddings.source import Source, open_source
from rnnkit.embeddings.table import Table
from rnnkit.errors import DataError
from rnnkit.io import manifest
from rnnkit.io.safe_reading import Repairs

WORD2VEC: Final = "word2vec"
WORD2VEC_BINARY: Final = "word2vec-binary"
FASTTEXT: Final = "fasttext"
FASTTEXT_BINARY: Final = "fasttext-binary"
GLOVE: Final = "glove"

READERS: Final[dict[str, Callable[[Source, Repairs | None], Table]]] = {
    WORD2VEC: word2vec_text.read,
    WORD2VEC_BINARY: word2vec_binary.read,
    FASTTEXT_BINARY: fasttext_binary.read,
    GLOVE: glove.read,
}
"""Formats that `recognise` tells apart; fastText's `.vec` is word2vec's text."""

WRITERS: Final[dict[str, Callable[[str | os.PathLike[str], Table], None]]] = {
    WORD2VEC: word2vec_text.write,
    WORD2VEC_BINARY: word2vec_binary.write,
    FASTTEXT: word2vec_text.write,
    FASTTEXT_BINARY: fasttext_binary.write,
    GLOVE: glove.write,
}
"""Formats of one file."""

HEAD: Final = 1 << 16
"""Bytes that `recognise` wants to see."""

_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")

_STRANGERS: Final = (
    (b"\x93NUMPY", "a NumPy array, which has no words", None),
    (b"PK\x03\x04", "a ZIP archive", "`unzip` it, if a file of word vectors is in it"),
    (b"<pad>\t", "a vocabulary of rnnkit", "name the vectors directory that holds it"),
    (b"\xff\xfe", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
    (b"\xfe\xff", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
)  # fmt: skip

_KNOWN = "read are vectors directories and files of word2vec, fastText and GloVe"


def load(path: str | os.PathLike[str], repair: bool = False) -> Table:
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
        hint = manifest.interrupted_replacement_hint(path) or manifest.CREATION_HINTS[directory.KIND]
        raise DataError(f"there are no vectors at {path}", hint=hint)
    repairs = Repairs(path) if repair else None
    if path.is_dir():
        return replace(directory.read(path), repairs=repairs)
    with open_source(path) as source:
        head = source.peek(HEAD)
        kind = recognise(head) or (recognise_imperfect(head) if repair else None)
        if kind is None:
            raise _unknown(source, head)
        return replace(READERS[kind](source, repairs), repairs=repairs)


def recognise(head: bytes) -> str | None:
    """The format of a file that begins like this; None where it is none of word vectors."""
    if head.startswith(fasttext_binary.MAGIC):
        return FASTTEXT_BINARY
    first, _, rest = head.partition(b"\n")
    if word2vec_text.HEADER.fullmatch(first):
        second = rest.partition(b"\n")[0]
        return WORD2VEC if ROW.fullmatch(second) or is_text(rest) else WORD2VEC_BINARY
    is_row = ROW.fullmatch(first) and count_numbers(first) >= glove.FEWEST_NUMBERS
    return GLOVE if is_row else None


def is_text(start: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters; a character cut at their end is forgiven."""
    if start.translate(None, _CONTROLS) != start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(start) - error.start < 4 and error.reason == "unexpected end of data"
    return True


def recognise_imperfect(head: bytes) -> str | None:
    """The format of a file that begins like this, if it is one that `--repair` reads and `recognise` does not."""
    first, _, rest = head.partition(b"\n")
    header = repaired_text.LOOSE_HEADER.fullmatch(first)
    if header is not None and int(header[2]):
        if is_text(rest) or repaired_text.looks_like_rows(rest, int(header[2])):
            return WORD2VEC
        return WORD2VEC_BINARY
    return GLOVE if repaired_text.looks_like_rows(head) else None


def pickle_error(path: Path, head: bytes) -> DataError | None:
    """The error that a file is a pickle of Python, as gensim's own `save` makes; None where it is not."""
    if head[:1] != b"\x80" or head[1:2] not in (b"\2", b"\3", b"\4", b"\5"):
        return None
    return DataError(
        f"{path} holds no word vectors that can be read",
        "it is a pickle of Python, as gensim's own `save` makes; it could run any code",
        hint="save it in gensim with `vectors.save_word2vec_format(path)`",
    )


def _unknown(source: Source, head: bytes) -> DataError:
    """What the file is instead."""
    path = Path(source.name)
    if not head:
        return DataError(f"{path} is empty", "a file of word vectors is wanted")
    if (error := pickle_error(path, head)) is not None:
        return error
    for start, what, hint in _STRANGERS:
        if head.startswith(start):
            return DataError(f"{path} holds no word vectors", f"it is {what}", hint=hint or _KNOWN)
    first = head.partition(b"\n")[0]
    kind = recognise_imperfect(head)
    if kind is not None and repaired_text.LOOSE_HEADER.fullmatch(first):
        why = "it should be `words dimension`, with one space between them"
        return DataError(f"{path}:1: the header has stray blanks", why, hint="--repair reads the file")
    if b"\t" in first and ROW.fullmatch(first.replace(b"\t", b" ")):
        mended = f"`tr '\\t' ' ' < {path}` makes them spaces; " if source.editable else ""
        return DataError(f"{path}:1: the numbers are parted by tabs", hint=f"{mended}--repair reads them as spaces")
    if kind is not None:
        why = "a word that holds a space, or a blank line, is the usual cause"
        return DataError(f"{path}:1: the first line is not a word and its numbers", why, hint="--repair reads the file")
    what = "a text whose first line is no word with numbers" if is_text(head) else "of no format that is known here"
    return DataError(f"{path} holds no word vectors", f"it is {what}", hint=_KNOWN)
