"""The lines of an ARPA file, one at a time or many, and what a file is that is none."""

from __future__ import annotations

import re
from typing import IO, Final

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.ngrams.arpa_kernels import Octets
from rnnkit.text.lines import BOM, MAX_LINE_BYTES, READ_ERRORS, check_not_utf16

_CHUNK = 1 << 22

_OTHER_KINDS: Final = (
    (rb"mmap lm http://kheafield\.com/code", "KenLM's binary form", "give the ARPA file that it was built from"),
    (rb"blmt", "IRSTLM's binary form", "`compile-lm --text yes` turns it into an ARPA file"),
    (rb"i?q?ARPA", "IRSTLM's own text form", "`compile-lm --text yes` turns it into an ARPA file"),
    (rb"PK\x03\x04|\x28\xb5\x2f\xfd", "compressed", "unpack it first; compressed files are read as gzip, bzip2 or xz"),
    (rb".{8}\{\"", "a safetensors file", "a model of rnnkit is named by its folder"),
    (rb"\d+ \d+[ \r]*", "the text form of word vectors", "`rnnkit convert-embeddings` reads those"),
)
"""First bytes, what they tell, and what to do."""


class ArpaText:
    """The lines of an open file.

    Args:
        file: Its bytes, unpacked.
        name: What stands for it in messages.

    Attributes:
        number: Lines read so far.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self.number = 0
        self._file = file
        self._buffer = b""
        self._at = 0
        self._start = 0

    @property
    def where(self) -> str:
        """The place of the line that was read last."""
        return f"{self.name}:{self.number}"

    def line(self) -> bytes | None:
        """The next line without its end, or None behind the last."""
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
                "this is no ARPA file",
            )
        line = self._buffer[self._at : end]
        self._start = self._at
        self._at = min(end + 1, len(self._buffer))
        self.number += 1
        return line.removesuffix(b"\r")

    def back(self) -> None:
        """Go back to the start of the line that `line` returned last."""
        self._at = self._start
        self.number -= 1

    def filled(self) -> bytes | None:
        """The next line that is not blank."""
        while (line := self.line()) is not None:
            if line.strip():
                return line
        return None

    def whole_lines(self) -> Octets:
        """Many lines at once, each with its LF; nothing where only an unfinished line is left. `skip` passes them."""
        end = self._buffer.rfind(b"\n", self._at)
        while end < 0 and self._fill():
            end = self._buffer.rfind(b"\n", self._at)
            if len(self._buffer) > MAX_LINE_BYTES:
                break
        return np.frombuffer(self._buffer, dtype=np.uint8)[self._at : end + 1] if end >= 0 else np.zeros(0, np.uint8)

    def skip(self, size: int, lines: int) -> None:
        """Pass so many bytes, which are so many lines."""
        self._at += size
        self.number += lines

    def _fill(self) -> bool:
        try:
            chunk = self._file.read(_CHUNK)
        except READ_ERRORS as error:
            raise FormatError(
                f"cannot read {self.name} beyond line {self.number}",
                str(error),
                hint="it was cut short or damaged on its way: copy it again",
            ) from error
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)


def read_start(text: ArpaText) -> None:
    r"""Read up to `\data\`. Before it there may be blank lines, and comments that begin with #.

    Raises:
        DataError: The file is empty, or of another kind; the message says which, where its first bytes tell.
    """
    line = first_line(text)
    if line == b"\\data\\":
        return
    raise DataError(
        f"{text.where}: this is no ARPA file: there is no \\data\\",
        f"its first line is {show(line)}",
        hint="if \\data\\ stands further down, `--repair` skips the text before it",
    )


def first_line(text: ArpaText) -> bytes:
    r"""Read the first line that is neither blank nor a comment.

    Raises:
        DataError: The file is empty, or of another kind; the message says which.
    """
    line = text.line()
    check_not_utf16(line or b"", text.name)
    line = line and line.removeprefix(BOM)
    while line is not None and (not line.strip() or line.startswith(b"#")):
        line = text.line()
    if line is None:
        raise DataError(f"{text.name} is empty", "an ARPA file begins with \\data\\")
    for start, kind, hint in _OTHER_KINDS:
        if re.match(start, line, re.DOTALL) and (kind[:3] != "the" or re.fullmatch(start, line)):
            raise DataError(f"{text.name} is no ARPA file: it is {kind}", hint=hint)
    return line


def show(line: bytes) -> str:
    """A line for a message: as text, not too long."""
    text = line.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
