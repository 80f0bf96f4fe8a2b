"""Detection of the format of a file of word vectors from its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats import fasttext_binary, glove, text_repair, word2vec_text
from rnnkit.embeddings.formats.text_rows import ROW_PATTERN, count_numbers
from rnnkit.embeddings.formats.vector_reader import VectorReader
from rnnkit.errors import DataError

WORD2VEC: Final = "word2vec"
WORD2VEC_BINARY: Final = "word2vec-binary"
FASTTEXT: Final = "fasttext"
FASTTEXT_BINARY: Final = "fasttext-binary"
GLOVE: Final = "glove"

HEAD_BYTES: Final = 1 << 16
"""Bytes of a file that `detect_format` examines."""

_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x0b\x1b")

_OTHER_FORMATS: Final = (
    (b"\x93NUMPY", "a NumPy array, which has no words", None),
    (b"PK\x03\x04", "a ZIP archive", "`unzip` it, if a file of word vectors is in it"),
    (b"<pad>\t", "a vocabulary of rnnkit", "name the vectors directory that holds it"),
    (b"\xff\xfe", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
    (b"\xfe\xff", "text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE` converts it"),
)

_KNOWN = "read are vectors directories and files of word2vec, fastText and GloVe"


def detect_format(head: bytes) -> str | None:
    """The format of a file that begins like this; None where it is none of word vectors."""
    if head.startswith(fasttext_binary.MAGIC):
        return FASTTEXT_BINARY
    first, _, rest = head.partition(b"\n")
    if word2vec_text.HEADER_PATTERN.fullmatch(first):
        second = rest.partition(b"\n")[0]
        return WORD2VEC if ROW_PATTERN.fullmatch(second) or looks_like_text(rest) else WORD2VEC_BINARY
    is_row = ROW_PATTERN.fullmatch(first) and count_numbers(first) >= glove.MIN_DIMENSION
    return GLOVE if is_row else None


def detect_imperfect_format(head: bytes) -> str | None:
    """The format of a file that begins like this, if it is one that `--repair` reads and `recognise` does not."""
    first, _, rest = head.partition(b"\n")
    header = text_repair.LOOSE_HEADER_PATTERN.fullmatch(first)
    if header is not None and int(header[2]):
        if looks_like_text(rest) or text_repair.looks_like_rows(rest, int(header[2])):
            return WORD2VEC
        return WORD2VEC_BINARY
    return GLOVE if text_repair.looks_like_rows(head) else None


def looks_like_text(start: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters; a character cut at their end is forgiven."""
    if start.translate(None, _CONTROLS) != start:
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(start) - error.start < 4 and error.reason == "unexpected end of data"
    return True


def pickle_error(path: Path, head: bytes) -> DataError | None:
    """The error that a file is a pickle of Python, as gensim's own `save` makes; None where it is not."""
    if head[:1] != b"\x80" or head[1:2] not in (b"\2", b"\3", b"\4", b"\5"):
        return None
    return DataError(
        f"{path} holds no word vectors that can be read",
        "it is a pickle of Python, as gensim's own `save` makes; it could run any code",
        hint="save it in gensim with `vectors.save_word2vec_format(path)`",
    )


def unknown_format_error(source: VectorReader, head: bytes) -> DataError:
    """What the file is instead."""
    path = Path(source.name)
    if not head:
        return DataError(f"{path} is empty", "a file of word vectors is wanted")
    if (error := pickle_error(path, head)) is not None:
        return error
    for start, what, hint in _OTHER_FORMATS:
        if head.startswith(start):
            return DataError(f"{path} holds no word vectors", f"it is {what}", hint=hint or _KNOWN)
    first = head.partition(b"\n")[0]
    kind = detect_imperfect_format(head)
    if kind is not None and text_repair.LOOSE_HEADER_PATTERN.fullmatch(first):
        why = "it should be `words dimension`, with one space between them"
        return DataError(f"{path}:1: the header has stray blanks", why, hint="--repair reads the file")
    if b"\t" in first and ROW_PATTERN.fullmatch(first.replace(b"\t", b" ")):
        mended = f"`tr '\\t' ' ' < {path}` makes them spaces; " if source.editable else ""
        return DataError(f"{path}:1: the numbers are parted by tabs", hint=f"{mended}--repair reads them as spaces")
    if kind is not None:
        why = "a word that holds a space, or a blank line, is the usual cause"
        return DataError(f"{path}:1: the first line is not a word and its numbers", why, hint="--repair reads the file")
    what = (
        "a text whose first line is no word with numbers"
        if looks_like_text(head)
        else "of no format that is known here"
    )
    return DataError(f"{path} holds no word vectors", f"it is {what}", hint=_KNOWN)
