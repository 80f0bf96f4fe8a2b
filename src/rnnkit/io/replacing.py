"""What may be replaced: artefacts of the same kind that rnnkit made, and nothing else."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rnnkit.errors import ArtefactError, RnnkitError
from rnnkit.io import atomic, lock, manifest
from rnnkit.io.owner import TEMPORARY

PART: Final = ""
"""In place of a kind: a folder inside an artefact's folder, such as the text of a run of word vectors."""

FILES: Final = {
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

_NOBODYS: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that a desktop leaves in every folder that it shows."""

_SHOWN = 3


def resolve_folder(path: Path) -> Path:
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


def check_folder(path: Path, kinds: Sequence[str]) -> None:
    """Refuse to replace a folder that is not an artefact of these kinds, or that holds files of the user.

    A folder that does not exist, or that is empty but for locks and unfinished writes, is free.

    Raises:
        ArtefactError: The folder is something else, or a file in it was not written by rnnkit; the message names it.
    """
    if PART in kinds or not path.is_dir():
        return
    contents = [name for name in _contents(path) if not _is_left_over(name)]
    if not contents:
        return
    kind, listed = _manifest(path)
    wanted = " or ".join(kinds)
    if kind is None:
        raise ArtefactError(
            f"{path} is not an artefact of rnnkit: it is not replaced",
            f"it has no {manifest.NAME}, and holds {_some(contents)}",
            hint="choose another name, or remove the folder yourself",
        )
    if kind not in kinds:
        raise ArtefactError(
            f"{path} is {kind}, not {wanted}: it is not replaced",
            "--overwrite replaces artefacts of the same kind only",
            hint="choose another name, or remove the folder yourself",
        )
    foreign = [name for name in contents if name not in listed and not _is_own(name, kind)]
    if foreign:
        raise ArtefactError(
            f"{path} holds files that rnnkit did not write: it is not replaced",
            _some(foreign),
            hint="move them to another folder",
        )


def is_taken(path: Path) -> bool:
    """Whether a folder holds anything but locks and unfinished writes."""
    return path.is_dir() and not all(map(_is_left_over, _contents(path)))


def check_file(path: Path, kind: str | None = None) -> None:
    """Refuse to replace a file that is something else than the output.

    Args:
        path: The file; whatever is not a regular file is written into and not replaced.
        kind: Kind of the artefact whose manifest stands beside the file; None for plain text, pictures and the like.

    Raises:
        ArtefactError: It belongs to another artefact, or, where a kind is given, rnnkit did not write it.
    """
    if atomic.is_stream(path):
        return
    path = atomic.resolve(path)
    if kind is not None:
        _check_manifest(manifest.place(path), kind)
    if not path.is_file():
        return
    if path.name == manifest.NAME or path.name.endswith(f".{manifest.NAME}"):
        raise ArtefactError(f"{path} is the manifest of an artefact: it is not replaced", hint="choose another name")
    found = _kind(manifest.place(path))
    if found is None and (around := _artefact_around(path)) is not None:
        raise ArtefactError(f"{path} is part of {around}: it is not replaced", hint="choose another name")
    if found == kind or (found is None and kind is None):
        return
    if found is None:
        raise ArtefactError(
            f"{path} was not written by rnnkit: it is not replaced",
            f"there is no {manifest.place(path).name} beside it that says so",
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


def _artefact_around(path: Path) -> Path | None:
    """The folder of the artefact that a file is part of."""
    for folder in path.absolute().parents:
        kind = _kind(folder / manifest.NAME)
        if kind is not None:
            name = path.absolute().relative_to(folder).as_posix()
            return folder if _is_own(name, kind) or name in _manifest(folder)[1] else None
    return None


def _contents(folder: Path) -> Iterator[str]:
    """Files and links below a folder, and its empty folders, relative to it."""
    for place, folders, files in os.walk(folder):
        inner = Path(place).relative_to(folder)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from ((inner / name).as_posix() for name in (*links, *files))
        if not folders and not files and place != str(folder):
            yield inner.as_posix()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of some patterns, as those of `FILES`."""
    parts = name.split("/")
    return any(_matches(parts, pattern.split("/")) for pattern in patterns)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether each part of a path matches its pattern; a star stands for no slash."""
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _is_own(name: str, kind: str) -> bool:
    """Whether a file, or an empty folder, is of a run."""
    patterns = FILES.get(kind, ())
    return matches(name, patterns) or any(pattern.startswith(f"{name}/") for pattern in patterns)


def _is_left_over(name: str) -> bool:
    """Whether a file is a lock, part of a write that a kill has cut off, or a desktop's."""
    parts = name.split("/")
    hidden = any(part.startswith(".") and part.endswith(TEMPORARY) for part in parts)
    return hidden or parts[-1] == lock.NAME or parts[-1] in _NOBODYS


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
