"""The workspace: default paths of all inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Default paths within one directory (`--work`, `RNNKIT_WORK`)."""

    root: Path

    @property
    def tokens(self) -> Path:
        """Directory of token files, `NAME.LANG.tok`."""
        return self.root / "tokens"

    @property
    def tokenizer(self) -> Path:
        """Directory of their tokenizer."""
        return self.root / "tokenizer"

    @property
    def data(self) -> Path:
        """Directory of aligned data."""
        return self.root / "data"

    @property
    def model(self) -> Path:
        """Model directory."""
        return self.root / "model"

    @property
    def embeddings(self) -> Path:
        """Vectors directory."""
        return self.root / "embeddings"

    @property
    def links(self) -> Path:
        """File of word-alignment links."""
        return self.root / "links"

    def vocabulary(self, language: str | None = None) -> Path:
        """Return the path of the joint vocabulary, or of the vocabulary of one language."""
        return self.root / ("vocab.tsv" if language is None else f"vocab.{language}.tsv")
