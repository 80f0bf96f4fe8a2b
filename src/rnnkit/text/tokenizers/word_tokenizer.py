"""`words`: Unicode words and punctuation marks, with joiners that make the cut reversible.

A token that stood against its neighbour without a space carries the joiner `￭` on that side:

    Wow, "naïve" (3.5)!    Wow ￭, "￭ naïve ￭" (￭ 3 ￭.￭ 5 ￭) ￭!

Scripts written without spaces are cut into characters (a base and its marks): 中文 becomes 中 ￭文. A joiner in the
text itself is written as its bytes inside its token, `<0xEF><0xBF><0xAD>`; no text is cut into such a token. In exact
text, white space other than one plain space between two tokens is a token too, spelled the same way:

    dit<U+00A0>:    dit ￭<0xC2><0xA0>￭ :
    a  b            a <0x20>￭ b
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.byte_tokens import OTHER_WHITE_SPACE, to_byte_tokens
from rnnkit.text.tokenizers.tokenizer import Tokenizer

JOINER: Final = "￭"
"""U+FFED, as in OpenNMT's tokenizer."""

_ESCAPED_JOINER: Final = "".join(to_byte_tokens(JOINER))
_SPACE_TOKENS: Final = {space: "".join(to_byte_tokens(space)) for space in f" {OTHER_WHITE_SPACE}"}
_SPACES: Final = {token: space for space, token in _SPACE_TOKENS.items()}
_RUNS: Final = re.compile(r"\S+|\s")

# Blocks of scripts that put no space between words: Thai and Lao, Myanmar, Khmer, iteration marks, Hiragana, Han.
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
# Letters, digits and marks all stand in these planes of Unicode.
_LETTER_PLANES: Final = (range(0x40000), range(0xE0100, 0xE01F0))
_FLAG_LETTERS: Final = "\U0001f1e6-\U0001f1ff"
_EMOJI_MODIFIERS: Final = "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_JOIN: Final = "\u200d"
_NO_JOIN: Final = "\u200c"

_CACHED_CHUNKS = 1 << 16
_CACHED_LENGTH = 40


class WordTokenizer(Tokenizer):
    """Words, numbers and punctuation marks as tokens, reversible by joiner marks."""

    kinds = ("words",)

    def __init__(self, normalizer: Normalizer) -> None:
        super().__init__(normalizer)
        self._pieces, self._begins_word = _patterns()
        self._cuts = _Cuts(self._cut)

    def split(self, text: str) -> list[str]:
        """The words and marks; each chunk between spaces is cut by itself."""
        if self.normalizer.exact:
            return self._exact(text)
        chunks = text.split()
        return self._joined(chunks).split(" ") if chunks else []

    def join_batch(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """The tokens of each line, a space between any two."""
        if self.normalizer.exact:
            return [" ".join(self._exact(self.normalizer(line))) for line in lines]
        return [self._joined(self.normalizer.chunks(line)) for line in lines]

    def join(self, tokens: Sequence[str]) -> str:
        """The line: a space wherever neither neighbour carries a joiner on that side."""
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

    def _exact(self, text: str) -> list[str]:
        """Cut text whose white space is kept. A plain space is implied between two tokens without a joiner."""
        tokens: list[str] = []
        implied = after_space = False
        runs = _RUNS.findall(text)
        for place, run in enumerate(runs):
            if run == " " and tokens and not implied and place + 1 < len(runs):
                implied = True
                continue
            joined = bool(tokens) and not implied
            if space := _SPACE_TOKENS.get(run):
                tokens.append(JOINER + space if joined else space)
            else:
                if joined and after_space:
                    tokens[-1] += JOINER
                tokens += self._cuts[run].split(" ")
            implied, after_space = False, space is not None
        return tokens

    def _joined(self, chunks: Sequence[str]) -> str:
        return " ".join(map(self._cuts.__getitem__, chunks))

    def _cut(self, chunk: str) -> str:
        """Cut text without spaces. A joiner goes to the mark where a mark meets a word, else to the right."""
        pieces: list[str] = self._pieces.findall(chunk)
        tokens = [piece.replace(JOINER, _ESCAPED_JOINER) for piece in pieces]
        for right in range(1, len(pieces)):
            opens = self._begins_word(pieces[right]) and not self._begins_word(pieces[right - 1])
            if opens:
                tokens[right - 1] += JOINER
            else:
                tokens[right] = JOINER + tokens[right]
        return " ".join(tokens)


class _Cuts(dict[str, str]):
    """The tokens of chunks, joined by spaces; a chunk that is not there yet is cut."""

    def __init__(self, cut: Callable[[str], str]) -> None:
        super().__init__()
        self._cut = cut

    def __missing__(self, chunk: str) -> str:
        found = self._cut(chunk)
        if len(chunk) <= _CACHED_LENGTH:  # longer ones are rare, and many of them would take much memory
            if len(self) >= _CACHED_CHUNKS:
                self.clear()
            self[chunk] = found
        return found


@cache
def _patterns() -> tuple[re.Pattern[str], Callable[[str], object]]:
    """The pieces of a chunk, and a test whether a piece is a word. Made once: it looks at most of Unicode."""
    inside = _brackets()
    spaced, marks, unspaced = inside["spaced"], inside["mark"], inside["unspaced"]
    follow = f"[{marks}{_EMOJI_MODIFIERS}]*"
    alternatives = (
        f"[{spaced}{marks}]+(?:[{_NO_JOIN}{_JOIN}]+[{spaced}{marks}]+)*",  # a word or a number
        f"[{unspaced}][{marks}]*",  # a character of a script without spaces
        f"[{_FLAG_LETTERS}]{{2}}",  # a flag
        f".{follow}(?:{_JOIN}[^{spaced}{marks}{unspaced}{_JOIN}]{follow})*",  # a mark, a symbol, an emoji sequence
    )
    return re.compile("|".join(alternatives), re.DOTALL), re.compile(f"[{spaced}{marks}{unspaced}]").match


def _brackets() -> dict[str, str]:
    """For each class of character, the inside of a regular expression's brackets that matches it."""
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
