"""Atomic write of artifacts: directories, and files with a manifest beside them.

An existing artifact is replaced only if its manifest has the same kind and if rnnkit wrote every file in the directory.
The check is part of the write itself, so no command can remove anything else.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from rnnkit.errors import ArtefactError, RnnkitError, explain_os_errors
from rnnkit.io import atomic, lock, manifest
from rnnkit.io.lock import TEMPORARY_SUFFIX
from rnnkit.json_types import JsonMapping

ARTIFACT_PART: Final = ""
"""In place of a kind: a directory within that of an artifact, such as the text of a run of word vectors."""

_MODEL_FILES: Final = (
    "config.json", "labels.json", "words.txt", "README.md", "curve.png", "metrics.jsonl", "trials.jsonl",
    "ngrams.safetensors", "best.safetensors", "average.safetensors", "vocab.tsv", "vocab.*.tsv", "vocab.tsv.meta.json",
    "vocab.*.tsv.meta.json",
    "tokenizer/meta.json", "tokenizer/model.spm", "snapshots/step-*.safetensors", "last/meta.json",
    "last/state.json", "last/*.safetensors", "language-models/*/config.json", "language-models/*/vocab.tsv",
    "language-models/*/vocab.tsv.meta.json", "language-models/*/best.safetensors", "language-models/*/meta.json",
    "language-models/*/tokenizer/meta.json", "word-vectors/vocab.tsv", "word-vectors/vectors.npy",
    "word-vectors/subwords.npy", "word-vectors/meta.json", "states/*.npy", "states/*.npy.partial",
)  # fmt: skip

RUN_FILES: Final = {
    "model": _MODEL_FILES,
    "cross-validation": (
        "folds.json", "predictions.*", *(f"fold-*/{name}" for name in (*_MODEL_FILES, "meta.json")),
    ),
    "vectors": (
        "vocab.tsv", "vectors.npy", "contexts.npy", "subwords.npy", "metrics.jsonl", "text/*.npy", "new/*.npy",
        "new/vocab.tsv", "last/meta.json", "last/state.json", "last/*.safetensors",
    ),
}  # fmt: skip
"""Files of a run that no manifest lists before the run is finished, by kind."""

_DESKTOP_FILES: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that a desktop environment creates in the directories it displays."""

_MAX_LISTED = 3


