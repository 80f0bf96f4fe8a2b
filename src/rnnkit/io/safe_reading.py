"""Files of an artefact: opened only where they are regular files, without waiting, and read up to a bound.

A model folder from elsewhere may hold a FIFO, on which an ordinary open waits forever, or a link to a device without
an end. Text that a user names may come through a pipe; what a folder of rnnkit holds may not.
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
from typing import Any

from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, WarningEvent


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


MAX_JSON_BYTES = 1 << 22
"""Bytes of the longest document that is read. Python takes up to some twenty times as many for what is in it."""


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        OSError: It cannot be read, or is not a regular file.
        ValueError: It is longer than `LONGEST`, not JSON, or nested too deeply.
    """
    return parse_json(read_regular(path, MAX_JSON_BYTES))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, holds what is no text, or is nested too deeply."""
    try:
        words = text.decode("utf-8") if isinstance(text, bytes) else text  # the library takes UTF-16 and halves of it
        value = json.loads(words)
        if "\\ud" in words.lower() or not words.isascii():
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text
        return value
    except RecursionError:
        raise ValueError("brackets within brackets within brackets: nested too deeply") from None


@contextmanager
def spool_pipes(paths: Sequence[Path], named: bool = True) -> Iterator[list[Path]]:
    """Give files in place of pipes, such as `<(zcat train.de.tok.gz)`; other paths stay as they are.

    Args:
        paths: Inputs. The files live as long as the block, in the folder for temporary files.
        named: Copy FIFOs that have a name in a folder, too, which may mean to wait for a writer.

    Raises:
        DataError: A pipe cannot be read, or does not fit on the disk.
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
        except RnnkitError as error:  # the user knows the pipe, not its copy
            for pipe, target in copies.items():
                error.rename(str(target), str(pipe))
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
        raise DataError(f"cannot read {pipe}", f"{error.strerror}: {target}") from error


MAX_LISTED_REPAIRS = 10_000
"""Repairs that are listed one by one. A file with more is counted in full, but its list ends here."""


@dataclass(frozen=True)
class Repair:
    """One place that was repaired or skipped.

    Attributes:
        kind: What was wrong, in the plural, such as `duplicate words`; repairs are counted by it.
        place: Where: `FILE:LINE`, or `FILE: word N` of a binary file.
        action: What was done: `skipped`, `replaced` and so on, with the detail that helps.
    """

    kind: str
    place: str
    action: str


@dataclass
class Repairs:
    """The repairs made while one file is read.

    Attributes:
        path: The file.
        counts: Repairs of each kind.
        listed: The first `LISTED` of them, in the order of the file.
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
        """Send one warning with the counts, if anything was repaired."""
        if self.counts:
            counted = ", ".join(f"{kind} ({count:,})" for kind, count in self.counts.items())
            listen(WarningEvent(f"{self.path}: repaired or skipped: {counted}"))

    def as_dict(self) -> dict[str, Any]:
        """The repairs as JSON: `counts` by kind and the list of `repairs`."""
        listed = [{"kind": one.kind, "place": one.place, "action": one.action} for one in self.listed]
        return {"path": str(self.path), "counts": dict(self.counts), "repairs": listed}
