"""`spaces`: text that is in tokens already, parted by white space; nothing else is cut, nothing is marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnkit.text.tokenizers.byte_tokens import (
    BYTE_TOKENS,
    METASPACE,
    RESERVED_CHARACTER,
    to_byte_tokens,
    tokens_to_text,
)
from rnnkit.text.tokenizers.tokenizer import Tokenizer


class WhitespaceTokenizer(Tokenizer):
    """White space parts the tokens: what others have tokenized keeps its tokens, `<unk>` and `doesn 't` among them.

    No token stands for the white space itself, so any run of it comes back as one space, whatever the Unicode form.
    """

    kinds = ("spaces",)

    def split(self, text: str) -> list[str]:
        """What stands between the spaces."""
        return text.split()

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens with a space between any two."""
        return " ".join(tokens)


_WORD = re.compile(r"[^ \t\r\n]+")


class KenLMTokenizer(WhitespaceTokenizer):
    """Cuts where KenLM cuts. All other white space, such as U+00A0, U+3000 or a vertical tab, is part of a word.

    Imported models have this tokenizer. `rnnkit tokenize` does not make it: words of a token file hold no white space.
    """

    kinds = ("blanks",)

    def tokenize(self, line: str) -> list[str]:
        """The words of a line as it is: nothing is normalised."""
        return self.split(line)

    def split(self, text: str) -> list[str]:
        """What stands between blanks."""
        return _WORD.findall(text)


class CharacterTokenizer(Tokenizer):
    """Unicode characters (code points) as tokens; a space is `▁`.

    A `▁` in the text is written as its bytes, and so is white space other than the plain space, which only exact text
    has.
    """

    kinds = ("chars",)

    def split(self, text: str) -> list[str]:
        """The characters. No character is as long as a byte token, so the two cannot be confused."""
        if not RESERVED_CHARACTER.search(text):
            return list(text.replace(" ", METASPACE))
        return [token for character in text for token in _tokens(character)]

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the characters spell."""
        return tokens_to_text(tokens)


def _tokens(character: str) -> list[str]:
    if character == " ":
        return [METASPACE]
    return to_byte_tokens(character) if RESERVED_CHARACTER.match(character) else [character]


_SPACE_BYTE = BYTE_TOKENS[ord(" ")]


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
        return (METASPACE,)

    def split(self, text: str) -> list[str]:
        """The bytes."""
        return [METASPACE if token == _SPACE_BYTE else token for token in to_byte_tokens(text)]

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the bytes spell; bytes that are no UTF-8 become U+FFFD."""
        return tokens_to_text(tokens)
