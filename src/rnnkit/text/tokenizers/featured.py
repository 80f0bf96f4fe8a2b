"""`--features`: any tokenizer, for lines whose text has features behind a TAB.

The features' tokens stand before the text's: a model that reads from left to right knows them when the text begins, a
prompt's text is what is gone on from, and a line that is cut to a length keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnkit.text import features
from rnnkit.text.tokenizers.subwords import SubwordTokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer


class FeaturedTokenizer(Tokenizer):
    """A tokenizer of texts, and a token for each feature beside them (`text/features.py`).

    `detokenize(tokenize(line))` is the normalised text, without the features.

    Args:
        text: Cuts what stands before the TAB, and knows nothing of features.
    """

    def __init__(self, text: Tokenizer) -> None:
        super().__init__(text.normalisation)
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
        return features.marked(self.text.pieces)

    @property
    def features(self) -> bool:
        """Yes."""
        return True

    def __str__(self) -> str:
        return f"{self.text}, features"

    def part(self, line: str, where: str = "") -> tuple[str, list[str]]:
        """The text before the TAB, and the tokens of the features behind it. Raises DataError as `features.part`."""
        text, column = features.part(line, where)
        return text, features.tokens_of(column, self.normalisation.form)

    def tokenize(self, line: str) -> list[str]:
        """The tokens of the features, then of the text. Raises DataError as `features.part`."""
        text, found = self.part(line)
        return found + features.marked(self.text.tokenize(text))

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """The tokens of each line. Raises DataError as `features.part`."""
        parts = [self.part(line) for line in lines]
        rows = self.text.tokenize_batch([text for text, _ in parts], threads)
        return [found + features.marked(row) for (_, found), row in zip(parts, rows, strict=True)]

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
        return [found + features.marked(row) for found, row in zip(repeated, rows, strict=True)]

    def split(self, text: str) -> list[str]:
        """The tokens of a normalised text, which has no features."""
        return features.marked(self.text.split(text))

    def is_feature(self, token: str) -> bool:
        """Whether it begins with one mark."""
        return features.is_feature(token)

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the tokens of the text spell; features are left out, wherever they stand."""
        return self.text.join(features.unmarked(tokens))
