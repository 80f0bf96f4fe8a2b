"""Options of commands that read word vectors, and the way to read them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.config import option
from rnnkit.events import Listener
from rnnkit.io import manifest

if TYPE_CHECKING:
    from rnnkit.embeddings.table import Table

vectors = partial(
    option, None, help="Vectors directory, or a file of word2vec, fastText or GloVe.", shown_default="WORK/embeddings"
)
restrict = partial(
    option, None, help="Look only through so many of the most frequent words.", panel="Search", unit="words",
    minimum=1, shown_default="all",
)  # fmt: skip


def load(path: Path, repair: bool, listen: Listener) -> Table:
    """Read word vectors, in one warning what was repaired or skipped. Raises as `formats.load`.

    Args:
        path: A vectors directory or a file of any format.
        repair: Whether an imperfect file is read too.
        listen: Receives the warning.
    """
    from rnnkit.embeddings import formats

    table = formats.load(path, repair)
    if table.repairs is not None:
        table.repairs.warn(listen)
    return table


def digest(path: Path) -> str | None:
    """sha256 of a file of vectors, of a directory's manifest; None for a pipe, which can be read only once."""
    if path.is_dir():
        return manifest.sha256(manifest.manifest_path(path))
    return manifest.sha256(path) if path.is_file() else None
