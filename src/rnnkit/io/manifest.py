"""Artifacts on disk: their manifests, with kind, provenance and checksums, and their default paths.

A directory contains `meta.json`; a single file `NAME` has `NAME.meta.json` beside it. A manifest includes a checksum of
itself. No name in it leads outside its directory, neither by itself nor through a symbolic link in the directory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rnnkit
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import MAX_JSON_BYTES, open_regular, read_json, read_regular
from rnnkit.json_types import JsonMapping, JsonObject

NAME = "meta.json"
CHECKSUM = "sha256"
"""Key of the manifest's own checksum, which the first version of rnnkit did not write."""

_KEYS_BEFORE_CHECKSUM = {"kind", "version", "rnnkit", "facts", "options", "inputs", "files"}

CREATION_HINTS = {
    "tokens": "`rnnkit tokenize` creates token files",
    "tokenizer": "`rnnkit tokenize` trains it on the training text",
    "vocabulary": "`rnnkit vocab` builds it",
    "data": "`rnnkit align` creates it",
    "links": "`rnnkit align-words` creates them",
    "shortlist": "`rnnkit align-words --shortlist DIR` creates it",
    "model": "`rnnkit train` creates it",
    "cross-validation": "`rnnkit train --folds 5` creates it",
    "vectors": "`rnnkit train-embeddings` creates them, `rnnkit convert-embeddings` imports them",
}
"""How to create each kind of artifact."""


@dataclass(frozen=True)
class Manifest:
    """Content of a `meta.json`.

    Attributes:
        kind: Kind of the artifact: `tokens`, `tokenizer`, `vocabulary`, `data`, `model`, `vectors`.
        version: Format version of the kind.
        options: The resolved options of its command.
        inputs: sha256 of each input, by role, such as `vocabulary`.
        files: sha256 and size in bytes of each of its files, relative to the manifest's directory.
        facts: Further facts of the kind, such as counts.
    """

    kind: str
    version: int
    options: JsonMapping = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, JsonMapping] = field(default_factory=dict)
    facts: JsonMapping = field(default_factory=dict)


def manifest_path(artifact: Path) -> Path:
    """Return the path of the manifest of a file or directory."""
    return artifact / NAME if artifact.is_dir() else artifact.with_name(f"{artifact.name}.{NAME}")


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest atomically. It contains neither time nor host, so equal artifacts have equal manifests."""
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
        file.write(_to_json(document))


def read(artifact: Path, kind: str, newest_version: int) -> Manifest:
    """Read the manifest of an artifact and check its kind and version.

    Args:
        artifact: The file or directory.
        kind: The expected kind.
        newest_version: The newest supported format version.

    Raises:
        DataError: The artifact or its manifest does not exist.
        FormatError: The manifest is damaged or of a newer version.
        ArtefactError: The kind differs.
    """
    if not artifact.exists():
        there_is = "there are" if kind.endswith("s") else "there is"
        raise DataError(
            f"{there_is} no {kind} at {artifact}",
            hint=interrupted_replacement_hint(artifact) or CREATION_HINTS.get(kind),
            path=artifact,
        )
    if kind == "model" and artifact.is_file():
        raise DataError(
            f"{artifact} is a file, and a model is a directory",
            hint=f"`rnnkit convert-ngrams DIR --model {artifact}` converts an ARPA file to one",
            path=artifact,
        )
    manifest = load(manifest_path(artifact))
    if manifest.kind != kind:
        raise ArtefactError(f"{artifact} is {manifest.kind}, not {kind}", path=artifact)
    if manifest.version > newest_version:
        raise FormatError(
            f"{artifact} has format version {manifest.version}; this rnnkit reads up to {newest_version}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
            path=artifact,
        )
    return manifest


def interrupted_replacement_hint(artifact: Path) -> str | None:
    """Return a hint if a crash between the two renames of `atomic.replace_directory` left the old directory aside."""
    aside = artifact.with_name(f".{artifact.name}.old") if artifact.name else artifact
    if not aside.exists():
        return None
    return f"an interrupted command moved it aside: `mv {aside} {artifact}`, or run that command again"


def load(path: Path) -> Manifest:
    """Load the manifest at `path` itself, of any kind.

    Raises:
        DataError: It does not exist.
        FormatError: It is not a manifest of rnnkit, or a name in it leads outside its directory.
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
            _check_names(path, found.files)
            return found
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing",
            hint="copy an artifact together with its meta.json, or create it again",
            path=path,
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    except RuntimeError as error:  # raised by Python 3.11 and 3.12 for a link to itself
        raise FormatError(f"{path} is damaged", str(error), path=path) from error


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Convert errors from missing or malformed content of the manifest at `path` to FormatError.

    Raises:
        FormatError: The block failed to read the content.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"{path} is damaged", f"{type(error).__name__}: {error}", path=path) from error


