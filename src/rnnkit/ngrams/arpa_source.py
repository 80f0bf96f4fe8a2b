"""Where the bytes of an ARPA file come from: a file, a pipe or standard input, compressed or not."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from rnnkit.errors import DataError
from rnnkit.text.compression import decompressed
from rnnkit.text.lines import STDIN


class Digest(Protocol):
    """A checksum of `hashlib`."""

    def update(self, data: Any, /) -> None:
        """Add bytes."""
        ...


@contextmanager
def open_source(path: Path, digest: Digest | None = None) -> Iterator[IO[bytes]]:
    """Open a source for one read from start to end.

    Args:
        path: A regular file or a pipe; `-` is standard input.
        digest: Updated with the bytes as they are stored, while they are read. A pipe cannot be read a second time.

    Raises:
        DataError: The file is missing or unreadable.
    """
    if path == STDIN:
        with _stream(sys.stdin.buffer, digest) as stream:
            yield stream
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, an ARPA file is expected") from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    with file, _stream(file, digest) as stream:
        yield stream


@contextmanager
def _stream(file: IO[bytes], digest: Digest | None) -> Iterator[IO[bytes]]:
    with decompressed(io.BufferedReader(_Watched(file, digest))) as stream:
        yield stream


class _Watched(io.RawIOBase):
    """A file that adds to a checksum what is read from it."""

    def __init__(self, file: IO[bytes], digest: Digest | None) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        size: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        if self._digest is not None:
            self._digest.update(memoryview(buffer)[:size])
        return size
