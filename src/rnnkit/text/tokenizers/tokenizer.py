"""What every kind of tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rnnkit.text.lines import STDIN, read_lines
from rnnkit.text.normalise import Normalisation


class Tokenizer(ABC):
    """Cuts a line into tokens that hold no white space, and puts such tokens together again.

    `detokenize(tokenize(line))` is the normalised line, whatever the line holds.

    Args:
        normalisation: What is done to each line first.
    """

    kinds: ClassVar[tuple[str, ...]]
    """The names that the class answers to in `--type`."""

    def __init__(self, normalisation: Normalisation) -> None:
        self.normalisation = normalisation

    @property
    def kind(self) -> str:
        """Its name in `--type`."""
        return self.kinds[0]

    @property
    def options(self) -> dict[str, Any]:
        """Everything that decides about its tokens, as it is stored and compared."""
        return {"type": self.kind, "normalise": self.normalisation.form, "lowercase": self.normalisation.lowercase}

    @property
    def features(self) -> bool:
        """Whether a TAB parts a line's text from its features; else it is white space like any other."""
        return False

    def __str__(self) -> str:
        settings = self.options
        size = f", {settings['size']:,} pieces" if "size" in settings else ""
        return f"{self.kind}{size}, {settings['normalise']}{', lower case' if settings['lowercase'] else ''}"

    def tokenize(self, line: str) -> list[str]:
        """The tokens of a line; none for a line of white space."""
        return self.split(self.normalisation(line))

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """The tokens of each line. The number of threads decides about nothing but the time."""
        return [self.tokenize(line) for line in lines]

    def join_batch(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """The tokens of each line as a token file has them: a space between any two."""
        return [" ".join(tokens) for tokens in self.tokenize_batch(lines, threads)]

    def part(self, line: str, where: str = "") -> tuple[str, list[str]]:
        """A line's text as it was read, and the tokens of its features, which stand before those of the text.

        Args:
            line: As it was read.
            where: Stands for it in messages, such as `train.de:7`.

        Raises:
            DataError: The tokenizer has features, and these cannot be read.
        """
        return line, []

    def is_feature(self, token: str) -> bool:
        """Whether one of its tokens is a feature, and no part of the text."""
        return False

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The tokens of a line that is normalised already."""

    @abstractmethod
    def detokenize(self, tokens: Sequence[str]) -> str:
        """The line that the tokens spell."""


def read_text(path: Path, tokenizer: Tokenizer | None) -> Iterator[str]:
    """The lines of a raw text, those that the tokenizer cannot read refused by file and line.

    Args:
        path: The file; `-` is standard input.
        tokenizer: What will cut them; None for white space.

    Raises:
        DataError: As `read_lines`; or features that cannot be read.
    """
    name = "standard input" if path == STDIN else str(path)
    featured = tokenizer if tokenizer is not None and tokenizer.features else None
    for number, line in enumerate(read_lines(path), start=1):
        if featured is not None:
            featured.part(line, f"{name}:{number}")
        yield line
