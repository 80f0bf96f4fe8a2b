"""The vectors directory of a run: its words from the start, its vectors when they are learned."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rnnkit.embeddings import directory
from rnnkit.embeddings.table import Table
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.durable import explain_os_errors, fsync_directory

_NEW: Final = "new"


def start(folder: Path, table: Table, options: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Write the words and a manifest that says that the run is not finished.

    Args:
        folder: The directory; it exists.
        table: The words, and how they are cut; its vectors are not written.
        options: The resolved options of the command.
        inputs: sha256 of what is learned from.

    Raises:
        ArtefactError: They cannot be written.
    """
    with explain_os_errors(folder):
        directory.write_words(folder, table.words)
    directory.seal(folder, table, options=options, inputs=inputs, facts={"finished": False})


def update(folder: Path, table: Table, facts: Mapping[str, Any]) -> None:
    """Write the vectors as they are now, in place of those that are there.

    All of them are written before the first takes its name, so that a full disk costs nothing.

    Args:
        folder: The directory of a run that was started.
        table: The words and their vectors.
        facts: What else is known.

    Raises:
        ArtefactError: They cannot be written; the old ones are whole.
    """
    started = manifest.load(folder / manifest.NAME)
    with atomic_directory(folder / _NEW, ARTIFACT_PART) as temporary:
        directory.fill(temporary, table)
    with explain_os_errors(folder):
        for path in sorted((folder / _NEW).iterdir()):
            path.replace(folder / path.name)
        fsync_directory(folder)
        shutil.rmtree(folder / _NEW)
    directory.seal(folder, table, options=started.options, inputs=started.inputs, facts=facts)
