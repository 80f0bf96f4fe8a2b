"""Sentence frames with named gaps, and the filling of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .dice import Dice
from .phrases import indefinite_article

GAP = re.compile(r"\{(\w+)\}")
ARTICLE = re.compile(r"\b([Aa])~(\w)")

Row = Mapping[str, Sequence[str]]
"""What may stand in each gap. Gaps that belong together hold a single value."""


def lines(text: str) -> list[str]:
    """The lines of an indented block, without the indentation."""
    return [line.strip() for line in text.strip().splitlines()]


def fill(dice: Dice, frame: str, *sources: Row) -> str:
    """The frame with its gaps filled from the first source that knows them, as a sentence.

    A gap asked for twice takes two different values; `{name1}` and `{name2}` are two gaps of one kind.
    `a~` before a gap becomes a or an.
    """
    used: dict[str, list[str]] = {}

    def value(match: re.Match[str]) -> str:
        gap = match.group(1)
        kind = gap.rstrip("0123456789")
        options = next(source[key] for key in (gap, kind) for source in sources if key in source)
        fresh = [option for option in options if option not in used.get(kind, [])] or list(options)
        chosen = dice.choice(fresh)
        used.setdefault(kind, []).append(chosen)
        # A value may hold gaps of its own.
        return GAP.sub(value, chosen)

    text = GAP.sub(value, frame)
    text = ARTICLE.sub(lambda match: with_article(match.group(1), match.group(2)), text)
    return text[0].upper() + text[1:]


def with_article(article: str, following: str) -> str:
    """A or an before this letter, in the case of the article."""
    word = indefinite_article(following.lower())
    return f"{word.capitalize() if article == 'A' else word} {following}"
