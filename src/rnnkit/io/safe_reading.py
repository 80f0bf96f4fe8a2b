"""Reading of untrusted and imperfect files: regular files only, bounded JSON, spooled pipes, recorded repairs.

A model directory from elsewhere may contain a FIFO, which blocks an ordinary `open` forever, or a link to an endless
device. Text that a user names may come through a pipe; files of an artifact must be regular.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, WarningEvent
from rnnkit.json_types import JsonObject, JsonValue

MAX_JSON_BYTES = 1 << 22
"""Maximum size of a JSON document. The parsed value may take about twenty times as much memory."""

MAX_LISTED_REPAIRS = 10_000
"""Maximum number of repairs listed one by one; all are counted."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, without blocking.

    Raises:
        OSError: It cannot be opened, or it is a FIFO, a socket, a device or a directory.
    """
    check_regular(path)  # before opening, which has side effects on some devices
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        max_bytes: Maximum size.

    Raises:
        OSError: As `open_regular`.
        ValueError: The file is too large.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= max_bytes else b""  # `read` allocates what is requested
    if size > max_bytes or len(content) > max_bytes:
        raise ValueError(f"{max(size, len(content)):,} bytes exceed the maximum size of such a file, {max_bytes:,}")
    return content


def check_regular(path: Path) -> None:
    """Raise OSError if a path is not a regular file or a link to one. For libraries that open files by name."""
    _check_mode(path.stat().st_mode, path)


def _check_mode(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_json(path: Path) -> JsonValue:
    """Read a JSON file.

    Raises:
        OSError: The file is unreadable or not a regular file.
        ValueError: It is larger than `MAX_JSON_BYTES`, not JSON, or nested too deeply.
    """
    return parse_json(read_regular(path, MAX_JSON_BYTES))


def parse_json(text: str | bytes) -> JsonValue:
    """Parse JSON in UTF-8. Raises ValueError if it is malformed, contains lone surrogates, or is nested too deeply."""
    try:
        document = text.decode("utf-8") if isinstance(text, bytes) else text  # `json` would also accept UTF-16
        value = json.loads(document)
        if "\\ud" in document.lower() or not document.isascii():
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises for a lone surrogate
        return value
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


@contextmanager
def spool_pipes(paths: Sequence[Path], named: bool = True) -> Iterator[list[Path]]:
    """Copy pipes, such as `<(zcat train.de.tok.gz)`, to temporary files, for inputs that are read more than once.

    Args:
        paths: Inputs. Copies exist while the block runs, in the directory for temporary files.
        named: Also copy FIFOs with a name in a directory, which may wait for a writer.

    Yields:
        The paths, with those of pipes replaced by their copies.

    Raises:
        DataError: A pipe is unreadable, or does not fit on the disk.
    """
    pipes = [path for path in paths if _is_pipe(path) and (named or path.parts[:2] in (("/", "dev"), ("/", "proc")))]
    if not pipes:
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(prefix="rnnkit-") as folder:
        copies = {path: Path(folder) / str(number) / path.name for number, path in enumerate(pipes, start=1)}
        for pipe, target in copies.items():
            _copy(pipe, target)
        try:
            yield [copies.get(path, path) for path in paths]
        except RnnkitError as error:  # in messages the user expects the pipe, not its copy
            for pipe, target in copies.items():
                error.replace_text(str(target), str(pipe))
            raise


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def _copy(pipe: Path, target: Path) -> None:
    try:
        target.parent.mkdir()
        with pipe.open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except OSError as error:
        raise DataError(f"cannot read {pipe}", f"{error.strerror}: {target}", path=pipe) from error


@dataclass(frozen=True)
class Repair:
    """A part of a file that was repaired or skipped under `--repair`.

    Attributes:
        kind: What was wrong, in the plural, such as `duplicate words`; repairs are counted by kind.
        place: Location: `FILE:LINE`, or `FILE: word N` in a binary file.
        action: `skipped`, `replaced` and so on, with details.
    """

    kind: str
    place: str
    action: str


@dataclass
class Repairs:
    """The repairs made while one file is read.

    Published word vectors and ARPA files violate their own formats in known ways. Reading is strict by default; with a
    `Repairs` a reader records what it repaired or skipped, and continues.

    Attributes:
        path: The file.
        counts: Repairs of each kind.
        listed: The first `MAX_LISTED_REPAIRS` of them, in the order of the file.
    """

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    listed: list[Repair] = field(default_factory=list)

    def add(self, kind: str, place: str, action: str) -> None:
        """Record one repair."""
        self.counts[kind] += 1
        if len(self.listed) < MAX_LISTED_REPAIRS:
            self.listed.append(Repair(kind, place, action))

    def warn(self, listen: Listener) -> None:
        """Emit a warning with the counts, if anything was repaired."""
        if self.counts:
            counted = ", ".join(f"{kind} ({count:,})" for kind, count in self.counts.items())
            listen(WarningEvent(f"{self.path}: repaired or skipped: {counted}"))

    def as_dict(self) -> JsonObject:
        """Return the repairs as JSON: `counts` by kind and the list of `repairs`."""
        listed = [{"kind": one.kind, "place": one.place, "action": one.action} for one in self.listed]
        return {"path": str(self.path), "counts": dict(self.counts), "repairs": listed}
