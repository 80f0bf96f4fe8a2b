"""Record of an output of `decode`: the fingerprint of the call that wrote it, and its progress.

`OUTPUT.partial.decode.json` accompanies `OUTPUT.partial`, and `OUTPUT.decode.json` the finished output. A record holds
the fingerprint, the number of input lines decoded, and the SHA-256 of these lines, of their output and of their
alignment links. Anything in the output after that is discarded and decoded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnkit.errors import ArtefactError, FormatError, RnnkitError
from rnnkit.io import atomic, manifest, resumable_output
from rnnkit.options.declare import STDIN
from rnnkit.stages.inference.decode.fingerprint import (
    STREAM,
    Fingerprint,
    compute_fingerprint,
    differences,
    is_text_name,
)
from rnnkit.stages.inference.decode.options import DecodeOptions

KIND = "decoded"
VERSION = 1
ENDING = ".decode.json"

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class HashedPrefix:
    """The beginning of a file that a record covers: its size in bytes, and their SHA-256."""

    size: int = 0
    running: Any = field(default_factory=hashlib.sha256)

    def plus(self, data: bytes) -> HashedPrefix:
        """Return the prefix extended by data."""
        running = self.running.copy()
        running.update(data)
        return HashedPrefix(self.size + len(data), running)

    def as_dict(self) -> dict[str, Any]:
        """JSON form in the record."""
        return {"size": self.size, "sha256": self.running.hexdigest()}

    @classmethod
    def of(cls, path: Path, size: int) -> HashedPrefix:
        """Hash the first bytes of a file; all of a shorter one."""
        found = cls()
        if path.is_file():
            with resumable_output.open_uncompressed(path) as file:
                while found.size < size and (piece := file.read(min(size - found.size, _CHUNK_BYTES))):
                    found = found.plus(piece)
        return found


@dataclass(frozen=True)
class OutputState:
    """Progress of an output.

    Attributes:
        lines: Number of input lines decoded.
        output: The output written for them.
        links: The alignment links written for them; None without `--alignments`.
        text: SHA-256 of the input lines.
        whole: Whether all lines of the current texts are decoded.
    """

    lines: int = 0
    output: HashedPrefix = field(default_factory=HashedPrefix)
    links: HashedPrefix | None = None
    text: str = hashlib.sha256().hexdigest()
    whole: bool = False


def record_path(path: Path) -> Path:
    """Return the path of the record of an output, finished or partial."""
    return path.with_name(f"{path.name}{ENDING}")


def is_recorded(options: DecodeOptions) -> bool:
    """Return whether the output is a file that can be resumed: neither a stream nor a device."""
    output = options.output
    return output != STDIN and not atomic.is_stream(output) and (output.is_file() or not output.exists())


def check_record_names(options: DecodeOptions) -> None:
    """Check that no other file has the name of a record. Raises ArtefactError if one does."""
    partial = resumable_output.partial_path(options.output)
    for path in (
        record_path(partial),
        record_path(partial.with_name(partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))),
    ):
        if path.exists():
            try:
                own = manifest.load(path).kind == KIND
            except RnnkitError:
                own = False
            if not own:
                raise ArtefactError(
                    f"{path} was not written by `rnnkit decode`: it is not replaced",
                    "the record of the output has this name",
                    hint="choose another --output",
                    path=path,
                )


def find_output_state(options: DecodeOptions, fingerprint: Fingerprint | None = None) -> OutputState:
    """Determine the progress of an earlier run, for `--resume`; none if there is neither an output nor a partial one.

    Args:
        options: The options of this call.
        fingerprint: Fingerprint of this call; computed if it is not given.

    Raises:
        ArtefactError: The output was made by another model, from other text or with other options, has changed since,
            or has no record; the message names the differences.
        FormatError: The record is damaged.
    """
    partial = resumable_output.partial_path(options.output)
    output = partial.with_name(
        partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX)
    )  # the target of a symbolic link
    existing = partial if partial.is_file() else output
    if not existing.is_file():
        _check_links_unrecorded(options)
        return OutputState()
    record, state = _find_record(existing, options)
    fingerprint = compute_fingerprint(options) if fingerprint is None else fingerprint
    _check_fingerprint(existing, _recorded_fingerprint(record), fingerprint)
    whole = existing == output and _same_texts(record.inputs, fingerprint.inputs)
    if options.alignments is None:
        return replace(state, links=None, whole=whole)
    if state.links is None:
        _check_links_unrecorded(options)
        return OutputState()  # alignment links of all lines are missing: decode every line again
    path = resumable_output.partial_path(options.alignments)
    path = path if path.is_file() else options.alignments
    recorded = record.facts["alignments"]
    links = HashedPrefix.of(path, int(recorded["size"]))
    if links.as_dict() != recorded:
        raise _changed(path)
    return replace(state, links=links, whole=whole)


def _same_texts(found: Mapping[str, str], now: Mapping[str, str]) -> bool:
    texts = [{name: digest for name, digest in each.items() if is_text_name(name)} for each in (found, now)]
    return texts[0] == texts[1] and STREAM not in texts[0].values()


def _check_links_unrecorded(options: DecodeOptions) -> None:
    """Check that `--alignments` names no file outside the record. Raises ArtefactError if it does."""
    if options.alignments is None:
        return
    for path in (options.alignments, resumable_output.partial_path(options.alignments)):
        if path.is_file():
            raise ArtefactError(
                f"{path} exists, and the record of {options.output} does not cover it",
                hint="choose another --alignments, or --overwrite to start again",
                path=path,
                option="--alignments",
            )


def _find_record(output: Path, options: DecodeOptions) -> tuple[manifest.Manifest, OutputState]:
    """Find the record of an output. A process killed just before the end leaves it at the partial's path."""
    paths = [record_path(output)]
    is_partial = output == resumable_output.partial_path(options.output)
    if not is_partial:
        paths.append(record_path(resumable_output.partial_path(output)))
    found = [_load(one) for one in paths if one.is_file()]
    if not found:
        raise ArtefactError(
            f"{output} has no record of how it was made",
            f"{paths[0].name} is missing",
            hint="use --overwrite to start again",
            path=output,
        )
    for record in found:
        with manifest.explain_damage(paths[0]):
            state = _state(record, output)
            whole = is_partial or state.output.size == resumable_output.uncompressed_size(output)
            if state.output.as_dict() == record.facts["output"] and whole:
                return record, state
    raise _changed(output)


