"""Results of `score` for a token, a line and the whole text, and how they are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnkit.evaluation.lm_metrics import LMScore

LN10 = math.log(10)
EOS_TEXT = "</s>"
"""How EOS is printed."""


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

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        from rnnkit.evaluation.lm_metrics import finite

        return {
            "token": self.text,
            "known": self.known,
            "log10": finite(self.log_p / LN10),
            "ln": finite(self.log_p),
        }


@dataclass(frozen=True)
class LineScore:
    """Log-probability of a line.

    Attributes:
        number: Line number, from 1.
        score: Sums over the line.
        tokens: Scores of its tokens; None if not requested.
    """

    number: int
    score: LMScore
    tokens: tuple[TokenScore, ...] | None

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: if requested, a line for each token; the scores of the line; then a blank line."""
        line = "\t".join([*logarithms(self.score.log_p), str(self.score.tokens), str(self.score.unknown)])
        return (line,) if self.tokens is None else (*(token.line for token in self.tokens), line, "")

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        shown = ("tokens", "unknown", "log10", "ln", "perplexity")
        figures = self.score.as_dict()
        found = {"line": self.number, **{name: figures[name] for name in shown}}
        if self.tokens is not None:
            found["token_scores"] = [token.as_dict() for token in self.tokens]
        return found


@dataclass(frozen=True)
class MixtureSummary:
    """A component of an interpolated model.

    Attributes:
        name: The model directory, or `cache`.
        weight: Interpolation weight.
        perplexity: Perplexity of the text under this component alone.
        unknown: Tokens that it encodes as `<unk>`; None for the cache.
    """

    name: str
    weight: float
    perplexity: float
    unknown: int | None = None


@dataclass(frozen=True)
class Summary:
    """Scores of the whole text.

    Attributes:
        score: Sums over the text, and the figures derived from them.
        parts: The interpolated components; a single one without interpolation.
        cache: Size and flatness of the cache; None without one.
    """

    score: LMScore
    parts: tuple[MixtureSummary, ...]
    cache: tuple[int, float] | None

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        from rnnkit.reports.figures import format_columns

        score = self.score
        rows = [
            ("lines", f"{score.lines:,}"),
            ("tokens, EOS included", f"{score.tokens:,}"),
            ("unknown tokens", f"{score.unknown:,}"),
            ("perplexity", f"{score.perplexity:,.2f}"),
            ("perplexity without unknown tokens", f"{score.known_perplexity:,.2f}"),
            ("nats per token", f"{score.nats_per_token:.4f}"),
            ("bits per token", f"{score.bits_per_token:.4f}"),
        ]
        if score.impossible:
            rows.insert(3, ("tokens of probability zero", f"{score.impossible:,}"))
        if score.characters is not None:
            rows += [
                ("bits per character", f"{score.bits_per_character:.4f}"),
                ("bits per byte", f"{score.bits_per_byte:.4f}"),
            ]
            if score.cautions:
                rows += [
                    ("bits per character of the raw text", f"{score.raw_bits_per_character:.4f}"),
                    ("bits per byte of the raw text", f"{score.raw_bits_per_byte:.4f}"),
                ]
        return [*format_columns(rows, right=[1]), *self._mixture()]

    def _mixture(self) -> list[str]:
        from rnnkit.reports.figures import format_columns

        if len(self.parts) == 1:
            return []
        heading = ("component", "weight", "perplexity alone", "unknown tokens")
        rows = [
            (part.name, f"{part.weight:.4f}", f"{part.perplexity:,.2f}", f"{part.unknown or 0:,}")
            for part in self.parts
        ]
        columns = 4 if len({part.unknown for part in self.parts if part.unknown is not None}) > 1 else 3
        found = format_columns([row[:columns] for row in (heading, *rows)], right=[1, 2, 3][: columns - 1])
        if self.cache is not None:
            found.append(f"the cache holds {self.cache[0]:,} tokens, flatness {self.cache[1]:g}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        from rnnkit.evaluation.lm_metrics import finite

        parts = [
            {
                "name": part.name,
                "weight": part.weight,
                "perplexity": finite(part.perplexity),
                **({} if part.unknown is None or len(self.parts) == 1 else {"unknown": part.unknown}),
            }
            for part in self.parts
        ]
        cache = None if self.cache is None else {"size": self.cache[0], "flatness": self.cache[1]}
        return {"summary": {**self.score.as_dict(), **self.score.raw_dict(), "mixture": parts, "cache": cache}}


def logarithms(log_p: float) -> tuple[str, str]:
    """Format a natural logarithm to base 10 and to base e."""
    return f"{log_p / LN10:.4f}", f"{log_p:.4f}"
