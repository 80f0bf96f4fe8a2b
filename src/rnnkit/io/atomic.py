"""Files that are whole or absent, and outputs that are not files.

A temporary file beside the target, flush, fsync, rename, fsync of the folder: at any moment and after any crash a
reader finds the old file or the new one, never a part. Links are followed. A device, a FIFO or a socket is written
into; nothing takes its place.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import ArtefactError
from rnnkit.io import durable, lock
from rnnkit.io.durable import explain_os_errors

GZIP_SUFFIX = ".gz"
"""Ending of a name whose file is compressed."""

_LEVEL = 6
"""Of gzip: level 9 takes some three times as long for one percent."""

_STREAMS = re.compile(r"/(?:dev|proc/(?:self|\d+))/(?:fd/(\d+)|(stdin|stdout|stderr))")
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


@contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that takes its name only when the block ends without an error.

    Args:
        path: Where the file will be; its folder is made. What is written to a name that ends in `.gz` is compressed.
        mode: `w` for UTF-8 text with LF line ends, `wb` for bytes. They are written from the first to the last.

    Raises:
        ArtefactError: The folder or file cannot be written, or the disk is full; the old file is untouched.
    """
    with explain_os_errors(path):
        if is_stream(path):
            with _open_stream(path) as raw, _encoded(raw, path, mode) as file:
                yield file
            return
        target = resolve_output(path)
        temporary = lock.temporary_path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.remove_stale_temporaries(target)
        try:
            with temporary.open("wb") as raw:
                lock.try_flock(raw.fileno())  # a sign of life for processes that cannot see this one's number
                _keep_mode(raw.fileno(), target)
                with _encoded(raw, path, mode) as file:
                    yield file
                durable.fsync(raw)
                temporary.replace(target)
            durable.fsync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether an output is a device, a FIFO, a socket or an open descriptor such as `/dev/stdout`."""
    if _STREAMS.fullmatch(os.path.abspath(path)):  # noqa: PTH100 - a link's target would be another name
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def resolve_output(path: Path) -> Path:
    """The file that an output leads to, through links.

    Raises:
        ArtefactError: It is a folder, or has no name, such as `.`.
        OSError: Its links lead in a circle.
    """
    if path.name in ("", "..") or path.is_dir():
        raise ArtefactError(f"{path} is a folder, a file is expected", hint="name a file inside it")
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        target.stat()  # which raises the system's error
    return target


@contextmanager
def _open_stream(path: Path) -> Iterator[IO[bytes]]:
    """What is not a file, opened for writing."""
    numbered = _STREAMS.fullmatch(os.path.abspath(path))  # noqa: PTH100
    if numbered:
        number = int(numbered[1]) if numbered[1] is not None else _NUMBERS[numbered[2]]
        file: IO[bytes] = io.BufferedWriter(_Forward(os.dup(number), "wb"))
    elif stat.S_ISSOCK(path.stat().st_mode):
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            file = connection.makefile("wb")
    else:
        file = io.BufferedWriter(_Forward(path, "wb"))
    with file:
        yield file


class _Forward(io.FileIO):
    """A stream that is written from first to last; a device such as `/dev/null` claims that it can seek."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")


@contextmanager
def _encoded(raw: IO[bytes], path: Path, mode: str) -> Iterator[IO[Any]]:
    """A file as a writer takes it: of text or bytes, compressed where its name asks for that."""
    with ExitStack() as stack:
        file: Any = raw
        if path.name.endswith(GZIP_SUFFIX):  # no name and no time in it: equal work gives equal bytes
            file = stack.enter_context(gzip.GzipFile("", "wb", _LEVEL, raw, 0))
        if "b" in mode:
            yield file
            return
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
            text.flush()
        finally:
            with suppress(OSError, ValueError):  # the first error is the one to report
                text.detach()


def _keep_mode(descriptor: int, target: Path) -> None:
    """Give a new file the permissions of the one that it replaces."""
    with suppress(OSError):  # there is none, or the file system has no permissions
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