def _load(path: Path) -> manifest.Manifest:
    record = manifest.load(path)
    if record.kind != KIND:
        raise ArtefactError(
            f"{path} is {record.kind}, not the record of an output", hint="choose another --output", path=path
        )
    if record.version > VERSION:
        raise FormatError(
            f"{path} has format version {record.version}; this rnnkit reads up to {VERSION}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
            path=path,
        )
    return record


def _state(record: manifest.Manifest, output: Path) -> OutputState:
    facts = record.facts
    links = HashedPrefix() if facts["alignments"] is not None else None
    return OutputState(
        int(facts["lines"]), HashedPrefix.of(output, int(facts["output"]["size"])), links, str(facts["text"])
    )


def _recorded_fingerprint(record: manifest.Manifest) -> Fingerprint:
    facts = record.facts
    return Fingerprint(record.options, record.inputs, dict(facts["texts"]), dict(facts["paths"]))


def _changed(path: Path) -> ArtefactError:
    return ArtefactError(
        f"{path} has changed since `rnnkit decode` wrote it", "its sha256 differs from the recorded one",
        hint="restore it, or use --overwrite to start again", path=path,
    )  # fmt: skip


def _check_fingerprint(output: Path, recorded: Fingerprint, current: Fingerprint) -> None:
    options, inputs = differences(recorded, current)
    # The lines of an input stream are compared as they are read again; other streams cannot be compared.
    unknown = [
        f"{name} ({current.paths[name]}) cannot be compared with the earlier input"
        for name, digest in current.inputs.items()
        if digest == STREAM and not is_text_name(name) and recorded.inputs.get(name) == STREAM
    ]
    texts = [line for line in inputs if line.startswith("text")]
    models = [line for line in inputs if line.startswith("model")]
    others = [line for line in inputs if line not in texts and line not in models]
    what = [
        description
        for description, lines in (
            ("by another model", models),
            ("with other options", options),
            ("from another text", texts),
            ("with other input files", [*others, *unknown]),
        )
        if lines
    ]
    if what:
        raise ArtefactError(
            f"{output} was made {', '.join(what)}", *models, *options, *texts, *others, *unknown,
            hint="give the same inputs to resume it, or --overwrite to start again", path=output,
        )  # fmt: skip
