"""What can be said of a text file: lines, their lengths, the encoding, and what rnnkit would stumble over.

`text/lines.py` stops at the first bad byte; here the file is read to its end and everything is counted.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rnnkit.errors import DataError
from rnnkit.text.lines import MAX_LINE_BYTES

LONGEST = 1 << 26
"""Longest line that is read, in bytes, so that a file without line ends cannot fill the memory."""

GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Lines(Protocol):
    """An open binary file, plain or unpacked while it is read."""

    def readline(self, size: int = -1, /) -> bytes:
        """The next line with its end, of at most so many bytes."""


@dataclass
class TextFacts:
    """Counts, filled line by line. Lines are those of the one line reader: LF ends a line, nothing else does."""

    lines: int = 0
    blank: int = 0
    tokens: int = 0
    characters: int = 0
    longest: int = 0
    longest_at: int = 0
    carriage_returns: int = 0
    byte_order_mark: bool = False
    ended: bool = True
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, raw: bytes) -> None:
        """Count one line, given with its end."""
        self.lines += 1
        if self.lines == 1 and raw.startswith(_BOM):
            self.byte_order_mark = True
            raw = raw.removeprefix(_BOM)
        self.ended = raw.endswith(b"\n")
        body = raw.removesuffix(b"\n")
        self.carriage_returns += body.endswith(b"\r")
        body = body.removesuffix(b"\r")
        if b"\0" in body:
            self.faults.setdefault("NUL byte", f"line {self.lines}, byte {body.index(0) + 1}")
        if len(body) > MAX_LINE_BYTES:
            self.faults.setdefault(f"longer than {MAX_LINE_BYTES:,} bytes", f"line {self.lines}")
        try:
            line = body.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"line {self.lines}, byte {error.start + 1} (0x{body[error.start]:02x})"
            self.faults.setdefault("not UTF-8", where)
            line = body.decode("latin-1")  # the counts that follow are those of bytes
        self.tokens += len(line.split())
        self.blank += not line.strip()
        self.characters += len(line)
        if len(line) > self.longest:
            self.longest, self.longest_at = len(line), self.lines

    def as_dict(self) -> dict[str, Any]:
        """The counts, and for each fault the first place where it is met."""
        ends = "LF" if not self.carriage_returns else f"CR LF on {self.carriage_returns} lines"
        encoding = "UTF-8" if "not UTF-8" not in self.faults else "not UTF-8"
        return {
            "lines": self.lines,
            "blank_lines": self.blank,
            "tokens": self.tokens,
            "characters": self.characters,
            "longest_line": {"characters": self.longest, "line": self.longest_at},
            "encoding": f"{encoding} with a byte order mark" if self.byte_order_mark else encoding,
            "line_ends": ends if self.ended else f"{ends}, none after the last line",
            "faults": dict(self.faults),
        }


def text_facts(path: Path) -> dict[str, Any] | None:
    """Read a text file and count; None where the file is no text.

    Raises:
        DataError: The file is damaged gzip, or has a line too long to be read.
    """
    with path.open("rb") as plain:
        start = plain.read(1 << 16)
    if start.startswith(_UTF16):
        return {"encoding": "UTF-16", "faults": {"not UTF-8": "`iconv -f UTF-16 -t UTF-8 FILE` converts it"}}
    if start.startswith(GZIP):
        with gzip.open(path) as packed:
            return {"compression": "gzip", **_count(path, packed).as_dict()}
    if _is_binary(start):
        return None
    with path.open("rb") as file:
        return _count(path, file).as_dict()


def _is_binary(start: bytes) -> bool:
    """Whether more than one byte in a hundred is a control character that no text holds."""
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x0b\x1b" for byte in start)
    return controls * 100 > len(start)


def _count(path: Path, file: Lines) -> TextFacts:
    facts = TextFacts()
    try:
        while raw := file.readline(LONGEST + 1):
            if len(raw) > LONGEST:
                raise DataError(
                    f"{path}:{facts.lines + 1}: the line is longer than {LONGEST:,} bytes",
                    hint="one sentence a line is expected; is this a text file?",
                )
            facts.add(raw)
    except (OSError, EOFError, zlib.error) as error:  # gzip reports damage while reading
        raise DataError(f"cannot read {path} beyond line {facts.lines}", str(error)) from error
    return facts
