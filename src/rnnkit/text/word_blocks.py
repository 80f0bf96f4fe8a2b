"""Text in blocks of whole words, for counting and numbering words faster than line by line.

The rules are those of the line reader: UTF-8 strictly, no NUL, `.gz` by its first bytes. But a line may be as long as
it likes, as corpora that are one single line are common; only a word may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from rnnkit.errors import DataError
from rnnkit.text.lines import BOM, DAMAGE, STDIN, decode_text, opened, refuse_utf16

BLOCK: Final = 1 << 20
"""Bytes that are read at a time, and about the longest word."""

ASCII_SPACES: Final = b" \t\n\v\f\r\x1c\x1d\x1e\x1f"
"""Bytes that `str.split` takes for white space."""

_OTHER_SPACES = tuple("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") + tuple(map(chr, range(0x2000, 0x200B)))


def read_word_blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """Yield the text of a file in blocks that end where a word ends.

    White space beyond ASCII becomes a blank, so that words stand between `ASCII_SPACES`; a line ends with LF.

    Args:
        path: The file; `-` is standard input.
        size: Bytes to read at a time.

    Raises:
        DataError: The file is missing, unreadable, UTF-16 or not UTF-8, holds a NUL byte, or a word longer than
            `size`; the message names the line.
    """
    name = "standard input" if path == STDIN else str(path)
    line, column = 1, 0
    with opened(path) as file:
        for raw in _cut_blocks(file, name, size):
            text = decode_text(raw, name, line, column)
            ends = raw.count(b"\n")
            line += ends
            column = len(raw) - raw.rfind(b"\n") - 1 if ends else column + len(raw)
            yield raw if text.isascii() else _blank_spaces(text).encode()


def _blank_spaces(text: str) -> str:
    for space in _OTHER_SPACES:
        if space in text:  # a search for each is quicker than one pass that looks at every character
            text = text.replace(space, " ")
    return text


def _cut_blocks(file: IO[bytes], name: str, size: int) -> Iterator[bytes]:
    """The bytes of an open file, cut behind white space."""
    rest, lines = _read(file, len(BOM), name, 0), 0
    refuse_utf16(rest, name)
    rest = rest.removeprefix(BOM)
    while read := _read(file, size, name, lines):
        block = rest + read
        end = _last_space(block)
        if end == 0 and len(block) > size:
            raise DataError(
                f"{name}:{lines + 1}: a word is longer than {size:,} bytes",
                hint="words are expected with blanks between them; is this a text file?",
            )
        rest = block[end:]
        lines += block.count(b"\n", 0, end)
        if end:
            yield block[:end]
    if rest:
        yield rest


def _read(file: IO[bytes], size: int, name: str, lines: int) -> bytes:
    try:
        return file.read(size)
    except DAMAGE as error:
        raise DataError(f"cannot read {name} beyond line {lines}", str(error)) from error


def _last_space(block: bytes) -> int:
    """Bytes up to the last white space, that one counted; 0 where there is none."""
    return 1 + max(block.rfind(bytes([space])) for space in ASCII_SPACES)