def describe_files(folder: Path, names: Iterable[str]) -> dict[str, JsonObject]:
    """Return the `files` entry for these names in a directory."""
    return {name: {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size} for name in sorted(names)}


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a regular file, read in blocks.

    Raises:
        DataError: The file is unreadable, a pipe or a device.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error


def find_mismatches(artifact: Path) -> list[str]:
    """Check the manifest and its files; return a message for each that is missing or changed. Raises as `load`."""
    path = manifest_path(artifact)
    manifest = load(path)
    found = [] if _is_unchanged(path) else [f"{path.name}: contents changed (sha256 mismatch)"]
    for name, entry in manifest.files.items():
        file = path.parent / name
        if not _is_file(file):
            found.append(f"{name}: missing")
        elif file.stat().st_size != entry["size"]:
            found.append(f"{name}: {file.stat().st_size} bytes, expected {entry['size']}")
        elif sha256(file) != entry["sha256"]:
            found.append(f"{name}: contents changed (sha256 mismatch)")
    return found


def _is_file(path: Path) -> bool:
    """Return whether a file exists, also for a name that is too long, for which Python raises an error."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_safe_name(name: str) -> bool:
    """Return whether untrusted text is safe as part of a file name that stays in its directory."""
    return name not in ("", ".", "..") and name.isprintable() and not {"/", "\\"} & set(name)


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Raise FormatError if a name leads outside the directory of the manifest."""
    folder = path.parent
    for name in names:
        if not all(map(is_safe_name, name.split("/"))):
            raise FormatError(f"{path} is damaged", f"the name {name!r} leads outside the directory", path=path)
        # A single file and its manifest may be links of the user.
        # For a link to itself `realpath` returns the link, later reported as missing; `resolve` raises RuntimeError.
        real = Path(os.path.realpath(folder / name))
        if path.name == NAME and not real.is_relative_to(os.path.realpath(folder)):
            raise FormatError(
                f"{folder / name} is a link that leads outside the directory",
                hint="copy the directory with the targets of its links: `cp -rL`",
                path=folder / name,
            )


def _checksum(document: JsonMapping) -> str:
    facts = {name: value for name, value in document.items() if name != CHECKSUM}
    return hashlib.sha256(_to_json(facts).encode("utf-8", "surrogatepass")).hexdigest()


def _to_json(document: JsonMapping) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _is_unchanged(path: Path) -> bool:
    """Return whether a manifest is unchanged, byte for byte; True for one without a checksum."""
    document = read_json(path)
    if CHECKSUM not in document:
        return set(document) <= _KEYS_BEFORE_CHECKSUM
    same = read_regular(path, MAX_JSON_BYTES) == _to_json(document).encode("utf-8", "surrogatepass")
    return same and bool(document[CHECKSUM] == _checksum(document))


@dataclass(frozen=True)
class Workspace:
    """Default paths within one directory (`--work`, `RNNKIT_WORK`)."""

    root: Path

    @property
    def tokens(self) -> Path:
        """Directory of token files, `NAME.LANG.tok`."""
        return self.root / "tokens"

    @property
    def tokenizer(self) -> Path:
        """Directory of their tokenizer."""
        return self.root / "tokenizer"

    @property
    def data(self) -> Path:
        """Directory of aligned data."""
        return self.root / "data"

    @property
    def model(self) -> Path:
        """Model directory."""
        return self.root / "model"

    @property
    def folds(self) -> Path:
        """Directory of a cross-validation."""
        return self.root / "folds"

    @property
    def embeddings(self) -> Path:
        """Vectors directory."""
        return self.root / "embeddings"

    @property
    def links(self) -> Path:
        """File of word-alignment links."""
        return self.root / "links"

    def vocabulary(self, language: str | None = None) -> Path:
        """Return the path of the joint vocabulary, or of the vocabulary of one language."""
        return self.root / ("vocab.tsv" if language is None else f"vocab.{language}.tsv")
