"""Inspection of artefacts: directories and files that rnnkit wrote, and files in formats that it reads.

Artefacts of rnnkit are identified by their manifest, other files by their content.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.safe_reading import read_json
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.options.declare import did_you_mean
from rnnkit.reports.file_facts import binary_facts, text_facts, vector_facts
from rnnkit.text import special_tokens, vocabulary

SUMMARY_FACTS = ("shape", "type", "values", "metadata", "pieces")
"""Facts that are shown of a file within an artefact."""

MAX_DEPTH = 4
"""Maximum depth of nested folders that are searched for artefacts."""


@dataclass(frozen=True)
class Description:
    """Description of one artefact.

    Attributes:
        path: Its path.
        kind: Its kind, such as `text`, `tokenizer` or `safetensors`.
        facts: Plain values by name, some of them nested.
        parts: Descriptions of the artefacts inside it.
    """

    path: Path
    kind: str
    facts: JsonMapping = field(default_factory=dict)
    parts: tuple[Description, ...] = ()

    def as_dict(self) -> JsonObject:
        """JSON form."""
        parts = [part.as_dict() for part in self.parts]
        return {"path": str(self.path), "kind": self.kind, "facts": dict(self.facts), "parts": parts}

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield the lines of the printed form."""
        yield f"{indent}{self.path}: {self.kind}"
        for name, value in self.facts.items():
            yield from _fact_lines(name.replace("_", " "), value, f"{indent}  ")
        for part in self.parts:
            yield from part.lines(f"{indent}  ")


def describe(path: Path) -> Description:
    """Describe a file or directory.

    Raises:
        DataError: The path does not exist, cannot be read, or is of unknown type.
        FormatError: The file is of a known format and damaged.
    """
    try:
        if path.is_dir():
            return _describe_folder(path)
        if path.is_file():
            return _describe_file(path)
        if path.exists():
            raise DataError(
                f"{path} is not a regular file",
                "inspect reads a file several times, a pipe can be read once",
                hint="write it to a file first",
            )
        raise DataError(f"file or folder not found: {path}", hint=_neighbour(path))
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror or error)) from error


def find_artefacts(folder: Path, depth: int = MAX_DEPTH) -> Iterator[Path]:
    """Yield the outermost artefacts inside a folder, which are those with a manifest.

    Hidden names, which are work in progress, are skipped, as are links, other file systems and unreadable folders.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith(manifest.NAME):
            continue
        if manifest.manifest_path(path).is_file():
            yield path
        elif depth > 1 and _is_searched(path, folder):
            yield from find_artefacts(path, depth - 1)


def _is_searched(path: Path, folder: Path) -> bool:
    searched = path.is_dir() and not path.is_symlink() and path.stat().st_dev == folder.stat().st_dev
    return searched and os.access(path, os.R_OK | os.X_OK)


def _describe_folder(path: Path) -> Description:
    parts = tuple(describe(part) for part in find_artefacts(path))
    if manifest.manifest_path(path).is_file():
        meta = manifest.load(manifest.manifest_path(path))
        files = {name: _file_facts(path / name, entry) for name, entry in meta.files.items()}
        return Description(path, meta.kind, {**_config_facts(path), **_manifest_facts(meta), "files": files}, parts)
    if parts:
        return Description(path, "folder", {"artefacts": len(parts)}, parts)
    raise DataError(
        f"{path} holds nothing that rnnkit made",
        f"neither it nor a folder in it has a {manifest.NAME}",
        hint="name the file to inspect",
    )


def _describe_file(path: Path) -> Description:
    """Describe a file by its manifest, if present, and its content."""
    known = binary_facts(path) or vector_facts(path)
    if known is None:
        kind, facts = _text_kind(path), text_facts(path)
        if facts is None and kind != vocabulary.KIND:  # tokens of an imported vocabulary can be control characters
            raise _unknown(path)
        known = kind, {"bytes": path.stat().st_size, **(facts or {})}
    kind, facts = known
    if kind == vocabulary.KIND:
        facts |= _vocabulary_facts(path)
    if not manifest.manifest_path(path).is_file():
        return Description(path, kind, facts)
    meta = manifest.load(manifest.manifest_path(path))
    return Description(path, meta.kind, {**_manifest_facts(meta), **facts})


def _manifest_facts(meta: manifest.Manifest) -> JsonObject:
    return {
        "format_version": meta.version,
        **meta.facts,
        "options": {name: value for name, value in meta.options.items() if value is not None},
        "inputs": dict(meta.inputs),
    }


def _config_facts(folder: Path) -> JsonObject:
    """Read the `config.json` of a model, if present."""
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        return {"config": read_json(path)}
    except ValueError as error:
        raise FormatError(f"{path} is damaged", str(error)) from error


def _file_facts(path: Path, entry: JsonMapping) -> JsonObject:
    """Return the size of a file inside an artefact, and facts of its header."""
    facts: JsonObject = {"bytes": entry.get("size")}
    if not path.is_file():
        return {**facts, "missing": True}
    known = binary_facts(path)
    if known is not None:
        kind, found = known
        facts["kind"] = kind
        facts |= {name: value for name, value in found.items() if name in SUMMARY_FACTS}
    return facts


def _text_kind(path: Path) -> str:
    """Distinguish vocabularies, which begin with their special symbols, from other text."""
    with path.open("rb") as file:
        start = file.read(32)
    if not start:
        return "empty file"
    return vocabulary.KIND if start.startswith(f"{special_tokens.NAMES[special_tokens.PAD]}\t".encode()) else "text"


def _vocabulary_facts(path: Path) -> JsonObject:
    """Return the size and the most frequent entries. Raises FormatError if the file is damaged."""
    table = vocabulary.Vocabulary.load(path)
    first = len(special_tokens.NAMES)
    return {"rows": len(table), "tokens_counted": sum(table.counts), "most_frequent": list(table.tokens[first:][:10])}


def _unknown(path: Path) -> DataError:
    with path.open("rb") as file:
        start = file.read(8)
    return DataError(
        f"unknown file type: {path}",
        f"it is neither text nor of a format that rnnkit reads; its first bytes are {start.hex(' ')}",
    )


def _neighbour(path: Path) -> str | None:
    """Suggest a similar name in the same folder."""
    if not path.parent.is_dir():
        return None
    return did_you_mean(path.name, sorted(other.name for other in path.parent.iterdir()))


def _fact_lines(name: str, value: object, indent: str) -> Iterator[str]:
    """Yield a fact on one line, or one line per entry if it is nested twice."""
    if isinstance(value, Mapping) and any(isinstance(part, Mapping) for part in value.values()):
        yield f"{indent}{name}:"
        for inner, part in value.items():
            yield f"{indent}  {inner}: {plain_text(part)}"
    elif value not in (None, {}, []):
        yield f"{indent}{name}: {plain_text(value)}"


def plain_text(value: object) -> str:
    """Format a value: thousands separators, shapes as 3 x 4, checksums abbreviated."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value):
            return " x ".join(map(str, value))
        return ", ".join(map(plain_text, value))
    if isinstance(value, Mapping):
        parts = (
            (name, f"({plain_text(part)})" if isinstance(part, Mapping) else plain_text(part))
            for name, part in value.items()
        )
        return ", ".join(f"{name} {part}" for name, part in parts if part not in ("()", ""))
    text = str(value)
    is_checksum = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_checksum else text
