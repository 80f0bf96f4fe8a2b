"""What the operating system says while something is written, as an error that a user can act on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnkit.errors import ArtefactError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's words for a disk, a share of it or a file that is full."""


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says while writing `path` into an error that a user can act on."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        full = error.errno in FULL or (error.errno is None and "written" in str(error))  # the latter is NumPy's word
        hint = "free some space and run the command again" if full else "check the folder's permissions"
        what = "the disk is full" if full else "cannot write"
        raise ArtefactError(
            f"{what}: {path} was not written",
            f"{error.strerror or error}; what was there before is untouched",
            hint=hint,
        ) from error


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a folder into another, which is made where it is missing.

    `shutil.copytree` collects what went wrong in an error of its own, from which a full disk can no longer be told.

    Raises:
        OSError: The first that the system gave.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, place)
