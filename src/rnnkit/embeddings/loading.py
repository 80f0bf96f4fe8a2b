"""Loading of word vectors, with the repairs that were made reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.events import Listener, Status, null_listener
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace

if TYPE_CHECKING:
    from rnnkit.embeddings.vector_table import VectorTable
    from rnnkit.embeddings.vectors import WordVectors


def load_table(path: Path, repair: bool, listen: Listener) -> VectorTable:
    """Read word vectors; one warning sums up what was repaired or skipped. Raises the errors of `formats.load`.

    Args:
        path: A vectors directory, or a file in any supported format.
        repair: Whether to read an imperfect file, too.
        listen: Receives the warning.
    """
    from rnnkit.embeddings import formats

    listen(Status("loading the vectors"))
    table = formats.load(path, repair)
    if table.repairs is not None:
        table.repairs.warn(listen)
    return table


def load_vectors(path: Path | None, work: Path, repair: bool = False, listen: Listener = null_listener) -> WordVectors:
    """Load the vectors at `path`, by default those of the workspace `work`, for queries. Raises as `load_table`."""
    from rnnkit.embeddings.vectors import WordVectors

    return WordVectors(load_table(path or Workspace(work).embeddings, repair, listen))


def digest_vectors(path: Path) -> str | None:
    """Compute the SHA-256 of a vectors file or of a directory's manifest; None for a pipe, which is read only once."""
    if path.is_dir():
        return manifest.sha256(manifest.manifest_path(path))
    return manifest.sha256(path) if path.is_file() else None
