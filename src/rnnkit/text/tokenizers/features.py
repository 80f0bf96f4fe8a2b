"""What stands beside a line's text, behind a TAB: `aufgehen<TAB>V;PST;2;SG`, parted by `;` or white space.

As a token a feature begins with `␉` (U+2409), the picture of the TAB: `␉V ␉PST ␉2 ␉SG`. A token of the text that begins
with `␉` has it twice, and no feature holds one, so that neither is ever taken for the other, whatever cuts the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rnnkit.errors import DataError
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.subword_tokenizer import SubwordTokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer

FEATURE_MARK: Final = "␉"
"""U+2409, which begins the token of a feature."""

FEATURE_SEPARATOR: Final = "\t"
"""Between a line's text and its features."""

_TWICE: Final = FEATURE_MARK + FEATURE_MARK


def split_features(line: str, where: str = "") -> tuple[str, str]:
    """A line's text, and its column of features, which is empty where there is no TAB.

    Args:
        line: As it was read.
        where: Stands for it in messages, such as `train.de:7`.

    Raises:
        DataError: It has more than one TAB, or a feature holds the mark.
    """
    text, tab, column = line.partition(FEATURE_SEPARATOR)
    if not tab:
        return line, ""
    begin = f"{where}: " if where else ""
    if FEATURE_SEPARATOR in column:
        raise DataError(
            f"{begin}the line has {line.count(FEATURE_SEPARATOR)} TABs",
            "one TAB parts a line's text from its features, and ; or spaces part these",
            hint="`cut -f` picks columns; `paste -d ';'` makes one of several",
        )
    for feature in _parted(column):
        if FEATURE_MARK in feature:
            raise DataError(
                f"{begin}the feature {feature!r} holds {FEATURE_MARK} (U+2409)",
                "token files mark features with it",
                hint="write the feature without it",
            )
    return text, column


def feature_tokens(column: str, form: str) -> list[str]:
    """The tokens of a column of features, in its order. Case stays as it is.

    Args:
        column: As `part` gives it.
        form: Unicode form, as for `Normalisation`.
    """
    # The form comes first: the Greek question mark becomes a semicolon by it.
    return [FEATURE_MARK + feature for feature in _parted(Normalizer(form)(column))] if column else []


def is_feature(token: str) -> bool:
    """Whether a token, of a tokenizer with features, is one."""
    return token.startswith(FEATURE_MARK) and not token.startswith(_TWICE)


def escape_marks(tokens: Iterable[str]) -> list[str]:
    """Tokens of a text as they stand beside features: a mark at the start of one is doubled."""
    return [FEATURE_MARK + token if token.startswith(FEATURE_MARK) else token for token in tokens]


def remove_features(tokens: Sequence[str]) -> list[str]:
    """The tokens of the text among tokens, as they were before `marked`."""
    return [token.removeprefix(FEATURE_MARK) for token in tokens if not is_feature(token)]


def _parted(column: str) -> list[str]:
    return column.replace(";", " ").split()


class FeaturedTokenizer(Tokenizer):
    """A tokenizer of texts, and a token for each feature beside them (`text/tokenizers/features.py`).

    `detokenize(tokenize(line))` is the normalised text, without the features.

    Args:
        text: Cuts what stands before the TAB, and knows nothing of features.
    """

    def __init__(self, text: Tokenizer) -> None:
        super().__init__(text.normalizer)
        self.text = text

    @property
    def kind(self) -> str:
        """That of the tokenizer for texts."""
        return self.text.kind

    @property
    def options(self) -> dict[str, Any]:
        """Those of the tokenizer for texts, and that there are features."""
        return {**self.text.options, "features": True}

    @property
    def byte_fallback(self) -> bool:
        """As the tokenizer for texts."""
        return self.text.byte_fallback

    @property
    def pieces(self) -> Sequence[str]:
        """Those of the tokenizer for texts, as they stand beside features."""
        return escape_marks(self.text.pieces)

    @property
    def features(self) -> bool:
        """Yes."""
        return True

    def __str__(self) -> str:
        return f"{self.text}, features"

    def part(self, line: str, where: str = "") -> tuple[str, list[str]]:
        """The text before the TAB, and the tokens of the features behind it. Raises DataError as `features.part`."""
        text, column = split_features(line, where)
        return text, feature_tokens(column, self.normalizer.form)

    def tokenize(self, line: str) -> list[str]:
        """The tokens of the features, then of the text. Raises DataError as `features.part`."""
        text, found = self.part(line)
        return found + escape_marks(self.text.tokenize(text))

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """The tokens of each line. Raises DataError as `features.part`."""
        parts = [self.part(line) for line in lines]
        rows = self.text.tokenize_batch([text for text, _ in parts], threads)
        return [found + escape_marks(row) for (_, found), row in zip(parts, rows, strict=True)]

    def sample_batch(self, lines: Sequence[str], samples: int, alpha: float, seed: int) -> list[list[str]]:
        """Random segmentations of each line's text, each behind the line's features; as `SubwordTokenizer` draws them.

        Raises:
            DataError: As `features.part`.
            TypeError: The tokenizer for texts can cut a line in one way only.
        """
        if not isinstance(self.text, SubwordTokenizer):
            raise TypeError(f"{self.kind} cuts a line in one way only")
        parts = [self.part(line) for line in lines]
        rows = self.text.sample_batch([text for text, _ in parts], samples, alpha, seed)
        repeated = (found for _, found in parts for _ in range(samples))
        return [found + escape_marks(row) for found, row in zip(repeated, rows, strict=True)]

    def split(self, text: str) -> list[str]:
        """The tokens of a normalised text, which has no features."""
        return escape_marks(self.text.split(text))

    def is_feature(self, token: str) -> bool:
        """Whether it begins with one mark."""
        return is_feature(token)

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the tokens of the text spell; features are left out, wherever they stand."""
        return self.text.join(remove_features(tokens))
