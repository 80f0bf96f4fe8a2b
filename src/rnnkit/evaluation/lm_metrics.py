"""The figures of a text under a language model: perplexity, nats, bits, by token, character and byte.

    perplexity         = exp(-1/N sum ln p)           N tokens, `</s>` of each line counted
      without unknown  = the same over the tokens that the vocabulary has
    bits per character = -sum log2 p / C              C characters of the text, one for each line's end
    bits per byte      = -sum log2 p / B              B bytes of it in UTF-8, one for each line's end

C and B count the text that the tokens reproduce, as `detokenize` gives it back. White space, case or a Unicode form
that normalization removed is not predicted, so it is not counted either; the figures over the raw text, `raw_...`,
count it.

Bits per character compare models whose tokens differ where both reproduce the same text and no token is unknown: an
unknown word costs what the one symbol for all unknown words costs, however long it is.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.io.npy import IntArray
from rnnkit.text import special_tokens

HIGH_UNKNOWN_SHARE = 0.05
"""Share of unknown tokens above which figures do not compare with another model's."""


@dataclass(frozen=True)
class LMScore:
    """Sums over a text; two add up to that of both.

    Attributes:
        lines: Lines.
        tokens: Tokens, EOS of each line counted.
        unknown: Those that the vocabulary does not have.
        impossible: Those of probability zero.
        known_log_p: Sum of ln p over the known tokens.
        unknown_log_p: Sum of ln p over the unknown ones.
        characters: Characters of the text that the tokens reproduce; None where it is not at hand.
        octets: Bytes of that text; None where it is not at hand.
        raw_characters: Characters of the text as it was read; None where it is not at hand.
        raw_octets: Bytes of that text; None where it is not at hand.
        changed: Lines that the tokens do not reproduce as they were read.
        changes: In which ways: some of `text_changes.KINDS`.
    """

    lines: int = 0
    tokens: int = 0
    unknown: int = 0
    impossible: int = 0
    known_log_p: float = 0.0
    unknown_log_p: float = 0.0
    characters: int | None = None
    octets: int | None = None
    raw_characters: int | None = None
    raw_octets: int | None = None
    changed: int = 0
    changes: frozenset[str] = frozenset()

    def __add__(self, other: LMScore) -> LMScore:
        return LMScore(
            self.lines + other.lines,
            self.tokens + other.tokens,
            self.unknown + other.unknown,
            self.impossible + other.impossible,
            self.known_log_p + other.known_log_p,
            self.unknown_log_p + other.unknown_log_p,
            _sum(self.characters, other.characters),
            _sum(self.octets, other.octets),
            _sum(self.raw_characters, other.raw_characters),
            _sum(self.raw_octets, other.raw_octets),
            self.changed + other.changed,
            self.changes | other.changes,
        )

    @property
    def log_p(self) -> float:
        """Natural logarithm of the probability of the whole text."""
        return self.known_log_p + self.unknown_log_p

    @property
    def log10_p(self) -> float:
        """The same to base 10."""
        return self.log_p / math.log(10)

    @property
    def nats_per_token(self) -> float:
        """Mean of -ln p over all tokens; not a number where there is none."""
        return _ratio(-self.log_p, self.tokens)

    @property
    def bits_per_token(self) -> float:
        """Mean of -log2 p over all tokens."""
        return self.nats_per_token / math.log(2)

    @property
    def perplexity(self) -> float:
        """The exponential of the mean of -ln p over all tokens."""
        return _exp(self.nats_per_token)

    @property
    def known_perplexity(self) -> float:
        """The same over the tokens that are not unknown."""
        return _exp(_ratio(-self.known_log_p, self.tokens - self.unknown))

    @property
    def bits_per_character(self) -> float:
        """Bits over characters of the text that the tokens reproduce; not a number where it is not at hand."""
        return _ratio(-self.log_p / math.log(2), self.characters or 0)

    @property
    def bits_per_byte(self) -> float:
        """Bits over bytes of the text that the tokens reproduce; not a number where it is not at hand."""
        return _ratio(-self.log_p / math.log(2), self.octets or 0)

    @property
    def raw_bits_per_character(self) -> float:
        """Bits over characters of the text as it was read; not a number where it is not at hand."""
        return _ratio(-self.log_p / math.log(2), self.raw_characters or 0)

    @property
    def raw_bits_per_byte(self) -> float:
        """Bits over bytes of the text as it was read; not a number where it is not at hand."""
        return _ratio(-self.log_p / math.log(2), self.raw_octets or 0)

    @property
    def cautions(self) -> list[str]:
        """Why the figures do not compare with another model's on the same text; nothing where they do."""
        found = []
        if self.changed:
            kinds = ", ".join(kind for kind in CHANGE_KINDS if kind in self.changes)
            found.append(
                f"normalization changed {self.changed:,} of {self.lines:,} lines ({kinds}): bits per character and "
                f"per byte count the text that the tokens reproduce; over the raw text they are "
                f"{self.raw_bits_per_character:.4f} and {self.raw_bits_per_byte:.4f}"
            )
        if self.unknown > HIGH_UNKNOWN_SHARE * self.tokens:
            found.append(
                f"{self.unknown:,} of {self.tokens:,} tokens ({100 * self.unknown / self.tokens:.1f} %) are unknown: "
                "each costs what the one symbol for all unknown words costs, so perplexity and bits are too low to "
                "compare with a model that knows more words"
            )
        return found

    def raw_dict(self) -> dict[str, Any]:
        """The figures over the raw text, and why they differ from those of `as_dict`."""
        figures = {
            "raw_characters": self.raw_characters,
            "raw_bytes": self.raw_octets,
            "raw_bits_per_character": finite(self.raw_bits_per_character),
            "raw_bits_per_byte": finite(self.raw_bits_per_byte),
        }
        kinds = [kind for kind in CHANGE_KINDS if kind in self.changes]
        return {**figures, "changed_lines": self.changed, "changes": kinds, "cautions": self.cautions}

    def as_dict(self) -> dict[str, Any]:
        """All figures; null where one is infinite or there is nothing to take it from."""
        figures = {
            "lines": self.lines,
            "tokens": self.tokens,
            "unknown": self.unknown,
            "impossible": self.impossible,
            "log10": self.log10_p,
            "ln": self.log_p,
            "perplexity": self.perplexity,
            "perplexity_without_unknown": self.known_perplexity,
            "nats_per_token": self.nats_per_token,
            "bits_per_token": self.bits_per_token,
            "characters": self.characters,
            "bytes": self.octets,
            "bits_per_character": self.bits_per_character,
            "bits_per_byte": self.bits_per_byte,
        }
        return {name: finite(value) for name, value in figures.items()}


