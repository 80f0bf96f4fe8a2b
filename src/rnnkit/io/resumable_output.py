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

from rnnkit.errors import ArtefactError, RnnkitError
from rnnkit.io import artifact_output, atomic, durable, lock
from rnnkit.io.durable import explain_os_errors
from rnnkit.io.lock import TEMPORARY_SUFFIX

PARTIAL_SUFFIX = ".partial"
_PIECE = 1 << 20


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole; uncompressed, whatever the file's name asks for."""
    path = atomic.resolve_output(path)
    return path.with_name(path.name + PARTIAL_SUFFIX)


@contextmanager
def exclusive_writer(*paths: Path) -> Iterator[None]:
    """Keep other processes away from files that will grow, while the block runs. Devices and pipes need no lock.

    Raises:
        ArtefactError: Another living process writes one of them, or its folder cannot be written.
    """
    with ExitStack() as held:
        for path in paths:
            if atomic.is_stream(path):
                continue
            with explain_os_errors(path):
                target = atomic.resolve_output(path)
                target.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock.lock_beside(target))
        yield


def check_no_partial(path: Path) -> None:
    """Keep what an interrupted run has left. Raises ArtefactError where there is any."""
    if not atomic.is_stream(path) and partial_path(path).is_file():
        raise ArtefactError(
            f"{partial_path(path)} is what an interrupted run left of {path}",
            hint="--resume goes on with it, --overwrite begins anew",
        )


def count_complete_lines(path: Path) -> int:
    """Lines with their ends that an interrupted run has left of a file, or a finished one has written; 0 for none."""
    if atomic.is_stream(path):
        return 0
    found = partial_path(path) if partial_path(path).is_file() else path
    return _measure(found)[0] if found.is_file() else 0


@contextmanager
def resumable_file(path: Path, keep: int = 0) -> Iterator[IO[str]]:
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
    growing = partial_path(path)
    with explain_os_errors(growing):
        artifact_output.check_replaceable_file(path)
        growing.parent.mkdir(parents=True, exist_ok=True)
        if keep and not growing.is_file():
            with open_uncompressed(path) as old, growing.open("wb") as new:
                shutil.copyfileobj(old, new, _PIECE)
        size = _measure(growing, keep)[1] if keep else 0
        with growing.open("r+b" if keep else "wb") as cut:
            cut.truncate(size)
        try:
            with growing.open("a", encoding="utf-8", newline="\n") as file:
                yield file
                durable.fsync(file)
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
    if path.name.endswith(atomic.GZIP_SUFFIX):
        with growing.open("rb") as plain, atomic.atomic_file(path, "wb") as packed:
            shutil.copyfileobj(plain, packed, _PIECE)
        growing.unlink()
    else:
        growing.replace(atomic.resolve_output(path))
        durable.fsync_directory(growing.parent)


@contextmanager
def open_uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file as they were before it was compressed."""
    packed = path.name.endswith(atomic.GZIP_SUFFIX) and not path.name.endswith(PARTIAL_SUFFIX)
    with gzip.open(path) if packed else path.open("rb") as file:
        yield file  # type: ignore[misc]


def uncompressed_size(path: Path) -> int:
    """Bytes of a file before it was compressed."""
    if not path.name.endswith(atomic.GZIP_SUFFIX):
        return path.stat().st_size
    with open_uncompressed(path) as file:
        return file.seek(0, os.SEEK_END)


def _measure(path: Path, most: int | None = None) -> tuple[int, int]:
    """Whole lines of a file and the bytes that they take; of the first `most` only, where that is given."""
    lines = size = 0
    with open_uncompressed(path) as file:
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


class RunDirectory:
    """A folder that a run writes into, which may still have to take its name.

    `required` are names of files without which what the run makes would be incomplete, and `replaces` tells whether
    there is something at its final name that is to stay until the run has a checkpoint.

    `folder / name` is a file in it, wherever it is at that moment.

    Args:
        final: The folder's name in the end.
        path: Where it is until `commit`; in its place unless given.
        kinds: Kinds of artefact that it may replace.
        held: The lock inside it.
    """

    def __init__(
        self, final: Path, path: Path | None = None, kinds: tuple[str, ...] = (), held: lock.HeldLock | None = None
    ) -> None:
        self.final = final
        self.path = path or final
        self._kinds = kinds
        self.replaces = self.waits and artifact_output.is_occupied(final)
        self._held = held
        self.required: tuple[str, ...] = ()
        self._identity = self._find()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __str__(self) -> str:
        return str(self.final)

    @property
    def waits(self) -> bool:
        """Whether another folder still has its name."""
        return self.path != self.final

    def check(self) -> None:
        """Raise ArtefactError where the folder is gone: nothing written now would ever be found."""
        if self._identity is None:
            self._identity = self._find()
        elif self._find() != self._identity:
            raise ArtefactError(
                f"{self.final} is gone: it was removed or replaced during the run",
                "nothing more is written",
                hint="start the run again",
            )
        if gone := [name for name in self.required if not (self.path / name).exists()]:
            raise ArtefactError(
                f"{self.final} is incomplete: {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing",
                "what the run makes would be incomplete without; nothing more is written",
                hint="bring it back and --resume, or start anew with --overwrite",
            )

    def commit(self) -> None:
        """Take the name, and remove the folder that had it. Does nothing where there is none any more.

        Raises:
            ArtefactError: What is there meanwhile may not be replaced.
        """
        if not self.waits:
            return
        self.check()
        artifact_output.check_replaceable_directory(self.final, self._kinds)
        durable.replace_directory(self.path, self.final, self.final.with_name(f".{self.final.name}.old"))
        self.path = self.final
        if self._held is not None:
            self._held.path = self.final / lock.LOCK_NAME

    def _find(self) -> tuple[int, int] | None:
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino


@contextmanager
def resume_run_directory(final: Path) -> Iterator[RunDirectory]:
    """Give the folder of a run that is continued, locked; what a killed run has left beside it goes.

    Raises:
        ArtefactError: Another run writes there.
    """
    with lock.lock_directory(final), lock.lock_beside(final):
        artifact_output.recover_directory(final / "last")
        shutil.rmtree(final.with_name(f".{final.name}{TEMPORARY_SUFFIX}"), ignore_errors=True)
        yield RunDirectory(final)


@contextmanager
def staged_run_directory(final: Path, *kinds: str) -> Iterator[RunDirectory]:
    """Give an empty folder beside `final` for a run, which replaces that at `commit`. Without one, it goes again.

    Both folders are locked meanwhile.

    Raises:
        ArtefactError: What is there is not of these kinds, holds files of the user, or is in use.
    """
    final = artifact_output.resolve_directory(final)
    with lock.lock_directory(final), lock.lock_beside(final):
        artifact_output.recover_directory(final)
        artifact_output.check_replaceable_directory(final, kinds)
        staged = final.with_name(f".{final.name}{TEMPORARY_SUFFIX}")
        shutil.rmtree(staged, ignore_errors=True)
        try:
            with lock.lock_directory(staged) as held:
                yield RunDirectory(final, staged, kinds, held)
        except RnnkitError as error:  # the user knows the folder by its final name
            error.rename(str(staged), str(final))
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
