"""Tokens with a meaning of their own: the special tokens, the tokens of bytes, and the space.

The special tokens are the first four entries of every vocabulary, by position. A `</s>` in a text is not EOS: the token
is an ordinary entry of its own, further down.

Characters that a token cannot contain are spelled as in SentencePiece: a space as `▁`, a byte as `<0x0A>`. A byte token
differs from the same text by being a single token: a `<0x0A>` typed by a user is split into smaller ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PAD: Final = 0
UNK: Final = 1
BOS: Final = 2
EOS: Final = 3

# In the order of the ids above.
NAMES: Final = ("<pad>", "<unk>", "<s>", "</s>")


METASPACE: Final = "▁"
"""U+2581, which represents a space."""

BYTE_TOKENS: Final = tuple(f"<0x{value:02X}>" for value in range(256))
"""The token of each byte."""

_BYTE_VALUES: Final = {token: value for value, token in enumerate(BYTE_TOKENS)}

# White space as in `str.split`, without U+0020. Keep the order: `subword_tokenizer.py` numbers the characters.
OTHER_WHITE_SPACE: Final = (
    "".join(map(chr, (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""White space other than the plain space. No token contains it, because white space separates tokens in files."""

RESERVED_CHARACTER: Final = re.compile(f"[{METASPACE}{re.escape(OTHER_WHITE_SPACE)}]")
"""A character that cannot be a token and is encoded as byte tokens."""


def to_byte_tokens(text: str) -> list[str]:
    """Return the UTF-8 bytes of a text as tokens."""
    return [BYTE_TOKENS[value] for value in text.encode("utf-8")]


def tokens_to_text(tokens: Iterable[str]) -> str:
    """Return the text of tokens, with runs of byte tokens decoded and `▁` as space.

    Invalid UTF-8, which only a model can predict, becomes U+FFFD.
    """
    parts: list[str] = []
    pending = bytearray()
    for token in tokens:
        value = _BYTE_VALUES.get(token)
        if value is not None:
            pending.append(value)
            continue
        if pending:
            parts.append(pending.decode("utf-8", errors="replace"))
            pending.clear()
        parts.append(token.replace(METASPACE, " "))
    parts.append(pending.decode("utf-8", errors="replace"))
    return "".join(parts)