@contextmanager
def atomic_directory(path: Path, *kinds: str) -> Iterator[Path]:
    """Yield an empty temporary directory that replaces `path` when the block ends without an error.

    A reader finds the old or the new directory: their names are exchanged in one system call if the system has one. A
    lock beside the directory excludes other writers meanwhile.

    Args:
        path: The directory; symbolic links are followed.
        kinds: Kinds of artifact that may be replaced, or `ARTIFACT_PART` for a part of an artifact, which has no
            manifest of its own.

    Raises:
        ArtefactError: As `atomic_file`; or another process writes it, the path has no name of its own, such as `.`, or
            an existing directory is not of these kinds.
    """
    path = resolve_directory(path)
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock.lock_beside(path), explain_os_errors(path):
        recover_directory(path)
        check_replaceable_directory(path, kinds)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                atomic.fsync_directory(file) if file.is_dir() else atomic.fsync_path(file)
            atomic.fsync_directory(temporary)
            check_replaceable_directory(path, kinds)  # again, for files created meanwhile
            atomic.replace_directory(temporary, path, _aside(path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def artifact_file(path: Path, kind: str, version: int, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file of an artifact for an atomic write; `write_file_manifest` follows.

    A manifest with the kind alone precedes a new file, so that a crash before `write_file_manifest` leaves no file that
    the next run would take for one of the user.

    Args:
        path: The file.
        kind: Kind of the artifact.
        version: Format version of the kind.
        mode: As in `atomic_file`.

    Raises:
        ArtefactError: As `atomic_file`; or an existing file is not of this kind.
    """
    check_replaceable_file(path, kind)
    with ExitStack() as stack:
        announcement = stack.enter_context(ExitStack())  # exits after the file is renamed, or not
        with atomic.atomic_file(path, mode) as file:
            yield file
            check_replaceable_file(path, kind)
            announcement.enter_context(announce_kind(path, kind, version))


@contextmanager
def announce_kind(path: Path, kind: str, version: int) -> Iterator[None]:
    """Write a manifest with the kind alone for a file about to be created; remove it if the file is not created."""
    announcement = manifest.manifest_path(path)
    new = not atomic.is_stream(path) and not path.exists() and not announcement.exists()
    if new:
        manifest.write(announcement, manifest.Manifest(kind, version))
    try:
        yield
    finally:
        if new and not path.exists():
            announcement.unlink(missing_ok=True)


def write_file_manifest(
    path: Path,
    kind: str,
    version: int,
    *,
    options: JsonMapping | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: JsonMapping | None = None,
) -> None:
    """Write the manifest of a finished file, with its checksum; none for devices, FIFOs and sockets."""
    if not atomic.is_stream(path):
        files = manifest.describe_files(path.parent, [path.name])
        found = manifest.Manifest(kind, version, options or {}, inputs or {}, files, facts or {})
        manifest.write(manifest.manifest_path(path), found)


def recover_directory(path: Path) -> None:
    """Restore an old directory after a crash between two renames. The caller must hold the lock.

    There are two renames only if the system cannot exchange two names in one call.
    """
    if path.name not in ("", "..") and _aside(path).exists() and not path.exists():
        _aside(path).rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def resolve_directory(path: Path) -> Path:
    """Return the directory of an output, with symbolic links followed.

    Raises:
        ArtefactError: It has no name of its own, such as `.`, or it is a file.
    """
    if path.name in ("", ".."):
        raise ArtefactError(f"{path} cannot be replaced by a new folder", hint="name a folder inside it", path=path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ArtefactError(f"{path} is not a folder", "the output is a folder", hint="choose another name", path=path)
    return target


def check_replaceable_directory(path: Path, kinds: Sequence[str]) -> None:
    """Check that a directory may be replaced: an artifact of one of these kinds, without files of the user.

    A directory that is missing, or empty except for locks and unfinished writes, may be replaced.

    Raises:
        ArtefactError: It is another kind of directory, or contains a file that rnnkit did not write.
    """
    if ARTIFACT_PART in kinds or not path.is_dir():
        return
    contents = [name for name in _contents(path) if not _is_leftover(name)]
    if not contents:
        return
    kind, listed = _manifest(path)
    expected = " or ".join(kinds)
    if kind is None:
        raise ArtefactError(
            f"{path} is not an artifact of rnnkit: it is not replaced",
            f"it has no {manifest.NAME}, and contains {_abridge(contents)}",
            hint="choose another name, or remove the folder yourself",
            path=path,
        )
    if kind not in kinds:
        raise ArtefactError(
            f"{path} is {kind}, not {expected}: it is not replaced",
            "--overwrite replaces artifacts of the same kind only",
            hint="choose another name, or remove the folder yourself",
            path=path,
            option="--overwrite",
        )
    foreign = [name for name in contents if name not in listed and not _is_run_file(name, kind)]
    if foreign:
        raise ArtefactError(
            f"{path} contains files that rnnkit did not write: it is not replaced",
            _abridge(foreign),
            hint="move them to another folder",
            path=path,
        )


def is_occupied(path: Path) -> bool:
    """Return whether a directory contains anything except locks and unfinished writes."""
    return path.is_dir() and not all(map(_is_leftover, _contents(path)))


def check_replaceable_file(path: Path, kind: str | None = None) -> None:
    """Check that a file may be replaced by an output.

    Args:
        path: The file; a device, FIFO or socket is written to and not replaced.
        kind: Kind of the artifact, which has a manifest; None for plain text, pictures and the like.

    Raises:
        ArtefactError: It belongs to another artifact, or, for an output with a kind, rnnkit did not write it.
    """
    if atomic.is_stream(path):
        return
    path = atomic.resolve_output(path)
    if kind is not None:
        _check_manifest(manifest.manifest_path(path), kind)
    if not path.is_file():
        return
    if path.name == manifest.NAME or path.name.endswith(f".{manifest.NAME}"):
        raise ArtefactError(
            f"{path} is the manifest of an artifact: it is not replaced", hint="choose another name", path=path
        )
    found = _kind(manifest.manifest_path(path))
    if found is None and (around := _enclosing_artifact(path)) is not None:
        raise ArtefactError(f"{path} is part of {around}: it is not replaced", hint="choose another name", path=path)
    if found == kind or (found is None and kind is None):
        return
    if found is None:
        raise ArtefactError(
            f"{path} was not written by rnnkit: it is not replaced",
            f"its manifest {manifest.manifest_path(path).name} does not exist",
            hint="choose another name, or remove the file yourself",
            path=path,
        )
    raise ArtefactError(
        f"{path} is {found}" + (f", not {kind}" if kind else "") + ": it is not replaced",
        "--overwrite replaces artifacts of the same kind only",
        hint="choose another name, or remove the file yourself",
        path=path,
        option="--overwrite",
    )


def _check_manifest(path: Path, kind: str) -> None:
    """Check that a file at the path of the output's manifest is a manifest of the same kind."""
    if path.exists() and (found := _kind(path)) != kind:
        raise ArtefactError(
            f"{path} {'was not written by rnnkit' if found is None else f'is of {found}'}: it is not replaced",
            "the manifest of the output has this name",
            hint="choose another name for the output",
            path=path,
        )


def _manifest(folder: Path) -> tuple[str | None, set[str]]:
    """Return the kind of a directory, None if it is not an artifact, and the files that its manifest lists.

    A manifest further down belongs to another artifact, which is a file of the user here.
    """
    try:
        found = manifest.load(folder / manifest.NAME)
    except RnnkitError:
        return None, set()
    return found.kind, {*found.files, manifest.NAME}


def _kind(path: Path) -> str | None:
    """Return the kind in a manifest; None if it is missing or unreadable."""
    try:
        return manifest.load(path).kind
    except RnnkitError:
        return None


def _enclosing_artifact(path: Path) -> Path | None:
    """Return the directory of the artifact that a file is part of, if any."""
    for folder in path.absolute().parents:
        kind = _kind(folder / manifest.NAME)
        if kind is not None:
            name = path.absolute().relative_to(folder).as_posix()
            return folder if _is_run_file(name, kind) or name in _manifest(folder)[1] else None
    return None


def _contents(folder: Path) -> Iterator[str]:
    """Yield files, links and empty directories below a directory, relative to it."""
    for parent, folders, files in os.walk(folder):
        inner = Path(parent).relative_to(folder)
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from ((inner / name).as_posix() for name in (*links, *files))
        if not folders and not files and parent != str(folder):
            yield inner.as_posix()


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name matches one of the patterns, which are like those of `RUN_FILES`."""
    parts = name.split("/")
    return any(_matches(parts, pattern.split("/")) for pattern in patterns)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether each part of a path matches its pattern, so that a star does not match a slash."""
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _is_run_file(name: str, kind: str) -> bool:
    """Return whether a file, or an empty directory, belongs to a run."""
    patterns = RUN_FILES.get(kind, ())
    return matches_any(name, patterns) or any(pattern.startswith(f"{name}/") for pattern in patterns)


def _is_leftover(name: str) -> bool:
    """Return whether a file is a lock, a stale temporary, or a file of the desktop environment."""
    parts = name.split("/")
    hidden = any(part.startswith(".") and part.endswith(TEMPORARY_SUFFIX) for part in parts)
    return hidden or parts[-1] == lock.LOCK_NAME or parts[-1] in _DESKTOP_FILES


def _abridge(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _MAX_LISTED:,} more" if len(found) > _MAX_LISTED else ""
    return ", ".join(found[:_MAX_LISTED]) + more
