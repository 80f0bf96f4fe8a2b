"""Writes that are whole or absent.

A temporary file (or folder) beside the target, flush, fsync, rename, fsync of the folder: whoever looks at the
target, at any moment and after any crash, sees either the old artefact or the new one, never a part.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import ArtefactError
from rnnkit.files import lock, owner
from rnnkit.files.explained import explain_os_errors
from rnnkit.files.owner import TEMPORARY


@contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that takes its name only when the block ends without an error.

    Args:
        path: Where the file will be; its folder is made.
        mode: `w` for UTF-8 text with LF line ends, `wb` (or `w+b`) for bytes.

    Raises:
        ArtefactError: The folder or file cannot be written, or the disk is full; the old file is untouched.
    """
    temporary = owner.temporary(path)
    text = {"encoding": "utf-8", "newline": "\n"} if "b" not in mode else {}
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        owner.sweep(path)
        try:
            with temporary.open(mode, **text) as file:  # type: ignore[call-overload]
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `path` when the block ends without an error.

    A folder already there is moved aside first and removed last, so a crash between the two renames leaves both
    under names that `recover_folder` knows. A lock beside it keeps a second process away meanwhile.

    Raises:
        ArtefactError: As `atomic_file`; or another process writes it, or the path has no name of its own, such as `.`.
    """
    if path.name in ("", ".."):
        raise ArtefactError(f"{path} cannot be replaced by a new folder", hint="name a folder inside it")
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock.hold_beside(path), explain_os_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                sync_folder(file) if file.is_dir() else sync_file(file)
            sync_folder(temporary)
            _exchange(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back the old folder if a crash fell between the two renames of `atomic_folder`."""
    if path.name in ("", ".."):
        return  # such a folder is never replaced
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)


def _exchange(new: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    new.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk; a rename is lasting only after this."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
