"""What an artefact is, what it was made from, and the checksums of its files.

A directory holds `meta.json`; a single file `NAME` has `NAME.meta.json` beside it. It has a checksum of itself, too.
No name in it leads out of its folder: neither the name itself, nor a link that a directory holds under it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rnnkit
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import MAX_JSON_BYTES, open_regular, read_json, read_regular

NAME = "meta.json"
CHECKSUM = "sha256"
"""Key of the manifest's own checksum; those of the first rnnkit have none."""

_FIRST_KEYS = {"kind", "version", "rnnkit", "facts", "options", "inputs", "files"}

CREATION_HINTS = {
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


def manifest_path(artefact: Path) -> Path:
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
    document[CHECKSUM] = _checksum(document)
    with atomic_file(path) as file:
        file.write(_text(document))


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
        raise DataError(
            f"{there_is} no {kind} at {artefact}",
            hint=interrupted_replacement_hint(artefact) or CREATION_HINTS.get(kind),
        )
    if kind == "model" and artefact.is_file():
        raise DataError(
            f"{artefact} is a file, and a model is a directory",
            hint=f"an ARPA file becomes one by `rnnkit convert-ngrams DIR --model {artefact}`",
        )
    manifest = load(manifest_path(artefact))
    if manifest.kind != kind:
        raise ArtefactError(f"{artefact} is {manifest.kind}, not {kind}")
    if manifest.version > newest_version:
        raise FormatError(
            f"{artefact} has format version {manifest.version}; this rnnkit reads up to {newest_version}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    return manifest


def interrupted_replacement_hint(artefact: Path) -> str | None:
    """A hint where a crash has left a folder under the name that `durable.exchange` gives it between two renames."""
    aside = artefact.with_name(f".{artefact.name}.old") if artefact.name else artefact
    if not aside.exists():
        return None
    return f"an interrupted command has left the old one: `mv {aside} {artefact}`, or run that command again"


def load(path: Path) -> Manifest:
    """Read the manifest at `path` itself, of whatever kind.

    Raises:
        DataError: There is none.
        FormatError: It is not what rnnkit writes, or a name in it leads outside its folder.
    """
    try:
        with explain_damage(path):
            document = read_json(path)
            found = Manifest(
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
            _refuse_outside(path, found.files)
            return found
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing",
            hint="an artefact is copied together with its meta.json; make it again otherwise",
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    except RuntimeError as error:  # what Python 3.11 and 3.12 make of a link that leads to itself
        raise FormatError(f"{path} is damaged", str(error)) from error


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Says that the manifest at `path` is damaged where what is read out of it is missing or not what it should be.

    Raises:
        FormatError: It is.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"{path} is damaged", f"{type(error).__name__}: {error}") from error


def describe_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The `files` entry for these names inside a folder."""
    return {name: {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size} for name in sorted(names)}


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a regular file, read in blocks.

    Raises:
        DataError: The file cannot be read, or it is a pipe or a device.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error


def find_mismatches(artefact: Path) -> list[str]:
    """Check the manifest and every file that it names; returns one line for each that is missing or changed.

    Raises: As `load`.
    """
    path = manifest_path(artefact)
    manifest = load(path)
    found = [] if _is_as_written(path) else [f"{path.name}: its words have changed (sha256 differs)"]
    for name, entry in manifest.files.items():
        file = path.parent / name
        if not _is_file(file):
            found.append(f"{name}: missing")
        elif file.stat().st_size != entry["size"]:
            found.append(f"{name}: {file.stat().st_size} bytes, {entry['size']} were written")
        elif sha256(file) != entry["sha256"]:
            found.append(f"{name}: its bytes have changed (sha256 differs)")
    return found


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name longer than a file's can be is an error to Python, not an answer."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_safe_name(name: str) -> bool:
    """Whether a word from a file can be part of a file's name, and that name stays in its folder."""
    return name not in ("", ".", "..") and name.isprintable() and not {"/", "\\"} & set(name)


def _refuse_outside(path: Path, names: Iterable[str]) -> None:
    """Raise FormatError where a name leads out of the folder of a manifest; its files would be another's."""
    folder = path.parent
    for name in names:
        if not all(map(is_safe_name, name.split("/"))):
            raise FormatError(f"{path} is damaged", f"the name {name!r} leads outside the artefact's folder")
        # The manifest beside a single file may stand with it among links that somebody made.
        # Of a link to itself `realpath` gives the link, which is then found missing; `resolve` raises RuntimeError.
        real = Path(os.path.realpath(folder / name))
        if path.name == NAME and not real.is_relative_to(os.path.realpath(folder)):
            raise FormatError(
                f"{folder / name} is a link that leads outside the artefact's folder",
                hint="copy the folder with what its links lead to: `cp -rL`",
            )


def _checksum(document: Mapping[str, Any]) -> str:
    facts = {name: value for name, value in document.items() if name != CHECKSUM}
    return hashlib.sha256(_text(facts).encode("utf-8", "surrogatepass")).hexdigest()


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _is_as_written(path: Path) -> bool:
    """Whether a manifest has not changed, byte for byte. One without a checksum is believed."""
    document = read_json(path)
    if CHECKSUM not in document:
        return set(document) <= _FIRST_KEYS
    same = read_regular(path, MAX_JSON_BYTES) == _text(document).encode("utf-8", "surrogatepass")
    return same and bool(document[CHECKSUM] == _checksum(document))
