"""Output that survives an interruption and can be resumed: files written line by line, and directories of runs.

A file is written as `NAME.partial` and renamed to `NAME` when it is complete; an interruption leaves the partial file
behind. It has one writer at a time, because two processes would interleave their lines.

The directory of a run is at its final path from the start, or, if it replaces another, under a temporary name until the
run has a checkpoint.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rnnkit.errors import ArtefactError, RnnkitError, explain_os_errors
from rnnkit.io import artifact_output, atomic, lock
from rnnkit.io.lock import TEMPORARY_SUFFIX
from rnnkit.json_types import JsonObject

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

PARTIAL_SUFFIX = ".partial"
_CHUNK = 1 << 20


def partial_path(path: Path) -> Path:
    """Return the path of a file until it is complete; the partial file is never compressed."""
    path = atomic.resolve_output(path)
    return path.with_name(path.name + PARTIAL_SUFFIX)


@contextmanager
def exclusive_writer(*paths: Path) -> Iterator[None]:
    """Lock resumable files while the block runs. Devices and pipes need no lock.

    Raises:
        ArtefactError: Another process writes one of them, or its directory cannot be written.
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
    """Raise ArtefactError if an interrupted run has left a partial file."""
    if not atomic.is_stream(path) and partial_path(path).is_file():
        raise ArtefactError(
            f"an interrupted run left {partial_path(path)}, a part of {path}",
            hint="--resume continues it, --overwrite starts again",
            path=partial_path(path),
        )


def count_complete_lines(path: Path) -> int:
    """Return the number of complete lines in the partial file, or else in the finished file; 0 if neither exists."""
    if atomic.is_stream(path):
        return 0
    found = partial_path(path) if partial_path(path).is_file() else path
    return _measure(found)[0] if found.is_file() else 0


@contextmanager
def resumable_file(path: Path, keep: int = 0) -> Iterator[IO[str]]:
    """Open a text file that is renamed to its final name when the block ends, and keeps its lines after an error.

    Args:
        path: The file; its directory is created.
        keep: Number of lines, of those counted by `count_complete_lines`, to keep and continue after; the rest is
            truncated. 0 starts again.

    Raises:
        ArtefactError: The file cannot be written, the disk is full, or an existing file must not be replaced.
    """
    if atomic.is_stream(path):
        with atomic.atomic_file(path) as file:
            yield file
        return
    partial = partial_path(path)
    with explain_os_errors(partial):
        artifact_output.check_replaceable_file(path)
        partial.parent.mkdir(parents=True, exist_ok=True)
        if keep and not partial.is_file():
            with open_uncompressed(path) as old, partial.open("wb") as new:
                shutil.copyfileobj(old, new, _CHUNK)
        size = _measure(partial, keep)[1] if keep else 0
        with partial.open("r+b" if keep else "wb") as existing:
            existing.truncate(size)
        try:
            with partial.open("a", encoding="utf-8", newline="\n") as file:
                yield file
                atomic.fsync(file)
        except BaseException:
            if partial.exists() and not partial.stat().st_size:
                partial.unlink()
            raise
        if not partial.exists():
            raise ArtefactError(
                f"{partial} no longer exists: it or its folder was removed during the run",
                hint="run the command again",
                path=partial,
            )
        _finish(partial, path)


def _finish(partial: Path, path: Path) -> None:
    """Rename a complete file to its final name, or compress it if the name ends in `.gz`."""
    if path.name.endswith(atomic.GZIP_SUFFIX):
        with partial.open("rb") as plain, atomic.atomic_file(path, "wb") as compressed:
            shutil.copyfileobj(plain, compressed, _CHUNK)
        partial.unlink()
    else:
        partial.replace(atomic.resolve_output(path))
        atomic.fsync_directory(partial.parent)


