r"""The ARPA format, in which n-gram models are exchanged: its lines, its words and their ids.

    \data\
    ngram 1=5                             number of n-grams of each order
    ngram 2=7

    \1-grams:
    -1.2041199<TAB>the<TAB>-0.30103       log-probability, words, log back-off weight
    ...

    \2-grams:
    -0.47712126<TAB>the cat               no back-off weight in the highest order; elsewhere it is optional
    ...

    \end\

Logarithms are to base 10. `arpa_writer` writes these files, `arpa_reader` reads them strictly and `arpa_repair`
leniently.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Final, Protocol

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Listener, WarningEvent
from rnnkit.kernels.arpa_entries import build_hash_table
from rnnkit.kernels.compiler import Int32Array, Int64Array, UInt8Array
from rnnkit.ngrams.ngram_model import TrieBuilder
from rnnkit.text import special_tokens
from rnnkit.text.lines import BOM, MAX_LINE_BYTES, READ_ERRORS, STDIN, check_not_utf16, decompressed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 22
_MAX_QUOTED = 60

_OTHER_FORMATS: Final = (
    (rb"mmap lm http://kheafield\.com/code", "a KenLM binary file", "use the ARPA file that it was built from"),
    (rb"blmt", "an IRSTLM binary file", "`compile-lm --text yes` converts it to an ARPA file"),
    (rb"i?q?ARPA", "an IRSTLM text file", "`compile-lm --text yes` converts it to an ARPA file"),
    (
        rb"PK\x03\x04|\x28\xb5\x2f\xfd",
        "a compressed file",
        "decompress it first; supported compressions are gzip, bzip2 and xz",
    ),
    (rb".{8}\{\"", "a safetensors file", "give an rnnkit model by its directory"),
    (rb"\d+ \d+[ \r]*", "a text file of word vectors", "`rnnkit convert-embeddings` reads those"),
)
"""Pattern of the first bytes, the format that it identifies, and a hint."""

_WHOLE_LINE_FORMATS: Final = ("a text file of word vectors",)
"""Formats whose pattern must match the whole first line: it could be the beginning of other text."""

COUNT_LINE: Final = re.compile(rb"ngram[ \t]+(\d{1,9})[ \t]*=[ \t]*(\d{1,18})[ \t]*")
"""A line of the header: an order and its number of n-grams."""

LOG10_ZERO: Final = -99.0
"""Stands for the logarithm of 0, as these files have no minus infinity."""

DEFAULT_UNKNOWN_LOG10: Final = -100.0
"""Log-probability of the unknown word in files without `<unk>`, as in KenLM."""

Weights = tuple[float, float]
"""Base-10 log-probability and log back-off weight."""

_EMPTY: Final[Mapping[bytes, str]] = MappingProxyType({})


class Digest(Protocol):
    """A hash object of `hashlib`."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""
        ...


@contextmanager
def open_source(path: Path, digest: Digest | None = None) -> Iterator[IO[bytes]]:
    """Open a source for a single read from start to end, decompressing it if needed.

    Args:
        path: A file or a pipe; `-` is standard input.
        digest: Updated with the bytes as stored while they are read, as a pipe cannot be read a second time.

    Raises:
        DataError: The file does not exist or cannot be read.
    """
    if path == STDIN:
        with _decompress(sys.stdin.buffer, digest) as stream:
            yield stream
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"file {path} does not exist", path=path) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a directory, not an ARPA file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    with file, _decompress(file, digest) as stream:
        yield stream


@contextmanager
def _decompress(file: IO[bytes], digest: Digest | None) -> Iterator[IO[bytes]]:
    with decompressed(io.BufferedReader(_HashingReader(file, digest))) as stream:
        yield stream


