"""Artefacts that are whole or absent, and that only replace their like: folders, and files with a manifest beside them.

What is there is replaced only where its manifest says that it is an artefact of the same kind, and everything in a
folder is rnnkit's. This check stands in the mechanism itself, so that no command can remove anything else.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from rnnkit.errors import ArtefactError, RnnkitError
from rnnkit.io import atomic, durable, lock, manifest
from rnnkit.io.durable import explain_os_errors
from rnnkit.io.lock import TEMPORARY_SUFFIX


@contextmanager
def atomic_directory(path: Path, *kinds: str) -> Iterator[Path]:
    """Give an empty folder that takes the place of `path` when the block ends without an error.

    A reader finds the old folder or the new one: their names are exchanged in one system call where there is one. A
    lock beside the folder keeps a second process away meanwhile.

    Args:
        path: Where the folder will be; through a link, where that leads.
        kinds: Kinds of artefact that may be replaced, or `replacing.PART` for a part of an artefact's folder, which
            has no manifest of its own.

    Raises:
        ArtefactError: As `atomic_file`; or another process writes it, the path has no name of its own, such as `.`, or
            what is there is not of these kinds.
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
                durable.fsync_directory(file) if file.is_dir() else durable.fsync_path(file)
            durable.fsync_directory(temporary)
            check_replaceable_directory(path, kinds)  # again: what came in meanwhile is not to be lost either
            durable.replace_directory(temporary, path, _aside(path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def artifact_file(path: Path, kind: str, version: int, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file of an artefact that takes its name when the block ends without an error; `seal_file` comes next.

    A manifest that only names the kind goes before a new file. So a crash before `seal_file` leaves no file that the
    next run could take for one of the user.

    Args:
        path: Where the file will be.
        kind: Kind of the artefact.
        version: Version of its format.
        mode: As for `atomic_file`.

    Raises:
        ArtefactError: As `atomic_file`; or what is there is not of this kind.
    """
    check_replaceable_file(path, kind)
    with ExitStack() as stack:
        announcement = stack.enter_context(ExitStack())  # is taken back when the file has its name, or not
        with atomic.atomic_file(path, mode) as file:
            yield file
            check_replaceable_file(path, kind)
            announcement.enter_context(announce_kind(path, kind, version))


@contextmanager
def announce_kind(path: Path, kind: str, version: int) -> Iterator[None]:
    """Write a manifest that only names the kind of a file that is about to be new; remove it where none comes."""
    place = manifest.manifest_path(path)
    new = not atomic.is_stream(path) and not path.exists() and not place.exists()
    if new:
        manifest.write(place, manifest.Manifest(kind, version))
    try:
        yield
    finally:
        if new and not path.exists():
            place.unlink(missing_ok=True)


def write_file_manifest(
    path: Path,
    kind: str,
    version: int,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the manifest beside a file, with its checksum. An output that is not a regular file gets none."""
    if not atomic.is_stream(path):
        files = manifest.describe_files(path.parent, [path.name])
        found = manifest.Manifest(kind, version, options or {}, inputs or {}, files, facts or {})
        manifest.write(manifest.manifest_path(path), found)


def recover_directory(path: Path) -> None:
    """Put back an old folder where a crash fell between two renames. Only a writer that holds the lock may.

    There are two renames only where the system cannot exchange two names in one call.
    """
    if path.name not in ("", "..") and _aside(path).exists() and not path.exists():
        _aside(path).rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


ARTIFACT_PART: Final = ""
"""In place of a kind: a folder inside an artefact's folder, such as the text of a run of word vectors."""

RUN_FILES: Final = {
    "model": (
        "config.json", "README.md", "curve.png", "metrics.jsonl", "ngrams.safetensors", "best.safetensors",
        "average.safetensors", "vocab.tsv", "vocab.*.tsv", "vocab.tsv.meta.json", "vocab.*.tsv.meta.json",
        "tokenizer/meta.json", "tokenizer/model.spm", "snapshots/step-*.safetensors", "last/meta.json",
        "last/state.json", "last/*.safetensors",
    ),
    "vectors": (
        "vocab.tsv", "vectors.npy", "contexts.npy", "subwords.npy", "metrics.jsonl", "text/*.npy", "new/*.npy",
        "new/vocab.tsv", "last/meta.json", "last/state.json", "last/*.safetensors",
    ),
}  # fmt: skip
"""Files that a run writes into its folder and that no manifest lists before it is finished, by kind."""

_DESKTOP_FILES: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that a desktop leaves in every folder that it shows."""

_MAX_LISTED = 3


def resolve_directory(path: Path) -> Path:
    """The folder that an output leads to, through links.

    Raises:
        ArtefactError: It has no name of its own, such as `.`, or it is a file.
    """
    if path.name in ("", ".."):
        raise ArtefactError(f"{path} cannot be replaced by a new folder", hint="name a folder inside it")
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ArtefactError(f"{path} is not a folder", "the output is a folder", hint="choose another name")
    return target


def check_replaceable_directory(path: Path, kinds: Sequence[str]) -> None:
    """Refuse to replace a folder that is not an artefact of these kinds, or that holds files of the user.

    A folder that does not exist, or that is empty but for locks and unfinished writes, is free.

    Raises:
        ArtefactError: The folder is something else, or a file in it was not written by rnnkit; the message names it.
    """
    if ARTIFACT_PART in kinds or not path.is_dir():
        return
    contents = [name for name in _contents(path) if not _is_leftover(name)]
    if not contents:
        return
    kind, listed = _manifest(path)
    wanted = " or ".join(kinds)
    if kind is None:
        raise ArtefactError(
            f"{path} is not an artefact of rnnkit: it is not replaced",
            f"it has no {manifest.NAME}, and holds {_abridge(contents)}",
            hint="choose another name, or remove the folder yourself",
        )
    if kind not in kinds:
        raise ArtefactError(
            f"{path} is {kind}, not {wanted}: it is not replaced",
            "--overwrite replaces artefacts of the same kind only",
            hint="choose another name, or remove the folder yourself",
        )
    foreign = [name for name in contents if name not in listed and not _is_run_file(name, kind)]
    if foreign:
        raise ArtefactError(
            f"{path} holds files that rnnkit did not write: it is not replaced",
            _abridge(foreign),
            hint="move them to another folder",
        )


def is_occupied(path: Path) -> bool:
    """Whether a folder holds anything but locks and unfinished writes."""
    return path.is_dir() and not all(map(_is_leftover, _contents(path)))


def check_replaceable_file(path: Path, kind: str | None = None) -> None:
    """Refuse to replace a file that is something else than the output.

    Args:
        path: The file; whatever is not a regular file is written into and not replaced.
        kind: Kind of the artefact whose manifest stands beside the file; None for plain text, pictures and the like.

    Raises:
        ArtefactError: It belongs to another artefact, or, where a kind is given, rnnkit did not write it.
    """
    if atomic.is_stream(path):
        return
    path = atomic.resolve_output(path)
    if kind is not None:
        _check_manifest(manifest.manifest_path(path), kind)
    if not path.is_file():
        return
    if path.name == manifest.NAME or path.name.endswith(f".{manifest.NAME}"):
        raise ArtefactError(f"{path} is the manifest of an artefact: it is not replaced", hint="choose another name")
    found = _kind(manifest.manifest_path(path))
    if found is None and (around := _enclosing_artifact(path)) is not None:
        raise ArtefactError(f"{path} is part of {around}: it is not replaced", hint="choose another name")
    if found == kind or (found is None and kind is None):
        return
    if found is None:
        raise ArtefactError(
            f"{path} was not written by rnnkit: it is not replaced",
            f"there is no {manifest.manifest_path(path).name} beside it that says so",
            hint="choose another name, or remove the file yourself",
        )
    raise ArtefactError(
        f"{path} is {found}" + (f", not {kind}" if kind else "") + ": it is not replaced",
        "--overwrite replaces artefacts of the same kind only",
        hint="choose another name, or remove the file yourself",
    )


def _check_manifest(place: Path, kind: str) -> None:
    """Refuse to replace what stands where the manifest of an output will be."""
    if place.exists() and (found := _kind(place)) != kind:
        raise ArtefactError(
            f"{place} {'was not written by rnnkit' if found is None else f'is of {found}'}: it is not replaced",
            "the output's manifest has that name",
            hint="choose another name for the output",
        )


def _manifest(folder: Path) -> tuple[str | None, set[str]]:
    """Kind of a folder's artefact, None where it is none, and the files that its manifest lists.

    A manifest further down belongs to another artefact, which the user has put there.
    """
    try:
        found = manifest.load(folder / manifest.NAME)
    except RnnkitError:
        return None, set()
    return found.kind, {*found.files, manifest.NAME}


def _kind(place: Path) -> str | None:
    """Kind in a manifest; None where there is none that can be read."""
    try:
        return manifest.load(place).kind
    except RnnkitError:
        return None


def _enclosing_artifact(path: Path) -> Path | None:
    """The folder of the artefact that a file is part of."""
    for folder in path.absolute().parents:
        kind = _kind(folder / manifest.NAME)
        if kind is not None:
            name = path.absolute().relative_to(folder).as_posix()
            return folder if _is_run_file(name, kind) or name in _manifest(folder)[1] else None
    return None


def _contents(folder: Path) -> Iterator[str]:
    """Files and links below a folder, and its empty folders, relative to it."""
    for place, folders, files in os.walk(folder):
        inner = Path(place).relative_to(folder)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from ((inner / name).as_posix() for name in (*links, *files))
        if not folders and not files and place != str(folder):
            yield inner.as_posix()


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of some patterns, as those of `FILES`."""
    parts = name.split("/")
    return any(_matches(parts, pattern.split("/")) for pattern in patterns)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether each part of a path matches its pattern; a star stands for no slash."""
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _is_run_file(name: str, kind: str) -> bool:
    """Whether a file, or an empty folder, is of a run."""
    patterns = RUN_FILES.get(kind, ())
    return matches_any(name, patterns) or any(pattern.startswith(f"{name}/") for pattern in patterns)


def _is_leftover(name: str) -> bool:
    """Whether a file is a lock, part of a write that a kill has cut off, or a desktop's."""
    parts = name.split("/")
    hidden = any(part.startswith(".") and part.endswith(TEMPORARY_SUFFIX) for part in parts)
    return hidden or parts[-1] == lock.LOCK_NAME or parts[-1] in _DESKTOP_FILES


def _abridge(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _MAX_LISTED:,} more" if len(found) > _MAX_LISTED else ""
    return ", ".join(found[:_MAX_LISTED]) + more
