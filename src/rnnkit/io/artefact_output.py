"""Artefacts that are whole or absent, and that only replace their like: folders, and files with a manifest beside them.

What is there is replaced only where its manifest says that it is an artefact of the same kind, and everything in a
folder is rnnkit's. This check stands in the mechanism itself, so that no command can remove anything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from rnnkit.io import atomic, durable, lock, manifest, replacing
from rnnkit.io.explained import explain_os_errors
from rnnkit.io.owner import TEMPORARY


@contextmanager
def atomic_folder(path: Path, *kinds: str) -> Iterator[Path]:
    """Give an empty folder that takes the place of `path` when the block ends without an error.

    A reader finds the old folder or the new one: their names are exchanged in one system call where there is one. A
    lock beside the folder keeps a second process away meanwhile.

    Args:
        path: Where the folder will be; through a link, where that leads.
        kinds: Kinds of artefact that may be replaced, or `replacing.PART` for a part of an artefact's folder, which
            has no manifest of its own.

    Raises:
        ArtefactError: As `atomic_file`; or another process writes it, the path has no name of its own, such as `.`, or
            what is there is not of these kinds.
    """
    path = replacing.resolve_folder(path)
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock.hold_beside(path), explain_os_errors(path):
        recover(path)
        replacing.check_folder(path, kinds)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                durable.sync_folder(file) if file.is_dir() else durable.sync_file(file)
            durable.sync_folder(temporary)
            replacing.check_folder(path, kinds)  # again: what came in meanwhile is not to be lost either
            durable.exchange(temporary, path, _aside(path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def artefact_file(path: Path, kind: str, version: int, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file of an artefact that takes its name when the block ends without an error; `seal_file` comes next.

    A manifest that only names the kind goes before a new file. So a crash before `seal_file` leaves no file that the
    next run could take for one of the user.

    Args:
        path: Where the file will be.
        kind: Kind of the artefact.
        version: Version of its format.
        mode: As for `atomic_file`.

    Raises:
        ArtefactError: As `atomic_file`; or what is there is not of this kind.
    """
    replacing.check_file(path, kind)
    with ExitStack() as stack:
        announcement = stack.enter_context(ExitStack())  # is taken back when the file has its name, or not
        with atomic.atomic_file(path, mode) as file:
            yield file
            replacing.check_file(path, kind)
            announcement.enter_context(announced(path, kind, version))


@contextmanager
def announced(path: Path, kind: str, version: int) -> Iterator[None]:
    """Write a manifest that only names the kind of a file that is about to be new; remove it where none comes."""
    place = manifest.place(path)
    new = not atomic.is_stream(path) and not path.exists() and not place.exists()
    if new:
        manifest.write(place, manifest.Manifest(kind, version))
    try:
        yield
    finally:
        if new and not path.exists():
            place.unlink(missing_ok=True)


def seal_file(
    path: Path,
    kind: str,
    version: int,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the manifest beside a file, with its checksum. An output that is not a regular file gets none."""
    if not atomic.is_stream(path):
        files = manifest.describe_files(path.parent, [path.name])
        found = manifest.Manifest(kind, version, options or {}, inputs or {}, files, facts or {})
        manifest.write(manifest.place(path), found)


def recover(path: Path) -> None:
    """Put back an old folder where a crash fell between two renames. Only a writer that holds the lock may.

    There are two renames only where the system cannot exchange two names in one call.
    """
    if path.name not in ("", "..") and _aside(path).exists() and not path.exists():
        _aside(path).rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
