"""The record beside an output of `decode`: what it was made from, and how far it has come.

`OUTPUT.partial.decode.json` grows with `OUTPUT.partial`; `OUTPUT.decode.json` stays beside the finished output. A
record holds what decided about the text (`decode_identity`), how many lines of text are answered, and the SHA-256 of
these lines, of the output for them and of the links for them. What the output holds behind that is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnkit.config import STDIN
from rnnkit.errors import ArtefactError, FormatError, RnnkitError
from rnnkit.io import atomic, manifest, resumable_output
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

_PIECE = 1 << 20


@dataclass(frozen=True)
class HashedPrefix:
    """The beginning of a file that a record vouches for: its size in bytes, and their SHA-256."""

    size: int = 0
    running: Any = field(default_factory=hashlib.sha256)

    def plus(self, data: bytes) -> HashedPrefix:
        """This and what follows it."""
        running = self.running.copy()
        running.update(data)
        return HashedPrefix(self.size + len(data), running)

    def as_dict(self) -> dict[str, Any]:
        """As the record has it."""
        return {"size": self.size, "sha256": self.running.hexdigest()}

    @classmethod
    def of(cls, path: Path, size: int) -> HashedPrefix:
        """The first bytes of a file, fewer where it is shorter."""
        found = cls()
        if path.is_file():
            with resumable_output.open_uncompressed(path) as file:
                while found.size < size and (piece := file.read(min(size - found.size, _PIECE))):
                    found = found.plus(piece)
        return found


@dataclass(frozen=True)
class OutputState:
    """How far an output has come.

    Attributes:
        lines: Lines of text that are answered.
        output: What was written for them.
        links: The same of `--alignments`; None without.
        text: SHA-256 of the lines.
        whole: Whether all lines of these very texts are answered.
    """

    lines: int = 0
    output: HashedPrefix = field(default_factory=HashedPrefix)
    links: HashedPrefix | None = None
    text: str = hashlib.sha256().hexdigest()
    whole: bool = False


def record_path(path: Path) -> Path:
    """Where the record of an output is, finished or partial."""
    return path.with_name(f"{path.name}{ENDING}")


def is_recorded(options: DecodeOptions) -> bool:
    """Whether the output is a file that can be continued: neither a stream nor a device."""
    output = options.output
    return output != STDIN and not atomic.is_stream(output) and (output.is_file() or not output.exists())


def check_record_names(options: DecodeOptions) -> None:
    """Keep files of the user that have the name of a record. Raises ArtefactError where there is one."""
    partial = resumable_output.partial_path(options.output)
    for place in (
        record_path(partial),
        record_path(partial.with_name(partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))),
    ):
        if place.exists():
            try:
                own = manifest.load(place).kind == KIND
            except RnnkitError:
                own = False
            if not own:
                raise ArtefactError(
                    f"{place} was not written by `rnnkit decode`: it is not replaced",
                    "the record of the output has that name",
                    hint="choose another --output",
                )


def find_output_state(options: DecodeOptions, now: Fingerprint | None = None) -> OutputState:
    """What an earlier run has left of the output, for `--resume`; nothing where there is neither output nor part of it.

    Args:
        options: Those of this call.
        now: What decides about the text of this call; read from the files where it is not given.

    Raises:
        ArtefactError: What is there was made by another model, from another text or with other options, has changed
            since, or has no record; the message names what differs.
        FormatError: The record is damaged.
    """
    partial = resumable_output.partial_path(options.output)
    output = partial.with_name(partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))  # where a link leads
    place = partial if partial.is_file() else output
    if not place.is_file():
        _refuse_strange_links(options)
        return OutputState()
    record, state = _record_of(place, options)
    now = compute_fingerprint(options) if now is None else now
    _refuse_differences(place, _identity(record), now)
    whole = place == output and _same_texts(record.inputs, now.inputs)
    if options.alignments is None:
        return replace(state, links=None, whole=whole)
    if state.links is None:
        _refuse_strange_links(options)
        return OutputState()  # the links of all lines are missing: every line is decoded again
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


def _refuse_strange_links(options: DecodeOptions) -> None:
    """Keep a file that `--alignments` names and no record vouches for. Raises ArtefactError where there is one."""
    if options.alignments is None:
        return
    for path in (options.alignments, resumable_output.partial_path(options.alignments)):
        if path.is_file():
            raise ArtefactError(
                f"{path} exists, and the record of {options.output} does not vouch for it",
                hint="choose another --alignments, or --overwrite to begin anew",
            )


def _record_of(place: Path, options: DecodeOptions) -> tuple[manifest.Manifest, OutputState]:
    """The record that vouches for what is at `place`. A kill just before the end leaves it under the partial's name."""
    places = [record_path(place)]
    is_partial = place == resumable_output.partial_path(options.output)
    if not is_partial:
        places.append(record_path(resumable_output.partial_path(place)))
    found = [_load(one) for one in places if one.is_file()]
    if not found:
        raise ArtefactError(
            f"{place} has no record of what it was made from",
            f"there is no {places[0].name} beside it",
            hint="--overwrite begins anew",
        )
    for record in found:
        with manifest.explain_damage(places[0]):
            state = _state(record, place)
            whole = is_partial or state.output.size == resumable_output.uncompressed_size(place)
            if state.output.as_dict() == record.facts["output"] and whole:
                return record, state
    raise _changed(place)


def _load(path: Path) -> manifest.Manifest:
    record = manifest.load(path)
    if record.kind != KIND:
        raise ArtefactError(f"{path} is {record.kind}, not the record of an output", hint="choose another --output")
    if record.version > VERSION:
        raise FormatError(
            f"{path} has format version {record.version}; this rnnkit reads up to {VERSION}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    return record


def _state(record: manifest.Manifest, place: Path) -> OutputState:
    facts = record.facts
    links = HashedPrefix() if facts["alignments"] is not None else None
    return OutputState(
        int(facts["lines"]), HashedPrefix.of(place, int(facts["output"]["size"])), links, str(facts["text"])
    )


def _identity(record: manifest.Manifest) -> Fingerprint:
    facts = record.facts
    return Fingerprint(record.options, record.inputs, dict(facts["texts"]), dict(facts["paths"]))


def _changed(path: Path) -> ArtefactError:
    return ArtefactError(
        f"{path} has changed since `rnnkit decode` wrote it", "its sha256 is not the one that was recorded",
        hint="bring it back as it was, or --overwrite to begin anew",
    )  # fmt: skip


def _refuse_differences(place: Path, found: Fingerprint, now: Fingerprint) -> None:
    options, inputs = differences(found, now)
    # The lines of a stream are compared as they are read again; what stands beside them cannot be.
    unknown = [
        f"{name} ({now.paths[name]}) cannot be compared with what was read then"
        for name, digest in now.inputs.items()
        if digest == STREAM and not is_text_name(name) and found.inputs.get(name) == STREAM
    ]
    texts = [line for line in inputs if line.startswith("text")]
    models = [line for line in inputs if line.startswith("model")]
    others = [line for line in inputs if line not in texts and line not in models]
    what = [
        words
        for words, lines in (
            ("by another model", models),
            ("with other options", options),
            ("from another text", texts),
            ("with other files beside the text", [*others, *unknown]),
        )
        if lines
    ]
    if what:
        raise ArtefactError(
            f"{place} was made {', '.join(what)}", *models, *options, *texts, *others, *unknown,
            hint="give the same ones to continue with it, or --overwrite to begin anew",
        )  # fmt: skip