class _HashingReader(io.RawIOBase):
    """A file that updates a hash with the bytes that are read from it."""

    def __init__(self, file: IO[bytes], digest: Digest | None) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer; return 0 at the end of the file."""
        size: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        if self._digest is not None:
            self._digest.update(memoryview(buffer)[:size])
        return size


class ArpaLines:
    """The lines of an open file, read one by one or in blocks.

    Args:
        file: The decompressed file.
        path: Its path, for messages; `-` is standard input.

    Attributes:
        name: Name of the file in messages.
        path: Path of the file; None for standard input.
        number: Number of lines read so far.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.name = "standard input" if path == STDIN else str(path)
        self.path = None if path == STDIN else path
        self.number = 0
        self._file = file
        self._buffer = b""
        self._at = 0
        self._start = 0

    @property
    def where(self) -> str:
        """File and line number of the last line read."""
        return f"{self.name}:{self.number}"

    def error(self, what: str, *details: str, hint: str | None = None) -> FormatError:
        """Return an error about the last line read."""
        return FormatError(f"{self.where}: {what}", *details, hint=hint, path=self.path, line=self.number)

    def next_line(self) -> bytes | None:
        """Return the next line without its end, or None at the end of the file."""
        end = self._buffer.find(b"\n", self._at)
        while end < 0 and len(self._buffer) - self._at <= MAX_LINE_BYTES and self._fill():
            end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if self._at == len(self._buffer):
                return None
            end = len(self._buffer)
        if end - self._at > MAX_LINE_BYTES:
            raise DataError(
                f"{self.name}:{self.number + 1}: the line is longer than {MAX_LINE_BYTES:,} bytes",
                "this is not an ARPA file",
                path=self.path,
                line=self.number + 1,
            )
        line = self._buffer[self._at : end]
        self._start = self._at
        self._at = min(end + 1, len(self._buffer))
        self.number += 1
        return line.removesuffix(b"\r")

    def unread_line(self) -> None:
        """Go back to the start of the line that `next_line` returned last."""
        self._at = self._start
        self.number -= 1

    def next_nonblank(self) -> bytes | None:
        """Return the next line that is not blank, or None at the end of the file."""
        while (line := self.next_line()) is not None:
            if line.strip():
                return line
        return None

    def complete_lines(self) -> UInt8Array:
        """Return a block of complete lines with their LF; empty if only an unterminated line is left.

        The block is not consumed; call `skip` for what was used of it.
        """
        end = self._buffer.rfind(b"\n", self._at)
        while end < 0 and self._fill():
            end = self._buffer.rfind(b"\n", self._at)
            if len(self._buffer) > MAX_LINE_BYTES:
                break
        return np.frombuffer(self._buffer, dtype=np.uint8)[self._at : end + 1] if end >= 0 else np.zeros(0, np.uint8)

    def skip(self, size: int, lines: int) -> None:
        """Consume `size` bytes, which are `lines` lines."""
        self._at += size
        self.number += lines

    def _fill(self) -> bool:
        """Read another chunk into the buffer; return False at the end of the file."""
        try:
            chunk = self._file.read(_CHUNK)
        except READ_ERRORS as error:
            raise FormatError(
                f"cannot read {self.name} after line {self.number}",
                str(error),
                hint="the file is truncated or damaged; copy it again",
                path=self.path,
                line=self.number,
            ) from error
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)


def skip_to_data(lines: ArpaLines) -> None:
    r"""Read up to `\data\`, which only blank lines and comments that begin with # may precede.

    Raises:
        DataError: The file is empty or not an ARPA file.
    """
    line = read_first_line(lines)
    if line == b"\\data\\":
        return
    raise DataError(
        f"{lines.where}: this is not an ARPA file: there is no \\data\\",
        f"the first line is {quote(line)}",
        hint="if \\data\\ comes later in the file, `--repair` skips the text before it",
        path=lines.path,
        line=lines.number,
    )


