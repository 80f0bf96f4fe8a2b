"""Files that grow line by line for hours: what was written stays when the work is interrupted, and can be gone on with.

Lines go to `NAME.partial`, which becomes `NAME` when the work is done. Whatever ends the work before leaves it there.
Two processes would write each other's lines into it, so whoever lets a file grow is its only writer meanwhile.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from rnnkit.errors import ArtefactError
from rnnkit.io import atomic, durable, lock, replacing
from rnnkit.io.explained import explain_os_errors

ENDING = ".partial"
_PIECE = 1 << 20


def partial(path: Path) -> Path:
    """Where a file is written until it is whole; uncompressed, whatever the file's name asks for."""
    path = atomic.resolve(path)
    return path.with_name(path.name + ENDING)


@contextmanager
def only_writer(*paths: Path) -> Iterator[None]:
    """Keep other processes away from files that will grow, while the block runs. Devices and pipes need no lock.

    Raises:
        ArtefactError: Another living process writes one of them, or its folder cannot be written.
    """
    with ExitStack() as held:
        for path in paths:
            if atomic.is_stream(path):
                continue
            with explain_os_errors(path):
                target = atomic.resolve(path)
                target.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock.hold_beside(target))
        yield


def refuse_partial(path: Path) -> None:
    """Keep what an interrupted run has left. Raises ArtefactError where there is any."""
    if not atomic.is_stream(path) and partial(path).is_file():
        raise ArtefactError(
            f"{partial(path)} is what an interrupted run left of {path}",
            hint="--resume goes on with it, --overwrite begins anew",
        )


def whole_lines(path: Path) -> int:
    """Lines with their ends that an interrupted run has left of a file, or a finished one has written; 0 for none."""
    if atomic.is_stream(path):
        return 0
    found = partial(path) if partial(path).is_file() else path
    return _measure(found)[0] if found.is_file() else 0


@contextmanager
def growing_file(path: Path, keep: int = 0) -> Iterator[IO[str]]:
    """Open a text file that keeps what was written if the block is left early, and takes its name at its end.

    Args:
        path: Where the file will be; its folder is made.
        keep: Lines to go on after, of what `whole_lines` counts; what follows them is cut off. 0 begins anew.

    Raises:
        ArtefactError: It cannot be written, or the disk is full; or what has its name is part of something else.
    """
    if atomic.is_stream(path):
        with atomic.atomic_file(path) as file:
            yield file
        return
    growing = partial(path)
    with explain_os_errors(growing):
        replacing.check_file(path)
        growing.parent.mkdir(parents=True, exist_ok=True)
        if keep and not growing.is_file():
            with opened(path) as old, growing.open("wb") as new:
                shutil.copyfileobj(old, new, _PIECE)
        size = _measure(growing, keep)[1] if keep else 0
        with growing.open("r+b" if keep else "wb") as cut:
            cut.truncate(size)
        try:
            with growing.open("a", encoding="utf-8", newline="\n") as file:
                yield file
                durable.sync(file)
        except BaseException:
            if growing.exists() and not growing.stat().st_size:
                growing.unlink()
            raise
        if not growing.exists():
            raise ArtefactError(
                f"{growing} is gone: it or its folder was removed while it was written", hint="run the command again"
            )
        _finish(growing, path)


def _finish(growing: Path, path: Path) -> None:
    """Give a whole file its name, compressed where the name asks for that."""
    if path.name.endswith(atomic.GZIP):
        with growing.open("rb") as plain, atomic.atomic_file(path, "wb") as packed:
            shutil.copyfileobj(plain, packed, _PIECE)
        growing.unlink()
    else:
        growing.replace(atomic.resolve(path))
        durable.sync_folder(growing.parent)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file as they were before it was compressed."""
    packed = path.name.endswith(atomic.GZIP) and not path.name.endswith(ENDING)
    with gzip.open(path) if packed else path.open("rb") as file:
        yield file  # type: ignore[misc]


def plain_size(path: Path) -> int:
    """Bytes of a file before it was compressed."""
    if not path.name.endswith(atomic.GZIP):
        return path.stat().st_size
    with opened(path) as file:
        return file.seek(0, os.SEEK_END)


def _measure(path: Path, most: int | None = None) -> tuple[int, int]:
    """Whole lines of a file and the bytes that they take; of the first `most` only, where that is given."""
    lines = size = 0
    with opened(path) as file:
        if most is None:
            position = 0
            while piece := file.read(_PIECE):
                lines += piece.count(b"\n")
                last = piece.rfind(b"\n")
                size = position + last + 1 if last >= 0 else size
                position += len(piece)
            return lines, size
        for line in file:
            if lines == most or not line.endswith(b"\n"):
                break
            lines, size = lines + 1, size + len(line)
    return lines, size
