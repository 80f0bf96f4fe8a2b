"""JSON documents, as anybody may have written them: not too long, not too deep, and what is wrong is a ValueError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LONGEST = 1 << 22
"""Bytes of the longest document that is read. Python takes up to some twenty times as many for what is in it."""


def read_document(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        OSError: It cannot be read.
        ValueError: It is longer than `LONGEST`, not JSON, or nested too deeply.
    """
    size = path.stat().st_size
    if size > LONGEST:
        raise ValueError(f"{size:,} bytes are too many for such a file, {LONGEST:,} is the most")
    return parse(path.read_bytes())


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets within brackets within brackets: nested too deeply") from None