def read_first_line(lines: ArpaLines) -> bytes:
    r"""Return the first line that is neither blank nor a comment.

    Raises:
        DataError: The file is empty or of another known format.
    """
    line = lines.next_line()
    check_not_utf16(line or b"", lines.name)
    line = line and line.removeprefix(BOM)
    while line is not None and (not line.strip() or line.startswith(b"#")):
        line = lines.next_line()
    if line is None:
        raise DataError(f"{lines.name} is empty", "an ARPA file begins with \\data\\", path=lines.path)
    for pattern, name, hint in _OTHER_FORMATS:
        match = re.fullmatch if name in _WHOLE_LINE_FORMATS else re.match
        if match(pattern, line, re.DOTALL):
            raise DataError(f"{lines.name} is not an ARPA file but {name}", hint=hint, path=lines.path)
    return line


def quote(line: bytes) -> str:
    """Quote a line for a message: decoded, and truncated if it is long."""
    text = line.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 3] + "...")


@cache
def entry_pattern(order: int) -> re.Pattern[bytes]:
    """Return the pattern of what follows the first tab of an entry: words and, after another tab, the back-off."""
    return re.compile(rb"((?:[^ \t\r]+[ \t]+){%d}[^ \t\r]+)(?:\t([^ \t\r]+))?" % (order - 1))


def assign_ids(
    weights: Mapping[bytes, Weights], lines: ArpaLines, listen: Listener, decoded: Mapping[bytes, str] = _EMPTY
) -> tuple[list[str], dict[bytes, int]]:
    """Assign ids to the words of a file: special symbols first, then the other words in the order of the file.

    Args:
        weights: The unigrams in the order of the file.
        lines: The file, for messages.
        listen: WarningEvent if the file has no `<unk>`.
        decoded: Text of the words that are not valid UTF-8.

    Returns:
        The tokens by id, and the id of each word of the file.

    Raises:
        FormatError: `<s>` or `</s>` is missing.
    """
    unknown, start, end = (name.encode() for name in special_tokens.NAMES[special_tokens.UNK :])
    for marker in (start, end):
        if marker not in weights:
            raise FormatError(
                f"{lines.name} has no unigram {marker.decode()}",
                "no sentence can be scored without it",
                hint="train the model with sentence boundaries",
                path=lines.path,
            )
    id_of = {start: special_tokens.BOS, end: special_tokens.EOS}
    if unknown in weights or b"<UNK>" not in weights:
        id_of[unknown] = special_tokens.UNK
    else:
        id_of[b"<UNK>"] = special_tokens.UNK
    if not weights.keys() & {unknown, b"<UNK>"}:
        listen(WarningEvent(f"{lines.name} has no <unk>: using {DEFAULT_UNKNOWN_LOG10:g} as its log10 probability"))
    ordinary = [word for word in weights if word not in id_of]
    id_of.update((word, id_) for id_, word in enumerate(ordinary, start=len(special_tokens.NAMES)))
    return [*special_tokens.NAMES, *(decoded.get(word) or word.decode() for word in ordinary)], id_of


def make_unigram_trie(weights: Mapping[bytes, Weights], id_of: Mapping[bytes, int], size: int) -> TrieBuilder:
    """Start a trie with the unigrams of a file."""
    log10_V = np.full(size, DEFAULT_UNKNOWN_LOG10, dtype=np.float32)
    backoff_V = np.zeros(size, dtype=np.float32)
    ids = np.array([id_of[word] for word in weights])
    log10_V[ids], backoff_V[ids] = np.array(list(weights.values()), dtype=np.float32).T
    log10_V[
        [special_tokens.PAD, special_tokens.BOS]
    ] = -np.inf  # never predicted, whatever probability the file has for <s>
    return TrieBuilder(log10_V, backoff_V)


def concatenate_words(words: Sequence[bytes]) -> tuple[UInt8Array, Int64Array]:
    """Concatenate words; return the bytes, and the offset of each word and the total."""
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return np.frombuffer(b"".join(words) + b"\0", dtype=np.uint8), offsets


def make_word_index(words: Sequence[bytes]) -> tuple[UInt8Array, Int64Array, Int32Array]:
    """Concatenate words and build the hash table in which `parse_entries` looks them up."""
    word_bytes, offsets = concatenate_words(words)
    return word_bytes, offsets, build_hash_table(word_bytes, offsets, 2 << len(words).bit_length())
