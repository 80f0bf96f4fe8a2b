"""Features of a line, after a TAB (`--features`): `aufgehen<TAB>V;PST;2;SG`, separated by `;` or spaces.

The token of a feature begins with `␉` (U+2409), the picture of the TAB: `␉V ␉PST ␉2 ␉SG`. In a token of the text that
begins with `␉` it is doubled, and no feature contains it, so the two are never confused, whatever the tokenizer.

Feature tokens precede those of the text: a left-to-right model is conditioned on them when the text begins, the text of
a prompt is what the model continues, and a line that is truncated keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rnnkit.errors import DataError
from rnnkit.text.lines import split_location
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer

FEATURE_MARK: Final = "␉"
"""U+2409, the first character of a feature token."""

FEATURE_SEPARATOR: Final = "\t"
"""Between the text of a line and its features."""

_DOUBLE_MARK: Final = FEATURE_MARK + FEATURE_MARK


def split_features(line: str, where: str = "") -> tuple[str, str]:
    """Split a line into its text and its column of features, which is empty without a TAB.

    Args:
        line: Raw line.
        where: Location for messages, such as `train.de:7`.

    Raises:
        DataError: The line has more than one TAB, or a feature contains the mark.
    """
    text, tab, column = line.partition(FEATURE_SEPARATOR)
    if not tab:
        return line, ""
    prefix = f"{where}: " if where else ""
    path, number = split_location(where)
    if FEATURE_SEPARATOR in column:
        raise DataError(
            f"{prefix}the line has {line.count(FEATURE_SEPARATOR)} TABs",
            "one TAB separates the text of a line from its features; ; or spaces separate features",
            hint="`cut -f` selects columns; `paste -d ';'` joins several to one",
            path=path,
            line=number,
        )
    for feature in _split_column(column):
        if FEATURE_MARK in feature:
            raise DataError(
                f"{prefix}the feature {feature!r} contains {FEATURE_MARK} (U+2409)",
                "token files mark features with this character",
                hint="write the feature without it",
                path=path,
                line=number,
            )
    return text, column


def feature_tokens(column: str, form: str) -> list[str]:
    """Return the tokens of a column of features, in order. Case is kept.

    Args:
        column: As returned by `split_features`.
        form: Unicode form, as in `Normalizer`.
    """
    # Normalize before splitting: the Greek question mark becomes a semicolon.
    return [FEATURE_MARK + feature for feature in _split_column(Normalizer(form)(column))] if column else []


def is_feature(token: str) -> bool:
    """Return whether a token is a feature; for tokens of a tokenizer with features."""
    return token.startswith(FEATURE_MARK) and not token.startswith(_DOUBLE_MARK)


def escape_marks(tokens: Iterable[str]) -> list[str]:
    """Return tokens of the text with a mark at their start doubled."""
    return [FEATURE_MARK + token if token.startswith(FEATURE_MARK) else token for token in tokens]


def remove_features(tokens: Sequence[str]) -> list[str]:
    """Return the tokens of the text, without features and without the effect of `escape_marks`."""
    return [token.removeprefix(FEATURE_MARK) for token in tokens if not is_feature(token)]


def _split_column(column: str) -> list[str]:
    return column.replace(";", " ").split()


class FeaturedTokenizer(Tokenizer):
    """Any tokenizer, with a token for each feature beside the text.

    `detokenize(tokenize(line))` is the normalized text, without the features.

    Args:
        text_tokenizer: Tokenizer of the text before the TAB, without features.
    """

    def __init__(self, text_tokenizer: Tokenizer) -> None:
        super().__init__(text_tokenizer.normalizer)
        self.text_tokenizer = text_tokenizer

    @property
    def kind(self) -> str:
        """Kind of the text tokenizer."""
        return self.text_tokenizer.kind

    @property
    def options(self) -> dict[str, Any]:
        """Options of the text tokenizer, plus `features`."""
        return {**self.text_tokenizer.options, "features": True}

    @property
    def byte_fallback(self) -> bool:
        """As the text tokenizer."""
        return self.text_tokenizer.byte_fallback

    @property
    def pieces(self) -> Sequence[str]:
        """Pieces of the text tokenizer, escaped."""
        return escape_marks(self.text_tokenizer.pieces)

    @property
    def features(self) -> bool:
        """True."""
        return True

    def __str__(self) -> str:
        return f"{self.text_tokenizer}, features"

    def split_features(self, line: str, where: str = "") -> tuple[str, list[str]]:
        """Return the text before the TAB and the tokens of the features. Raises as `split_features`."""
        text, column = split_features(line, where)
        return text, feature_tokens(column, self.normalizer.form)

    def tokenize(self, line: str) -> list[str]:
        """Return the tokens of the features, then of the text. Raises as `split_features`."""
        text, features = self.split_features(line)
        return features + escape_marks(self.text_tokenizer.tokenize(text))

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """Return the tokens of each line. Raises as `split_features`."""
        pairs = [self.split_features(line) for line in lines]
        rows = self.text_tokenizer.tokenize_batch([text for text, _ in pairs], threads)
        return [features + escape_marks(row) for (_, features), row in zip(pairs, rows, strict=True)]

    def sample_batch(self, lines: Sequence[str], samples: int, alpha: float, seed: int) -> list[list[str]]:
        """Sample segmentations of the text of each line, each after the features, as `SubwordTokenizer.sample_batch`.

        Raises:
            DataError: As `split_features`.
            TypeError: The text tokenizer has one segmentation for each line.
        """
        pairs = [self.split_features(line) for line in lines]
        rows = self.text_tokenizer.sample_batch([text for text, _ in pairs], samples, alpha, seed)
        repeated = (features for _, features in pairs for _ in range(samples))
        return [features + escape_marks(row) for features, row in zip(repeated, rows, strict=True)]

    def tokenize_normalized(self, text: str) -> list[str]:
        """Return the tokens of a normalized text without features."""
        return escape_marks(self.text_tokenizer.tokenize_normalized(text))

    def is_feature(self, token: str) -> bool:
        """Return whether a token begins with exactly one mark."""
        return is_feature(token)

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text; features are left out at any position."""
        return self.text_tokenizer.join_tokens(remove_features(tokens))
