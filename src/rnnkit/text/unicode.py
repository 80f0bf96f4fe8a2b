"""Unicode: normalization of lines, and word boundaries.

A line is normalized before tokenization: Unicode form, case, white space. `detokenize` returns the normalized line: how
characters were composed and how wide a gap was is lost. The exact form keeps both.

Word boundaries serve the search for phrases in a text. There is no boundary between two letters or digits of scripts
that put spaces between words, and none before a combining mark. All other positions are boundaries: at spaces and
punctuation, and next to a character of a script written without spaces (Unicode line-break classes ID and SA, with kana
and bopomofo).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

NFC: Final = "nfc"
NFKC: Final = "nfkc"
NONE: Final = "none"
FORMS: Final = (NFC, NFKC, NONE)

BoundaryClass = Literal[0, 1, 2]

BREAK: Final = 0
"""Class of a space, punctuation, a symbol, or a letter of a script without spaces."""
WORD: Final = 1
"""Class of a letter, digit or mark of a script that puts spaces between words."""
EXTEND: Final = 2
"""Class of a character that extends the one before: a combining mark, a joiner, the skin tone of an emoji."""

_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA4CF),  # Yi
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)
_JOINERS: Final = "\u200c\u200d"
_SKIN_TONES: Final = (0x1F3FB, 0x1F3FF)
_VARIANTS: Final = (0xFE00, 0xFE0F)
_CLOSING: Final = frozenset(".,;:!?%…‥。、，．：；！？؟،؛।॥៕។၊။")


@dataclass(frozen=True)
class Normalizer:
    """Unicode normalization, lowercasing and white-space normalization.

    Attributes:
        form: `nfc` composes characters; `nfkc` also folds widths, ligatures and the like, irreversibly; `none` leaves
            code points as they are.
        lowercase: Convert to lower case.
        exact: With the form `none`, keep white space: runs, ends, tabs, no-break spaces. Otherwise, as in tokenizers of
            older versions, each run becomes one space.
    """

    form: str = NFC
    lowercase: bool = False
    exact: bool = False

    def __call__(self, text: str) -> str:
        """Return the normalized line. Unless exact, it is stripped and has one space for each run of white space."""
        if self.exact:
            return text.lower() if self.lowercase else text
        return " ".join(self.chunks(text))

    def chunks(self, text: str) -> list[str]:
        """Return the normalized line, split at its spaces."""
        if not text.isascii():
            text = self._compose(text)
        if self.lowercase:
            text = self._compose(text.lower())  # lowercasing can decompose: U+0130 becomes i and a combining dot
        return text.split()

    def _compose(self, text: str) -> str:
        if self.form == NONE:
            return text
        return unicodedata.normalize(cast(Literal["NFC", "NFKC"], self.form.upper()), text)


@lru_cache(maxsize=1 << 16)
def class_as_right(character: str) -> BoundaryClass:
    """Return the class of a character towards the one before it: `BREAK`, `WORD` or `EXTEND`."""
    point = ord(character)
    category = unicodedata.category(character)[0]
    if category == "M" or character in _JOINERS or _SKIN_TONES[0] <= point <= _SKIN_TONES[1]:
        return EXTEND
    return WORD if category in "LN" and not is_unspaced_script(character) else BREAK


@lru_cache(maxsize=1 << 16)
def class_as_left(character: str) -> BoundaryClass:
    """Return the class of a character towards the one after it: `BREAK` or `WORD`."""
    found = class_as_right(character)
    if found != EXTEND:
        return found
    point = ord(character)
    is_break = is_unspaced_script(character) or _VARIANTS[0] <= point <= _VARIANTS[1]
    return BREAK if is_break or _SKIN_TONES[0] <= point <= _SKIN_TONES[1] else WORD


def is_unspaced_script(character: str) -> bool:
    """Return whether a character belongs to a script written without spaces."""
    point = ord(character)
    return point >= _UNSPACED[0][0] and any(low <= point <= high for low, high in _UNSPACED)


def is_closing_punctuation(character: str) -> bool:
    """Return whether a character is punctuation that adjoins the word before it, such as a comma or a bracket."""
    return unicodedata.category(character) in ("Pe", "Pf") or character in _CLOSING


def is_boundary(left: str, right: str) -> bool:
    """Return whether there is a word boundary between two adjacent characters."""
    return class_as_right(right) != EXTEND and not (class_as_left(left) == WORD and class_as_right(right) == WORD)


def occurs_as_words(phrase: str, text: str) -> bool:
    """Return whether a phrase occurs in a text between two word boundaries."""
    begin = text.find(phrase)
    while begin >= 0:
        end = begin + len(phrase)
        starts = begin == 0 or is_boundary(text[begin - 1], phrase[0])
        if starts and (end == len(text) or is_boundary(phrase[-1], text[end])):
            return True
        begin = text.find(phrase, begin + 1)
    return False
