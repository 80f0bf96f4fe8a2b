"""Tokenizers without a vocabulary of their own: white space, KenLM's words, characters, bytes."""

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

_KENLM_WORD = re.compile(r"[^ \t\r\n]+")
_SPACE_BYTE = BYTE_TOKENS[ord(" ")]


class WhitespaceTokenizer(Tokenizer):
    """`spaces`: splits at white space only, for tokenized text, with tokens such as `<unk>` and `doesn 't`.

    No token represents the white space itself, so any run of it becomes one space, whatever the Unicode form.
    """

    kinds = ("spaces",)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Split at white space."""
        return text.split()

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Join with spaces."""
        return " ".join(tokens)


class KenLMTokenizer(WhitespaceTokenizer):
    """`blanks`: splits where KenLM does, at space, tab, CR and LF, for the words of ARPA files.

    Other white space, such as U+00A0, U+3000 or a vertical tab, is part of a word. Imported models have this tokenizer.
    `rnnkit tokenize` does not create it, because words of a token file contain no white space.
    """

    kinds = ("blanks",)

    def tokenize(self, line: str) -> list[str]:
        """Return the words of a line, which is not normalized."""
        return self.tokenize_normalized(line)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Split at space, tab, CR and LF."""
        return _KENLM_WORD.findall(text)


class CharacterTokenizer(Tokenizer):
    """`chars`: Unicode characters (code points) as tokens; a space is `▁`.

    A `▁` in the text is encoded as byte tokens, and so is white space other than the plain space, which only exact
    text contains.
    """

    kinds = ("chars",)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Split into characters. No character is as long as a byte token, so the two cannot be confused."""
        if not RESERVED_CHARACTER.search(text):
            return list(text.replace(" ", METASPACE))
        return [token for character in text for token in _character_tokens(character)]

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Join characters, decoding byte tokens."""
        return tokens_to_text(tokens)


def _character_tokens(character: str) -> list[str]:
    if character == " ":
        return [METASPACE]
    return to_byte_tokens(character) if RESERVED_CHARACTER.match(character) else [character]


class ByteTokenizer(Tokenizer):
    """`bytes`: UTF-8 bytes as tokens `<0x00>` to `<0xFF>`; a space is `▁`. At most 256 tokens, whatever the script."""

    kinds = ("bytes",)

    @property
    def byte_fallback(self) -> bool:
        """True."""
        return True

    @property
    def pieces(self) -> Sequence[str]:
        """The token of the space; bytes are in the vocabulary anyway."""
        return (METASPACE,)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Split into bytes."""
        return [METASPACE if token == _SPACE_BYTE else token for token in to_byte_tokens(text)]

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Decode bytes; invalid UTF-8 becomes U+FFFD."""
        return tokens_to_text(tokens)
