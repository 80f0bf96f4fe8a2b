"""What every kind of tokenizer can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

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

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The tokens of a line that is normalised already."""

    @abstractmethod
    def detokenize(self, tokens: Sequence[str]) -> str:
        """The line that the tokens spell."""
