"""What stands beside a line's text, behind a TAB: `aufgehen<TAB>V;PST;2;SG`, parted by `;` or white space.

As a token a feature begins with `␉` (U+2409), the picture of the TAB: `␉V ␉PST ␉2 ␉SG`. A token of the text that begins
with `␉` has it twice, and no feature holds one, so that neither is ever taken for the other, whatever cuts the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rnnkit.errors import DataError
from rnnkit.text.normalise import Normalisation

MARK: Final = "␉"
"""U+2409, which begins the token of a feature."""

TAB: Final = "\t"
"""Between a line's text and its features."""

_TWICE: Final = MARK + MARK


def part(line: str, where: str = "") -> tuple[str, str]:
    """A line's text, and its column of features, which is empty where there is no TAB.

    Args:
        line: As it was read.
        where: Stands for it in messages, such as `train.de:7`.

    Raises:
        DataError: It has more than one TAB, or a feature holds the mark.
    """
    text, tab, column = line.partition(TAB)
    if not tab:
        return line, ""
    begin = f"{where}: " if where else ""
    if TAB in column:
        raise DataError(
            f"{begin}the line has {line.count(TAB)} TABs",
            "one TAB parts a line's text from its features, and ; or spaces part these",
            hint="`cut -f` picks columns; `paste -d ';'` makes one of several",
        )
    for feature in _parted(column):
        if MARK in feature:
            raise DataError(
                f"{begin}the feature {feature!r} holds {MARK} (U+2409)",
                "token files mark features with it",
                hint="write the feature without it",
            )
    return text, column


def tokens_of(column: str, form: str) -> list[str]:
    """The tokens of a column of features, in its order. Case stays as it is.

    Args:
        column: As `part` gives it.
        form: Unicode form, as for `Normalisation`.
    """
    # The form comes first: the Greek question mark becomes a semicolon by it.
    return [MARK + feature for feature in _parted(Normalisation(form)(column))] if column else []


def is_feature(token: str) -> bool:
    """Whether a token, of a tokenizer with features, is one."""
    return token.startswith(MARK) and not token.startswith(_TWICE)


def marked(tokens: Iterable[str]) -> list[str]:
    """Tokens of a text as they stand beside features: a mark at the start of one is doubled."""
    return [MARK + token if token.startswith(MARK) else token for token in tokens]


def unmarked(tokens: Sequence[str]) -> list[str]:
    """The tokens of the text among tokens, as they were before `marked`."""
    return [token.removeprefix(MARK) for token in tokens if not is_feature(token)]


def _parted(column: str) -> list[str]:
    return column.replace(";", " ").split()
