"""Record of an output of `decode`: the fingerprint of the call that wrote it, and its progress.

The fingerprint is what determines the output: models, input files and options. Files are identified by their SHA-256,
not by their names: a model or a text that was moved is the same, and a new one under the same name is another.

`OUTPUT.partial.decode.json` accompanies `OUTPUT.partial`, and `OUTPUT.decode.json` the finished output. A record holds
the fingerprint, the number of input lines decoded, and the SHA-256 of these lines, of their output and of their
alignment links. Anything in the output after that is discarded and decoded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest, resumable_output
from rnnkit.io.resumable_output import HashedPrefix
from rnnkit.json_types import JsonMapping
from rnnkit.options.declare import STDIN
from rnnkit.options.record import as_dict, with_current_names
from rnnkit.stages import shared_options as shared
from rnnkit.stages.inference.decode_options import FUSION_WEIGHT, DecodeOptions

KIND = "decoded"
VERSION = 1
ENDING = ".decode.json"

FREE = {"output", "overwrite", "resume", "batch-tokens", "device", "threads", "alignments", "attention"}
"""Options that do not affect the output."""

BY_CONTENT = {
    "work",
    "files",
    "model",
    "shortlist",
    "fusion",
    "lexicon",
    "prefix-file",
    "constraints",
    "constraint-tokens",
}
"""Options that name files: their contents are compared, not their paths."""

STREAM = "stream"
"""Placeholder digest of an input that can be read only once: a pipe or standard input."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """What determines the output.

    Attributes:
        options: Values of the options.
        inputs: SHA-256 of each file, by its role, such as `model: vocab.tsv`.
        texts: Size in bytes of each file that has a line per input line, by role.
        paths: Path of each input, for messages.
    """

    options: JsonMapping
    inputs: Mapping[str, str]
    texts: Mapping[str, int]
    paths: Mapping[str, str]


def compute_fingerprint(options: DecodeOptions) -> Fingerprint:
    """Compute the fingerprint of a call of `decode`.

    Raises:
        DataError: A file or model is missing or cannot be read.
        FormatError: A model is damaged.
    """
    inputs: dict[str, str] = {}
    texts: dict[str, int] = {}
    paths: dict[str, str] = {}
    for name, path, is_text in _files(options):
        if path != STDIN and not path.exists():
            raise DataError(f"{path} does not exist", path=path)
        stream = path == STDIN or not path.is_file()
        inputs[name] = STREAM if stream else manifest.sha256(path)
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        paths[name] = "standard input" if path == STDIN else shown
        if is_text and not stream:
            texts[name] = path.stat().st_size
    named = {name: value for name, value in as_dict(options).items() if name not in FREE | BY_CONTENT}
    weights = [shared.parse_weighted_model(text, "--fusion")[1] for text in options.fusion]
    named["fusion"] = [FUSION_WEIGHT if weight is None else weight for weight in weights]
    return Fingerprint(named, inputs, texts, paths)


def is_text_name(name: str) -> bool:
    """Return whether an input with this role is the text to decode."""
    return name == "text" or name.startswith("text ")


def differences(recorded: Fingerprint, current: Fingerprint) -> tuple[list[str], list[str]]:
    """Describe the differences between two calls: those of options, and those of inputs.

    The last text file, and files with a line per input line, may have grown by whole lines. Text that is a stream in
    either call is not compared here: `RecordedOutput.read` compares its lines as they are read.
    """
    names = dict.fromkeys([*recorded.options, *current.options])
    options = [
        f"--{name} was {_shown(recorded.options.get(name))}, now {_shown(current.options.get(name))}"
        for name in names
        if recorded.options.get(name) != current.options.get(name)
    ]
    last = max((name for name in current.inputs if is_text_name(name)), key=_text_index, default="")
    streams = any(
        digest == STREAM and is_text_name(name) for each in (recorded, current) for name, digest in each.inputs.items()
    )
    inputs = []
    for name in dict.fromkeys([*recorded.inputs, *current.inputs]):
        old, new = recorded.inputs.get(name), current.inputs.get(name)
        if old == new or (streams and is_text_name(name)):
            continue
        may_grow = name in recorded.texts and name in current.texts and (name == last or not is_text_name(name))
        if may_grow and old is not None and _has_grown(Path(current.paths[name]), recorded.texts[name], old):
            continue
        where = current.paths.get(name, recorded.paths.get(name))
        inputs.append(f"{name} ({where}): {_digest(old)} then, {_digest(new)} now")
    return options, inputs


def _text_index(name: str) -> int:
    return int(name.removeprefix("text") or 1)


def _files(options: DecodeOptions) -> Iterator[tuple[str, Path, bool]]:
    """Yield the role and path of each file that determines the output, and whether it has a line per input line."""
    for number, path in enumerate(options.files, start=1):
        yield _numbered("text", number), path, True
    constraint_files = {
        "prefix-file": options.prefix_file,
        "constraints": options.constraints,
        "constraint-tokens": options.constraint_tokens,
    }
    for option, beside in constraint_files.items():
        if beside is not None:
            yield f"--{option}", beside, True
    if options.lexicon is not None:
        yield "--lexicon", options.lexicon, False
    for number, folder in enumerate(options.folders, start=1):
        yield from _of_model(_numbered("model", number), folder, options.checkpoint)
    for number, text in enumerate(options.fusion, start=1):
        yield from _of_model(_numbered("fusion", number), shared.parse_weighted_model(text, "--fusion")[0], "best")
    if options.shortlist is not None:
        manifest.load(manifest.manifest_path(options.shortlist))
        for path in sorted(options.shortlist.iterdir()):
            if path.is_file() and path.name != manifest.NAME and not path.name.startswith("."):
                yield f"shortlist: {path.name}", path, False


def _of_model(part: str, folder: Path, checkpoint: str) -> Iterator[tuple[str, Path, bool]]:
    """Yield the files of a model that its output depends on."""
    from rnnkit.models import store
    from rnnkit.models.labelling import static_vectors
    from rnnkit.models.labelling.embedded_language_models import embedded_folders
    from rnnkit.ngrams import store as ngram_store

    document = store.read_config(folder)
    is_ngram = document["network"].get("arch") == "ngram"
    path = folder / ngram_store.NAME if is_ngram else store.weights_path(folder, checkpoint)
    yield f"{part}: {path.name}", path, False
    yield f"{part}: {store.CONFIG_FILE}", folder / store.CONFIG_FILE, False
    for name in document["vocabularies"]:
        yield f"{part}: {name}", folder / name, False
    parts = [folder / name for name in ("tokenizer", static_vectors.FOLDER)]
    parts += embedded_folders(folder, document["network"].get("language_models", []))
    for file in sorted(file for each in parts for file in each.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            yield f"{part}: {file.relative_to(folder).as_posix()}", file, False


def _numbered(part: str, number: int) -> str:
    return part if number == 1 else f"{part} {number}"


def _has_grown(path: Path, size: int, digest: str) -> bool:
    """Return whether a file begins with the recorded contents, and these end with a whole line."""
    with path.open("rb") as file:
        running, last = hashlib.sha256(), b"\n"
        while size and (piece := file.read(min(size, _CHUNK_BYTES))):
            running.update(piece)
            size -= len(piece)
            last = piece[-1:]
    return size == 0 and last == b"\n" and running.hexdigest() == digest


def _digest(value: str | None) -> str:
    if value is None:
        return "not given"
    return "a stream" if value == STREAM else f"sha256 {value[:12]}…"


def _shown(value: object) -> str:
    return "not given" if value in (None, []) else " ".join(map(str, value)) if isinstance(value, list) else str(value)


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
    options = with_current_names(record.options, DecodeOptions)
    return Fingerprint(options, record.inputs, dict(facts["texts"]), dict(facts["paths"]))


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
