"""`chars`: every character a token."""

from __future__ import annotations

from collections.abc import Sequence

from rnnkit.text.tokenizers.spelling import NOT_SPELLED, SPACE, byte_tokens, spell
from rnnkit.text.tokenizers.tokenizer import Tokenizer


class CharacterTokenizer(Tokenizer):
    """Unicode characters (code points) as tokens; a space is `▁`.

    A `▁` in the text is written as its bytes, and so is white space other than the plain space, which only exact text
    has.
    """

    kinds = ("chars",)

    def split(self, text: str) -> list[str]:
        """The characters. No character is as long as a byte token, so the two cannot be confused."""
        if not NOT_SPELLED.search(text):
            return list(text.replace(" ", SPACE))
        return [token for character in text for token in _tokens(character)]

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the characters spell."""
        return spell(tokens)


def _tokens(character: str) -> list[str]:
    if character == " ":
        return [SPACE]
    return byte_tokens(character) if NOT_SPELLED.match(character) else [character]
