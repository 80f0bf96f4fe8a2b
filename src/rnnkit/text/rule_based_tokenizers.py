"""Tokenizers that need no training: words, white space, KenLM's words, characters, bytes.

`words` splits into Unicode words and punctuation marks, with joiner marks that make tokenization reversible. A token
that adjoins its neighbor without a space has the joiner `￭` on that side:

    Wow, "naïve" (3.5)!    Wow ￭, "￭ naïve ￭" (￭ 3 ￭.￭ 5 ￭) ￭!

Scripts written without spaces are split into characters (a base and its combining marks): 中文 becomes 中 ￭文. A joiner
in the text itself is encoded as bytes inside its token, `<0xEF><0xBF><0xAD>`; no other text gives such a token. In
exact text, white space other than one plain space between two tokens is a token too, encoded the same way:

    dit<U+00A0>:    dit ￭<0xC2><0xA0>￭ :
    a  b            a <0x20>￭ b
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from rnnkit.text.special_tokens import (
    BYTE_TOKENS,
    METASPACE,
    OTHER_WHITE_SPACE,
    RESERVED_CHARACTER,
    to_byte_tokens,
    tokens_to_text,
)
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.unicode import Normalizer

JOINER: Final = "￭"
"""U+FFED, as in the OpenNMT tokenizer."""

_ESCAPED_JOINER: Final = "".join(to_byte_tokens(JOINER))
_SPACE_TOKENS: Final = {space: "".join(to_byte_tokens(space)) for space in f" {OTHER_WHITE_SPACE}"}
_SPACES: Final = {token: space for space, token in _SPACE_TOKENS.items()}
_RUNS: Final = re.compile(r"\S+|\s")

# Blocks of scripts written without spaces: Thai and Lao, Myanmar, Khmer, iteration marks, Hiragana, Han.
_UNSPACED: Final = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3041, 0x309F),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# All letters, digits and marks are in these planes of Unicode.
_LETTER_PLANES: Final = (range(0x40000), range(0xE0100, 0xE01F0))
_FLAG_LETTERS: Final = "\U0001f1e6-\U0001f1ff"
_EMOJI_MODIFIERS: Final = "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_JOIN: Final = "\u200d"
_NO_JOIN: Final = "\u200c"

_CACHED_CHUNKS = 1 << 16
_CACHED_LENGTH = 40

_KENLM_WORD = re.compile(r"[^ \t\r\n]+")
_SPACE_BYTE = BYTE_TOKENS[ord(" ")]


class WordTokenizer(Tokenizer):
    """Splits into words, numbers and punctuation marks; joiner marks make it reversible."""

    kinds = ("words",)

    def __init__(self, normalizer: Normalizer) -> None:
        super().__init__(normalizer)
        self._pieces, self._begins_word = _patterns()
        self._chunk_cache = _ChunkCache(self._tokenize_chunk)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Return words and marks; each chunk between spaces is independent of the others."""
        if self.normalizer.exact:
            return self._tokenize_exact(text)
        chunks = text.split()
        return self._tokenize_chunks(chunks).split(" ") if chunks else []

    def tokenize_to_lines(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """Return the tokens of each line, separated by spaces."""
        if self.normalizer.exact:
            return [" ".join(self._tokenize_exact(self.normalizer(line))) for line in lines]
        return [self._tokenize_chunks(self.normalizer.chunks(line)) for line in lines]

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Join tokens, with a space wherever neither neighbor has a joiner on that side."""
        parts: list[str] = []
        joined = True
        for token in tokens:
            if not joined and not token.startswith(JOINER):
                parts.append(" ")
            bare = token.strip(JOINER)
            space = _SPACES.get(bare) if self.normalizer.exact else None
            parts.append(space or bare.replace(_ESCAPED_JOINER, JOINER))
            joined = token.endswith(JOINER)
        return "".join(parts)

    def _tokenize_exact(self, text: str) -> list[str]:
        """Tokenize text whose white space is kept. A plain space is implied between two tokens without a joiner."""
        tokens: list[str] = []
        implied = after_space = False
        runs = _RUNS.findall(text)
        for index, run in enumerate(runs):
            if run == " " and tokens and not implied and index + 1 < len(runs):
                implied = True
                continue
            joined = bool(tokens) and not implied
            if space := _SPACE_TOKENS.get(run):
                tokens.append(JOINER + space if joined else space)
            else:
                if joined and after_space:
                    tokens[-1] += JOINER
                tokens += self._chunk_cache[run].split(" ")
            implied, after_space = False, space is not None
        return tokens

    def _tokenize_chunks(self, chunks: Sequence[str]) -> str:
        return " ".join(map(self._chunk_cache.__getitem__, chunks))

    def _tokenize_chunk(self, chunk: str) -> str:
        """Tokenize text without spaces. Between mark and word, the mark has the joiner; else the right-hand token."""
        pieces: list[str] = self._pieces.findall(chunk)
        tokens = [piece.replace(JOINER, _ESCAPED_JOINER) for piece in pieces]
        for right in range(1, len(pieces)):
            opens = self._begins_word(pieces[right]) and not self._begins_word(pieces[right - 1])
            if opens:
                tokens[right - 1] += JOINER
            else:
                tokens[right] = JOINER + tokens[right]
        return " ".join(tokens)


class _ChunkCache(dict[str, str]):
    """Cache from chunks to their tokens, joined by spaces; missing chunks are tokenized."""

    def __init__(self, tokenize: Callable[[str], str]) -> None:
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, chunk: str) -> str:
        found = self._tokenize(chunk)
        if len(chunk) <= _CACHED_LENGTH:  # longer chunks are rare and would take much memory
            if len(self) >= _CACHED_CHUNKS:
                self.clear()
            self[chunk] = found
        return found


@cache
def _patterns() -> tuple[re.Pattern[str], Callable[[str], object]]:
    """Return the pattern of tokens, and a match for the first character of a word. Cached: it scans most of Unicode."""
    classes = _character_ranges()
    spaced, marks, unspaced = classes["spaced"], classes["mark"], classes["unspaced"]
    follow = f"[{marks}{_EMOJI_MODIFIERS}]*"
    alternatives = (
        f"[{spaced}{marks}]+(?:[{_NO_JOIN}{_JOIN}]+[{spaced}{marks}]+)*",  # a word or a number
        f"[{unspaced}][{marks}]*",  # a character of a script without spaces
        f"[{_FLAG_LETTERS}]{{2}}",  # a flag
        f".{follow}(?:{_JOIN}[^{spaced}{marks}{unspaced}{_JOIN}]{follow})*",  # a mark, a symbol, an emoji sequence
    )
    return re.compile("|".join(alternatives), re.DOTALL), re.compile(f"[{spaced}{marks}{unspaced}]").match


def _character_ranges() -> dict[str, str]:
    """Return, for each class of characters, the content of the regular-expression set that matches it."""
    spans: dict[str, list[list[int]]] = {"spaced": [], "unspaced": [], "mark": [], "other": []}
    for point in (point for plane in _LETTER_PLANES for point in plane):
        of_class = spans[_character_class(point)]
        if of_class and of_class[-1][1] == point - 1:
            of_class[-1][1] = point
        else:
            of_class.append([point, point])
    return {
        name: "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in of_class)
        for name, of_class in spans.items()
    }


def _character_class(point: int) -> str:
    category = unicodedata.category(chr(point))[0]
    if category == "M":
        return "mark"
    if category not in "LN":
        return "other"
    return "unspaced" if any(low <= point <= high for low, high in _UNSPACED) else "spaced"


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
