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


def detect_format(head: bytes) -> str | None:
    """Detect the format from the first bytes of a file; None if it is not one of word vectors."""
    if head.startswith(fasttext_binary.MAGIC):
        return FASTTEXT_BINARY
    first, _, rest = head.partition(b"\n")
    if word2vec_text.HEADER_PATTERN.fullmatch(first):
        second = rest.partition(b"\n")[0]
        return WORD2VEC if ROW_PATTERN.fullmatch(second) or looks_like_text(rest) else WORD2VEC_BINARY
    is_row = ROW_PATTERN.fullmatch(first) and count_numbers(first) >= glove.MIN_DIMENSION
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
