"""The workspace: where each stage finds its input and leaves its output when no path is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Names of the artefacts inside one folder (`--work`, `RNNKIT_WORK`)."""

    root: Path

    @property
    def tokens(self) -> Path:
        """Folder of `NAME.LANG.tok` files."""
        return self.root / "tokens"

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer that made them."""
        return self.root / "tokenizer"

    @property
    def data(self) -> Path:
        """Folder of aligned data."""
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
        """File of links between words."""
        return self.root / "links"

    def vocabulary(self, language: str | None = None) -> Path:
        """The joint vocabulary, or that of one language where each side has its own."""
        return self.root / ("vocab.tsv" if language is None else f"vocab.{language}.tsv")
