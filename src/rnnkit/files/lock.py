"""One writer a directory: a lock file that names its owner.

`flock` silently succeeds for everybody on some network disks, so the lock is a file created exclusively, and a
lock whose process is gone is taken over.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnkit.errors import ArtefactError
from rnnkit.files.atomic import explain_os_errors

NAME = ".lock"


@contextmanager
def hold(folder: Path, part: str = "") -> Iterator[None]:
    """Be the only writer of a folder while the block runs.

    Args:
        folder: Which.
        part: Only this part of it, whose writers disturb no others.

    Raises:
        ArtefactError: Another living process holds it, or the folder cannot be written.
    """
    path = folder / (f".{part}{NAME}" if part else NAME)
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _take(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path) -> None:
    owner = f"{os.getpid()} {socket.gethostname()}"
    for _ in range(2):
        try:
            with path.open("x") as file:
                file.write(owner)
            return
        except FileExistsError:
            holder = path.read_text(errors="replace")
            if _alive(holder):
                process, _, host = holder.partition(" ")
                raise ArtefactError(
                    f"{path.parent} is in use",
                    f"process {process} on {host} writes to it",
                    hint=f"wait for it; if it is certain that no such process runs, delete {path}",
                ) from None
            path.unlink(missing_ok=True)
    raise ArtefactError(f"{path.parent} is in use", "another process took it just now")


def _alive(holder: str) -> bool:
    """Whether the lock's owner still runs; a lock of another host counts as held."""
    process, _, host = holder.partition(" ")
    if not process.isdigit():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return int(process) != os.getpid()
