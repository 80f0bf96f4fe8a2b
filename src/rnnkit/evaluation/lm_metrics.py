"""Metrics of a text under a language model: perplexity, cross-entropy in nats and bits, bits per character and byte.

    perplexity         = exp(-1/N sum ln p)           N tokens, counting `</s>` of each line
      without unknown  = the same over the tokens in the vocabulary
    bits per character = -sum log2 p / C              C characters of the text, counting one per line end
    bits per byte      = -sum log2 p / B              B bytes of its UTF-8 form, counting one per line end

C and B refer to the text that the tokens reproduce, as `detokenize` writes it. White space, case and Unicode forms that
normalization removed are not predicted and therefore not counted; the metrics over the raw text, `raw_...`, count them.

Bits per character compare models with different tokens if both reproduce the same text and no token is unknown: an
unknown word costs as much as the symbol `<unk>`, whatever its length.

Text that the tokens do not reproduce is classified by what normalization changed: white space, case, Unicode form.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.io.npy import IntArray
from rnnkit.json_types import JsonObject
from rnnkit.text import special_tokens

LN10 = math.log(10)

HIGH_UNKNOWN_SHARE = 0.05
"""Share of unknown tokens above which metrics are not comparable with those of other models."""

WHITE_SPACE: Final = "white space"
CASE: Final = "case"
UNICODE_FORM: Final = "Unicode form"
OTHER_CHARACTERS: Final = "other characters"
CHANGE_KINDS: Final = (WHITE_SPACE, CASE, UNICODE_FORM, OTHER_CHARACTERS)
"""Kinds of changes, in the order of messages."""

_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class LMScore:
    """Log-probability and counts of a text. Scores of two texts can be added.

    Attributes:
        lines: Number of lines.
        tokens: Number of tokens, counting EOS of each line.
        unknown: Number of out-of-vocabulary tokens.
        impossible: Number of tokens with probability zero.
        known_log_p: Sum of ln p over the tokens in the vocabulary.
        unknown_log_p: Sum of ln p over the unknown tokens.
        characters: Characters of the text that the tokens reproduce; None if not available.
        bytes: Bytes of that text in UTF-8; None if not available.
        raw_characters: Characters of the raw text; None if not available.
        raw_bytes: Bytes of the raw text in UTF-8; None if not available.
        changed: Lines that the tokens do not reproduce exactly.
        changes: How they differ: some of `CHANGE_KINDS`.
    """

    lines: int = 0
    tokens: int = 0
    unknown: int = 0
    impossible: int = 0
    known_log_p: float = 0.0
    unknown_log_p: float = 0.0
    characters: int | None = None
    bytes: int | None = None
    raw_characters: int | None = None
    raw_bytes: int | None = None
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
            _sum(self.bytes, other.bytes),
            _sum(self.raw_characters, other.raw_characters),
            _sum(self.raw_bytes, other.raw_bytes),
            self.changed + other.changed,
            self.changes | other.changes,
        )

    @property
    def log_p(self) -> float:
        """Ln p of the whole text."""
        return self.known_log_p + self.unknown_log_p

    @property
    def log10_p(self) -> float:
        """log10 p of the whole text."""
        return self.log_p / math.log(10)

    @property
    def nats_per_token(self) -> float:
        """Mean of -ln p over all tokens; NaN if there are none."""
        return _ratio(-self.log_p, self.tokens)

    @property
    def bits_per_token(self) -> float:
        """Mean of -log2 p over all tokens."""
        return self.nats_per_token / math.log(2)

    @property
    def perplexity(self) -> float:
        """Perplexity over all tokens."""
        return _exp(self.nats_per_token)

    @property
    def known_perplexity(self) -> float:
        """Perplexity over the tokens in the vocabulary."""
        return _exp(_ratio(-self.known_log_p, self.tokens - self.unknown))

    @property
    def bits_per_character(self) -> float:
        """Bits per character of the text that the tokens reproduce; NaN if it is not available."""
        return _ratio(-self.log_p / math.log(2), self.characters or 0)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of the text that the tokens reproduce; NaN if it is not available."""
        return _ratio(-self.log_p / math.log(2), self.bytes or 0)

    @property
    def raw_bits_per_character(self) -> float:
        """Bits per character of the raw text; NaN if it is not available."""
        return _ratio(-self.log_p / math.log(2), self.raw_characters or 0)

    @property
    def raw_bits_per_byte(self) -> float:
        """Bits per byte of the raw text; NaN if it is not available."""
        return _ratio(-self.log_p / math.log(2), self.raw_bytes or 0)

    @property
    def cautions(self) -> list[str]:
        """Reasons why the metrics are not comparable with another model's on the same text."""
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
                f"{self.unknown:,} of {self.tokens:,} tokens ({100 * self.unknown / self.tokens:.1f} %) are unknown "
                "and scored as <unk>: perplexity and bits are too low to compare with those of a model with a larger "
                "vocabulary"
            )
        return found

    def raw_dict(self) -> JsonObject:
        """JSON form of the metrics over the raw text, and why they differ from those of `as_dict`."""
        figures = {
            "raw_characters": self.raw_characters,
            "raw_bytes": self.raw_bytes,
            "raw_bits_per_character": finite(self.raw_bits_per_character),
            "raw_bits_per_byte": finite(self.raw_bits_per_byte),
        }
        kinds = [kind for kind in CHANGE_KINDS if kind in self.changes]
        return {**figures, "changed_lines": self.changed, "changes": kinds, "cautions": self.cautions}

    def as_dict(self) -> JsonObject:
        """JSON form; values that are infinite or undefined are None."""
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
            "bytes": self.bytes,
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
    """Sum up the log-probabilities of some lines.

    Args:
        ids_N: Token ids, each line ending in EOS.
        log_p_N: ln p of each token.
        raw: The raw lines; None if not available.
        lines: Number of lines.
        reproduced: The lines that the tokens reproduce; the raw ones by default.
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
        characters=None if text is None else _character_count(text),
        bytes=None if text is None else _byte_count(text),
        raw_characters=None if raw is None else _character_count(raw),
        raw_bytes=None if raw is None else _byte_count(raw),
        changed=len(found),
        changes=frozenset().union(*found),
    )


def _character_count(lines: Iterable[str]) -> int:
    """Count characters, one for each line end included."""
    return sum(len(line) + 1 for line in lines)


def _byte_count(lines: Iterable[str]) -> int:
    """Count bytes in UTF-8, one for each line end included."""
    return sum(len(line.encode("utf-8")) + 1 for line in lines)


def finite(value: float | None) -> float | None:
    """Return a number that JSON can represent: None in place of infinity and NaN."""
    return value if value is not None and math.isfinite(value) else None


def _sum(one: int | None, other: int | None) -> int | None:
    """Add two counts, None being that of no text yet."""
    return other if one is None else one if other is None else one + other


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def normalization_changes(raw: str, reproduced: str) -> frozenset[str]:
    """Classify how two spellings of a line differ.

    Args:
        raw: The raw line.
        reproduced: The line that its tokens reproduce.

    Returns:
        Some of `CHANGE_KINDS`; empty if the two are equal.
    """
    if raw == reproduced:
        return frozenset()
    found = {WHITE_SPACE} if _WHITE_SPACE.findall(raw) != _WHITE_SPACE.findall(reproduced) else set()
    one, other = _WHITE_SPACE.sub("", raw), _WHITE_SPACE.sub("", reproduced)
    if one != other:
        if _casefold(one) != _casefold(other):
            return frozenset({*found, OTHER_CHARACTERS})
        by_case = _composed(one) != _composed(other)
        by_form = one.lower() != other.lower() or not by_case
        found |= ({CASE} if by_case else set()) | ({UNICODE_FORM} if by_form else set())
    return frozenset(found)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _casefold(text: str) -> str:
    return _composed(_composed(text).lower())


@dataclass(frozen=True)
class TokenScore:
    """Log-probability of a token.

    Attributes:
        text: The token as it occurs in the text.
        known: Whether it is in the vocabulary.
        log_p: ln p.
    """

    text: str
    known: bool
    log_p: float

    @property
    def line(self) -> str:
        """Printed form: log10 p, ln p, the token, and `<unk>` after a token that is not in the vocabulary."""
        return "\t".join([*logarithms(self.log_p), self.text, *([] if self.known else ["<unk>"])])

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "token": self.text,
            "known": self.known,
            "log10": finite(self.log_p / LN10),
            "ln": finite(self.log_p),
        }


def logarithms(log_p: float) -> tuple[str, str]:
    """Format a natural logarithm to base 10 and to base e."""
    return f"{log_p / LN10:.4f}", f"{log_p:.4f}"
