"""Files of an artefact: opened only where they are regular files, without waiting, and read up to a bound.

A model folder from elsewhere may hold a FIFO, on which an ordinary open waits forever, or a link to a device without
an end. Text that a user names may come through a pipe; what a folder of rnnkit holds may not.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: It cannot be opened, or it is a FIFO, a socket, a device or a folder.
    """
    check_regular(path)  # opening a device may have effects of its own
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        most: Most bytes that it may have.

    Raises:
        OSError: As `open_regular`.
        ValueError: It has more bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""  # Python takes as much memory as it is asked for
    if size > most or len(content) > most:
        raise ValueError(f"{max(size, len(content)):,} bytes are too many for such a file, {most:,} is the most")
    return content


def check_regular(path: Path) -> None:
    """Raise OSError where a path is not a regular file, nor a link to one. For libraries that open by name."""
    _check_mode(path.stat().st_mode, path)


def _check_mode(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
