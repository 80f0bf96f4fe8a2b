"""JSON documents, as anybody may have written them: not too long, not too deep, and what is wrong is a ValueError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rnnkit.io.regular import read_regular

LONGEST = 1 << 22
"""Bytes of the longest document that is read. Python takes up to some twenty times as many for what is in it."""


def read_document(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        OSError: It cannot be read, or is not a regular file.
        ValueError: It is longer than `LONGEST`, not JSON, or nested too deeply.
    """
    return parse(read_regular(path, LONGEST))


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, holds what is no text, or is nested too deeply."""
    try:
        words = text.decode("utf-8") if isinstance(text, bytes) else text  # the library takes UTF-16 and halves of it
        value = json.loads(words)
        if "\\ud" in words.lower() or not words.isascii():
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text
        return value
    except RecursionError:
        raise ValueError("brackets within brackets within brackets: nested too deeply") from None
