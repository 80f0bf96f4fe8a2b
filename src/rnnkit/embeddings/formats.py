"""Files of word vectors: which format one is of, and the way in and out of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from rnnkit.embeddings import directory, fasttext_binary, glove, word2vec_binary, word2vec_text
from rnnkit.embeddings.rows import ROW, count_numbers
from rnnkit.embeddings.source import Source, open_source
from rnnkit.embeddings.table import Table
from rnnkit.errors import DataError
from rnnkit.files import manifest

WORD2VEC: Final = "word2vec"
WORD2VEC_BINARY: Final = "word2vec-binary"
FASTTEXT: Final = "fasttext"
FASTTEXT_BINARY: Final = "fasttext-binary"
GLOVE: Final = "glove"

READERS: Final[dict[str, Callable[[Source], Table]]] = {
    WORD2VEC: word2vec_text.read,
    WORD2VEC_BINARY: word2vec_binary.read,
    FASTTEXT_BINARY: fasttext_binary.read,
    GLOVE: glove.read,
}
"""Formats that `recognise` tells apart; fastText's `.vec` is word2vec's text."""

WRITERS: Final[dict[str, Callable[[Path, Table], None]]] = {
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
    (b"\x80", "a pickle of Python, as gensim's own `save` makes; it could run any code", "save it in gensim with "
     "`vectors.save_word2vec_format(path)`"),
    (b"<pad>\t", "a vocabulary of rnnkit", "name the vectors directory that holds it"),
    (b"\xff\xfe", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
    (b"\xfe\xff", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
)  # fmt: skip


def load(path: Path) -> Table:
    """Open a vectors directory, or read a file of a format that its content tells.

    Raises:
        DataError: There is nothing, or it is not of these formats, or malformed.
        FormatError: The directory is damaged or of a newer version.
        ArtefactError: It is a directory of another kind.
    """
    if not path.exists():
        raise DataError(
            f"there are no vectors at {path}", hint=manifest.moved_aside(path) or manifest.MAKERS[directory.KIND]
        )
    if path.is_dir():
        return directory.read(path)
    with open_source(path) as source:
        head = source.peek(HEAD)
        kind = recognise(head)
        if kind is None:
            raise _unknown(path, head)
        return READERS[kind](source)


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


def _unknown(path: Path, head: bytes) -> DataError:
    """What the file is instead."""
    known = "read are vectors directories and files of word2vec, fastText and GloVe"
    if not head:
        return DataError(f"{path} is empty", "a file of word vectors is wanted")
    for start, what, hint in _STRANGERS:
        if head.startswith(start):
            return DataError(f"{path} holds no word vectors", f"it is {what}", hint=hint or known)
    first = head.partition(b"\n")[0]
    if b"\t" in first and ROW.fullmatch(first.replace(b"\t", b" ")):
        return DataError(f"{path}:1: the numbers are parted by tabs", hint=f"`tr '\\t' ' ' < {path}` makes them spaces")
    what = "a text whose first line is no word with numbers" if is_text(head) else "of no format that is known here"
    return DataError(f"{path} holds no word vectors", f"it is {what}", hint=known)
