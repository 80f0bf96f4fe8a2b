"""Who wrote something that was never finished: a process of this computer, by its number, or one of another."""

from __future__ import annotations

import glob
import os
import socket
from pathlib import Path

TEMPORARY = ".partial"
"""Last part of the name of what is being written; left behind only by a kill, ignored and removed by the next run."""


def name() -> str:
    """This process: its number and its host's name."""
    return f"{os.getpid()} {socket.gethostname()}"


def is_alive(owner: str) -> bool:
    """Whether the owner still runs. Nobody can tell of another host, so there it does; nonsense owns nothing."""
    process, _, host = owner.partition(" ")
    if not process.isdigit():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def temporary(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{path.name}.{name().replace(' ', '@')}{TEMPORARY}")


def sweep(path: Path) -> None:
    """Remove what killed processes of this computer left of a file that they wrote."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*@*{TEMPORARY}"):
        owner = left.name.removeprefix(f".{path.name}.").removesuffix(TEMPORARY)
        # What begins with more than a process is of another file, such as the manifest beside this one.
        if owner.partition("@")[0].isdigit() and not is_alive(owner.replace("@", " ", 1)):
            left.unlink(missing_ok=True)
