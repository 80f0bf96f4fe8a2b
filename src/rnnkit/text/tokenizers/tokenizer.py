"""Interface of all tokenizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rnnkit.events import Listener, WarningEvent
from rnnkit.text.lines import display_name, read_lines, replace_line_ends
from rnnkit.text.normalizer import Normalizer


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
    def options(self) -> dict[str, Any]:
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
