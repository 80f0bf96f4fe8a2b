"""What every kind of tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rnnkit.events import Listener, WarningEvent
from rnnkit.text.lines import STDIN, read_lines, replace_line_ends
from rnnkit.text.normalizer import Normalizer


class Tokenizer(ABC):
    """Cuts a line into tokens that hold no white space, and puts such tokens together again.

    `detokenize(tokenize(line))` is the normalised line, whatever the line holds.

    Args:
        normalizer: What is done to each line first.

    Attributes:
        replaced: Lines of `detokenize` in which a sign stands for a line end.
    """

    kinds: ClassVar[tuple[str, ...]]
    """The names that the class answers to in `--type`."""

    def __init__(self, normalizer: Normalizer) -> None:
        self.normalizer = normalizer
        self.replaced = 0

    @property
    def kind(self) -> str:
        """Its name in `--type`."""
        return self.kinds[0]

    @property
    def options(self) -> dict[str, Any]:
        """Everything that decides about its tokens, as it is stored and compared."""
        exact = {"exact": True} if self.normalizer.exact else {}  # which older folders do not mention
        form, lowercase = self.normalizer.form, self.normalizer.lowercase
        return {"type": self.kind, "normalise": form, "lowercase": lowercase, **exact}

    @property
    def byte_fallback(self) -> bool:
        """Whether any byte can be a token: text that no other token covers is spelled with them."""
        return False

    @property
    def pieces(self) -> Sequence[str]:
        """With `byte_fallback`, the tokens other than the bytes that a text can be cut into."""
        return ()

    @property
    def features(self) -> bool:
        """Whether a TAB parts a line's text from its features; else it is white space like any other."""
        return False

    def __str__(self) -> str:
        settings = self.options
        size = f", {settings['size']:,} pieces" if "size" in settings else ""
        form = f"{settings['normalise']}{', white space kept' if 'exact' in settings else ''}"
        return f"{self.kind}{size}, {form}{', lower case' if settings['lowercase'] else ''}"

    def tokenize(self, line: str) -> list[str]:
        """The tokens of a line; none for a line of white space, unless white space is kept."""
        return self.split(self.normalizer(line))

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
    def join(self, tokens: Sequence[str]) -> str:
        """The text that the tokens spell, which may hold line ends: a model can write any byte."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """The line that the tokens spell. Signs stand for line ends in it (`text/lines.py`); such lines are counted."""
        text = self.join(tokens)
        line = replace_line_ends(text)
        self.replaced += line != text
        return line


def warn_replaced_line_ends(tokenizer: Tokenizer | None, listen: Listener) -> None:
    """Send a warning if `detokenize` has put a sign in place of a line end, and count anew."""
    if tokenizer is not None and tokenizer.replaced:
        listen(
            WarningEvent(
                f"{tokenizer.replaced:,} lines have tokens that spell a line end; "
                "␊ (LF) or ␍ (CR) is written in its place, so that each stays one line"
            )
        )
        tokenizer.replaced = 0


def read_raw_text(path: Path, tokenizer: Tokenizer | None) -> Iterator[str]:
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
