"""What an artefact is, what it was made from, and the checksums of its files.

A directory holds `meta.json`; a single file `NAME` has `NAME.meta.json` beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rnnkit
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.files.atomic import atomic_file

NAME = "meta.json"
MAKERS = {
    "tokens": "`rnnkit tokenize` makes token files",
    "tokenizer": "`rnnkit tokenize` makes it from the training text",
    "vocabulary": "`rnnkit vocab` makes it",
    "data": "`rnnkit align` makes it",
    "links": "`rnnkit align-words` makes them",
    "shortlist": "`rnnkit align-words --shortlist DIR` makes it",
    "model": "`rnnkit train` makes it",
    "vectors": "`rnnkit train-embeddings` makes them, `rnnkit convert-embeddings` brings them from elsewhere",
}
"""For each kind of artefact, how it comes about."""


@dataclass(frozen=True)
class Manifest:
    """The facts in a `meta.json`.

    Attributes:
        kind: What the artefact is: `tokens`, `tokenizer`, `vocabulary`, `data`, `model`, `vectors`.
        version: Version of the kind's format.
        options: The resolved options of the command that made it.
        inputs: sha256 of each thing it was made from, by a name that says its part, such as `vocabulary`.
        files: For each of its own files, relative to the manifest's folder: sha256 and size in bytes.
        facts: Whatever else the kind records, such as counts.
    """

    kind: str
    version: int
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def place(artefact: Path) -> Path:
    """Where the manifest of a file or directory is."""
    return artefact / NAME if artefact.is_dir() else artefact.with_name(f"{artefact.name}.{NAME}")


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest atomically. It holds no time and no host, so that equal work gives equal bytes."""
    document = {
        "kind": manifest.kind,
        "version": manifest.version,
        "rnnkit": rnnkit.__version__,
        "facts": dict(manifest.facts),
        "options": dict(manifest.options),
        "inputs": dict(manifest.inputs),
        "files": {name: dict(entry) for name, entry in manifest.files.items()},
    }
    with atomic_file(path) as file:
        file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read(artefact: Path, kind: str, newest_version: int) -> Manifest:
    """Read and check the manifest of an artefact.

    Args:
        artefact: The file or directory itself.
        kind: What it must be.
        newest_version: The newest format version that this rnnkit reads.

    Raises:
        DataError: There is no such artefact, or it has no manifest.
        FormatError: The manifest is damaged, or its version is newer.
        ArtefactError: It is of another kind.
    """
    if not artefact.exists():
        there_is = "there are" if kind.endswith("s") else "there is"
        raise DataError(f"{there_is} no {kind} at {artefact}", hint=MAKERS.get(kind))
    manifest = load(place(artefact))
    if manifest.kind != kind:
        raise ArtefactError(f"{artefact} is {manifest.kind}, not {kind}")
    if manifest.version > newest_version:
        raise FormatError(
            f"{artefact} has format version {manifest.version}; this rnnkit reads up to {newest_version}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    return manifest


def load(path: Path) -> Manifest:
    """Read the manifest at `path` itself, of whatever kind.

    Raises:
        DataError: There is none.
        FormatError: It is not what rnnkit writes.
    """
    try:
        document = json.loads(path.read_bytes())
        return Manifest(
            kind=str(document["kind"]),
            version=int(document["version"]),
            options=dict(document["options"]),
            inputs={str(name): str(digest) for name, digest in document["inputs"].items()},
            files={
                str(name): {**entry, "sha256": str(entry["sha256"]), "size": int(entry["size"])}
                for name, entry in document["files"].items()
            },
            facts=dict(document["facts"]),
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing",
            hint="an artefact is copied together with its meta.json; make it again otherwise",
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is damaged", f"{type(error).__name__}: {error}") from error


def describe_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The `files` entry for these names inside a folder."""
    return {name: {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size} for name in sorted(names)}


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error


def faults(artefact: Path) -> list[str]:
    """Check every file the manifest names; returns one line for each that is missing or changed."""
    path = place(artefact)
    manifest = load(path)
    found = []
    for name, entry in manifest.files.items():
        file = path.parent / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            found.append(f"{name}: the name leads outside the artefact's folder")
        elif not file.is_file():
            found.append(f"{name}: missing")
        elif file.stat().st_size != entry["size"]:
            found.append(f"{name}: {file.stat().st_size} bytes, {entry['size']} were written")
        elif sha256(file) != entry["sha256"]:
            found.append(f"{name}: its bytes have changed (sha256 differs)")
    return found