def measure(
    ids_N: IntArray,
    log_p_N: NDArray[np.float64],
    raw: Sequence[str] | None,
    lines: int,
    reproduced: Sequence[str] | None = None,
) -> LMScore:
    """The figures of some lines.

    Args:
        ids_N: Their tokens, each line with its EOS.
        log_p_N: Natural logarithm of the probability of each.
        raw: The lines as they were read; None where they are not at hand.
        lines: How many there are.
        reproduced: The lines that the tokens spell; the raw ones where nothing else is given.
    """
    text = raw if reproduced is None else reproduced
    found = [] if raw is None or text is None else list(filter(None, map(normalization_changes, raw, text)))
    unknown_N = np.asarray(ids_N) == special_tokens.UNK
    return LMScore(
        lines=lines,
        tokens=len(ids_N),
        unknown=int(unknown_N.sum()),
        impossible=int(np.isneginf(log_p_N).sum()),
        known_log_p=float(log_p_N[~unknown_N].sum()),
        unknown_log_p=float(log_p_N[unknown_N].sum()),
        characters=None if text is None else _characters(text),
        octets=None if text is None else _octets(text),
        raw_characters=None if raw is None else _characters(raw),
        raw_octets=None if raw is None else _octets(raw),
        changed=len(found),
        changes=frozenset().union(*found),
    )


def _characters(lines: Iterable[str]) -> int:
    """Characters of a text, one for each line's end."""
    return sum(len(line) + 1 for line in lines)


def _octets(lines: Iterable[str]) -> int:
    """Bytes of a text in UTF-8, one for each line's end."""
    return sum(len(line.encode("utf-8")) + 1 for line in lines)


def finite(value: float | None) -> float | None:
    """A number as JSON knows it: null where it is infinite or no number."""
    return value if value is not None and math.isfinite(value) else None


def _sum(one: int | None, other: int | None) -> int | None:
    """Two counts, of which the first text's is nothing where there was no text yet."""
    return other if one is None else one if other is None else one + other


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


WHITE_SPACE: Final = "white space"
CASE: Final = "case"
UNICODE_FORM: Final = "Unicode form"
OTHER_CHARACTERS: Final = "other characters"
CHANGE_KINDS: Final = (WHITE_SPACE, CASE, UNICODE_FORM, OTHER_CHARACTERS)
"""In the order in which messages name them."""

_GAPS = re.compile(r"\s+")


def normalization_changes(raw: str, reproduced: str) -> frozenset[str]:
    """In which ways two spellings of a line differ.

    Args:
        raw: The line as it was read.
        reproduced: The line that its tokens spell.

    Returns:
        Some of `KINDS`; none where the two are the same.
    """
    if raw == reproduced:
        return frozenset()
    found = {WHITE_SPACE} if _GAPS.findall(raw) != _GAPS.findall(reproduced) else set()
    one, other = _GAPS.sub("", raw), _GAPS.sub("", reproduced)
    if one != other:
        if _folded(one) != _folded(other):
            return frozenset({*found, OTHER_CHARACTERS})
        by_case = _composed(one) != _composed(other)
        by_form = one.lower() != other.lower() or not by_case
        found |= ({CASE} if by_case else set()) | ({UNICODE_FORM} if by_form else set())
    return frozenset(found)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _folded(text: str) -> str:
    return _composed(_composed(text).lower())
