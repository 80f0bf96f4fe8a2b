"""How tokens spell what they cannot hold: a space as `▁`, a byte as `<0x0A>`. This is SentencePiece's way.

A byte token is told from text by being one token: a `<0x0A>` typed by a user is cut into smaller ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

METASPACE: Final = "▁"
"""U+2581, written for a space."""

BYTE_TOKENS: Final = tuple(f"<0x{value:02X}>" for value in range(256))
"""The token of each byte."""

_VALUES: Final = {token: value for value, token in enumerate(BYTE_TOKENS)}

# What `str.split` takes for white space, U+0020 left out. Keep the order: `subword_tokenizer.py` numbers it.
OTHER_WHITE_SPACE: Final = (
    "".join(map(chr, (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""White space but for the plain space: no token can hold it, as white space separates tokens in their files."""

RESERVED_CHARACTER: Final = re.compile(f"[{METASPACE}{re.escape(OTHER_WHITE_SPACE)}]")
"""What a character token cannot be: it is written as its bytes."""


def to_byte_tokens(text: str) -> list[str]:
    """The UTF-8 bytes of a text, a token each."""
    return [BYTE_TOKENS[value] for value in text.encode("utf-8")]


def tokens_to_text(tokens: Iterable[str]) -> str:
    """The text of tokens: runs of byte tokens decoded, `▁` as space.

    Bytes that are no UTF-8, which only a model can produce, become U+FFFD.
    """
    parts: list[str] = []
    pending = bytearray()
    for token in tokens:
        value = _VALUES.get(token)
        if value is not None:
            pending.append(value)
            continue
        if pending:
            parts.append(pending.decode("utf-8", errors="replace"))
            pending.clear()
        parts.append(token.replace(METASPACE, " "))
    parts.append(pending.decode("utf-8", errors="replace"))
    return "".join(parts)