@contextmanager
def open_uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed if its name ends in `.gz`."""
    compressed = path.name.endswith(atomic.GZIP_SUFFIX) and not path.name.endswith(PARTIAL_SUFFIX)
    with gzip.open(path) if compressed else path.open("rb") as file:
        yield file  # type: ignore[misc]


@dataclass(frozen=True)
class HashedPrefix:
    """The beginning of a file that a record covers: its size in bytes, and their SHA-256."""

    size: int = 0
    running: Hash = field(default_factory=hashlib.sha256)

    def plus(self, data: bytes) -> HashedPrefix:
        """Return the prefix extended by data."""
        running = self.running.copy()
        running.update(data)
        return HashedPrefix(self.size + len(data), running)

    def as_dict(self) -> JsonObject:
        """JSON form in the record."""
        return {"size": self.size, "sha256": self.running.hexdigest()}

    @classmethod
    def of(cls, path: Path, size: int) -> HashedPrefix:
        """Hash the first bytes of a file; all of a shorter one."""
        found = cls()
        if path.is_file():
            with open_uncompressed(path) as file:
                while found.size < size and (piece := file.read(min(size - found.size, _CHUNK))):
                    found = found.plus(piece)
        return found


def uncompressed_size(path: Path) -> int:
    """Return the uncompressed size of a file in bytes."""
    if not path.name.endswith(atomic.GZIP_SUFFIX):
        return path.stat().st_size
    with open_uncompressed(path) as file:
        return file.seek(0, os.SEEK_END)


def _measure(path: Path, max_lines: int | None = None) -> tuple[int, int]:
    """Return the number of complete lines of a file, at most `max_lines`, and their size in bytes."""
    lines = size = 0
    with open_uncompressed(path) as file:
        if max_lines is None:
            position = 0
            while chunk := file.read(_CHUNK):
                lines += chunk.count(b"\n")
                last = chunk.rfind(b"\n")
                size = position + last + 1 if last >= 0 else size
                position += len(chunk)
            return lines, size
        for line in file:
            if lines == max_lines or not line.endswith(b"\n"):
                break
            lines, size = lines + 1, size + len(line)
    return lines, size


class RunDirectory:
    """The output directory of a run, at its final path or still under a temporary name.

    `directory / name` is the current path of a file in it.

    Args:
        final: Final path.
        path: Path until `commit`; default `final`.
        kinds: Kinds of artifact that it may replace.
        held: The lock inside it.

    Attributes:
        required: Names of files without which the result of the run would be incomplete.
        replaces: Whether a directory at the final path is kept until the run has a checkpoint.
    """

    def __init__(
        self, final: Path, path: Path | None = None, kinds: tuple[str, ...] = (), held: lock.HeldLock | None = None
    ) -> None:
        self.final = final
        self.path = path or final
        self._kinds = kinds
        self.replaces = self.is_staged and artifact_output.is_occupied(final)
        self._held = held
        self.required: tuple[str, ...] = ()
        self._known_inode = self._inode()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __str__(self) -> str:
        return str(self.final)

    @property
    def is_staged(self) -> bool:
        """Whether it still has a temporary name."""
        return self.path != self.final

    def check(self) -> None:
        """Raise ArtefactError if the directory or a required file was removed, so that further output would be lost."""
        if self._known_inode is None:
            self._known_inode = self._inode()
        elif self._inode() != self._known_inode:
            raise ArtefactError(
                f"{self.final} was removed or replaced during the run",
                "nothing more is written",
                hint="start the run again",
                path=self.final,
            )
        if missing := [name for name in self.required if not (self.path / name).exists()]:
            raise ArtefactError(
                f"{self.final} is incomplete: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
                "the result of the run would be incomplete; nothing more is written",
                hint="restore it and --resume, or start again with --overwrite",
                path=self.final,
            )

    def commit(self) -> None:
        """Rename to the final path and remove the directory there; do nothing after the first call.

        Raises:
            ArtefactError: A directory at the final path must not be replaced.
        """
        if not self.is_staged:
            return
        self.check()
        artifact_output.check_replaceable_directory(self.final, self._kinds)
        atomic.replace_directory(self.path, self.final, self.final.with_name(f".{self.final.name}.old"))
        self.path = self.final
        if self._held is not None:
            self._held.path = self.final / lock.LOCK_NAME

    def _inode(self) -> tuple[int, int] | None:
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino


@contextmanager
def resume_run_directory(final: Path) -> Iterator[RunDirectory]:
    """Lock and yield the directory of a run to resume; remove stale temporaries beside it.

    Raises:
        ArtefactError: Another run writes to it.
    """
    with lock.lock_directory(final), lock.lock_beside(final):
        artifact_output.recover_directory(final / "last")
        shutil.rmtree(final.with_name(f".{final.name}{TEMPORARY_SUFFIX}"), ignore_errors=True)
        yield RunDirectory(final)


@contextmanager
def staged_run_directory(final: Path, *kinds: str) -> Iterator[RunDirectory]:
    """Yield an empty temporary directory that replaces `final` at `commit`, and is removed without a commit.

    Both directories are locked meanwhile.

    Raises:
        ArtefactError: The existing directory is not of these kinds, contains files of the user, or is in use.
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
        except RnnkitError as error:  # in messages the user expects the final name
            error.replace_text(str(staged), str(final))
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
