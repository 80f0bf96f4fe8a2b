"""Interface of all tokenizers, and features of a line beside its text.

Features follow a TAB (`--features`), separated by `;` or spaces: `aufgehen<TAB>V;PST;2;SG`. The token of a feature
begins with `␉` (U+2409), the picture of the TAB: `␉V ␉PST ␉2 ␉SG`. In a token of the text that begins with `␉` it is
doubled, and no feature contains it, so the two are never confused, whatever the tokenizer.

Feature tokens precede those of the text: a left-to-right model is conditioned on them when the text begins, the text of
a prompt is what the model continues, and a line that is truncated keeps them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from rnnkit.errors import DataError
from rnnkit.events import Listener, WarningEvent
from rnnkit.json_types import JsonObject
from rnnkit.text.lines import display_name, read_lines, replace_line_ends, split_location
from rnnkit.text.unicode import Normalizer

FEATURE_MARK: Final = "␉"
"""U+2409, the first character of a feature token."""

FEATURE_SEPARATOR: Final = "\t"
"""Between the text of a line and its features."""

_DOUBLE_MARK: Final = FEATURE_MARK + FEATURE_MARK


class Tokenizer(ABC):
    """Splits a line into tokens without white space, and joins such tokens to a line.

    `detokenize(tokenize(line))` is the normalized line, whatever the line contains.

    Args:
        normalizer: Applied to each line first.

    Attributes:
        replaced_line_ends: Lines returned by `detokenize` in which `␊` or `␍` replaces a line end.
    """

    kinds: ClassVar[tuple[str, ...]]
    """Names of the class in `--type`."""

    def __init__(self, normalizer: Normalizer) -> None:
        self.normalizer = normalizer
        self.replaced_line_ends = 0

    @property
    def kind(self) -> str:
        """Name in `--type`."""
        return self.kinds[0]

    @property
    def options(self) -> JsonObject:
        """All settings that determine the tokens, as stored and compared."""
        exact = {"exact": True} if self.normalizer.exact else {}  # absent in directories of older versions
        form, lowercase = self.normalizer.form, self.normalizer.lowercase
        return {"type": self.kind, "normalise": form, "lowercase": lowercase, **exact}

    @property
    def byte_fallback(self) -> bool:
        """Whether text that no other token covers is encoded as byte tokens."""
        return False

    @property
    def pieces(self) -> Sequence[str]:
        """With `byte_fallback`, the tokens other than bytes that a text can be split into."""
        return ()

    @property
    def features(self) -> bool:
        """Whether a TAB separates the text of a line from its features; otherwise it is ordinary white space."""
        return False

    def __str__(self) -> str:
        settings = self.options
        size = f", {settings['size']:,} pieces" if "size" in settings else ""
        form = f"{settings['normalise']}{', white space kept' if 'exact' in settings else ''}"
        return f"{self.kind}{size}, {form}{', lower case' if settings['lowercase'] else ''}"

    def tokenize(self, line: str) -> list[str]:
        """Return the tokens of a line; none for a line of white space, unless white space is kept."""
        return self.tokenize_normalized(self.normalizer(line))

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """Return the tokens of each line, independent of the number of threads."""
        return [self.tokenize(line) for line in lines]

    def tokenize_to_lines(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """Return the tokens of each line as a token file contains them, separated by spaces."""
        return [" ".join(tokens) for tokens in self.tokenize_batch(lines, threads)]

    def sample_batch(self, lines: Sequence[str], samples: int, alpha: float, seed: int) -> list[list[str]]:
        """Sample segmentations of each line, as `SubwordTokenizer.sample_batch`.

        Raises:
            TypeError: The tokenizer has one segmentation for each line.
        """
        raise TypeError(f"a {self.kind} tokenizer has one segmentation for each line")

    def split_features(self, line: str, where: str = "") -> tuple[str, list[str]]:
        """Return the raw text of a line, and the tokens of its features, which precede those of the text.

        Args:
            line: Raw line.
            where: Location for messages, such as `train.de:7`.

        Raises:
            DataError: The tokenizer has features, and those of the line are malformed.
        """
        return line, []

    def is_feature(self, token: str) -> bool:
        """Return whether a token of this tokenizer is a feature and not part of the text."""
        return False

    @abstractmethod
    def tokenize_normalized(self, text: str) -> list[str]:
        """Return the tokens of a normalized line."""

    @abstractmethod
    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens; it may contain line ends, as a model can predict any byte."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens as one line; line ends are replaced (`text/lines.py`) and counted."""
        text = self.join_tokens(tokens)
        line = replace_line_ends(text)
        self.replaced_line_ends += line != text
        return line


def warn_replaced_line_ends(tokenizer: Tokenizer | None, listen: Listener) -> None:
    """Emit a warning if `detokenize` has replaced line ends, and reset the count."""
    if tokenizer is not None and tokenizer.replaced_line_ends:
        listen(
            WarningEvent(
                f"{tokenizer.replaced_line_ends:,} lines have tokens that spell a line end; "
                "␊ (LF) or ␍ (CR) replaces it, so that each stays one line"
            )
        )
        tokenizer.replaced_line_ends = 0


def read_raw_text(path: Path, tokenizer: Tokenizer | None) -> Iterator[str]:
    """Yield the lines of a raw text file, with malformed features reported by file and line.

    Args:
        path: The file; `-` is standard input.
        tokenizer: Tokenizer of the lines; None for white space.

    Raises:
        DataError: As `read_lines`, or features are malformed.
    """
    name = display_name(path)
    featured = tokenizer if tokenizer is not None and tokenizer.features else None
    for number, line in enumerate(read_lines(path), start=1):
        if featured is not None:
            featured.split_features(line, f"{name}:{number}")
        yield line


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
    def options(self) -> JsonObject:
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
