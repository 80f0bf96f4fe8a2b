"""`bytes`: every byte of UTF-8 a token."""

from __future__ import annotations

from collections.abc import Sequence

from rnnkit.text.tokenizers.spelling import BYTES, SPACE, byte_tokens, spell
from rnnkit.text.tokenizers.tokenizer import Tokenizer

_SPACE_BYTE = BYTES[ord(" ")]


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes as tokens `<0x00>` to `<0xFF>`; a space is `▁`. At most 256 tokens, whatever the script."""

    kinds = ("bytes",)

    @property
    def byte_fallback(self) -> bool:
        """Yes."""
        return True

    @property
    def pieces(self) -> Sequence[str]:
        """The mark of the space; the bytes have rows anyway."""
        return (SPACE,)

    def split(self, text: str) -> list[str]:
        """The bytes."""
        return [SPACE if token == _SPACE_BYTE else token for token in byte_tokens(text)]

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the bytes spell; bytes that are no UTF-8 become U+FFFD."""
        return spell(tokens)
