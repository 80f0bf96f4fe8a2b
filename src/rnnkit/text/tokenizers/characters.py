"""`chars`: every character a token."""

from __future__ import annotations

from collections.abc import Sequence

from rnnkit.text.tokenizers.spelling import SPACE, byte_tokens, spell
from rnnkit.text.tokenizers.tokenizer import Tokenizer


class CharacterTokenizer(Tokenizer):
    """Unicode characters (code points) as tokens; a space is `▁`, and a `▁` in the text is written as its bytes."""

    kinds = ("chars",)

    def split(self, text: str) -> list[str]:
        """The characters. No character is as long as a byte token, so the two cannot be confused."""
        if SPACE not in text:
            return list(text.replace(" ", SPACE))
        return [token for character in text for token in _tokens(character)]

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The line that the characters spell."""
        return spell(tokens)


def _tokens(character: str) -> list[str]:
    if character == " ":
        return [SPACE]
    return byte_tokens(character) if character == SPACE else [character]
