"""The raw lines of a text, kept beside its tokens: what the output of a model is compared with.

Each line is as the line reader gave it, with LF behind it. Nothing is dropped at either end of a line, so that what is
read back is what was written, a CR or a byte order mark included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError
from rnnkit.io.regular import open_regular
from rnnkit.text.lines import MAX_BYTES, decode_text, too_long

ENDING: Final = ".raw"
"""What follows the name of a token file in the name of its raw lines."""


def place(tokens: Path) -> Path:
    """Where the raw lines of a token file are."""
    return tokens.with_name(tokens.name + ENDING)


def encode(lines: Iterable[str]) -> bytes:
    """Lines as a file has them."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def read(path: Path) -> Iterator[str]:
    """The lines of a file of raw lines.

    Raises:
        DataError: The file is missing or cannot be read, or a line is not UTF-8 or too long.
    """
    try:
        with open_regular(path) as file:
            number = 0
            while raw := file.readline(MAX_BYTES + 1):
                number += 1
                if len(raw) > MAX_BYTES and not raw.endswith(b"\n"):
                    raise too_long(str(path), number, MAX_BYTES)
                yield decode_text(raw.removesuffix(b"\n"), str(path), number)
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
