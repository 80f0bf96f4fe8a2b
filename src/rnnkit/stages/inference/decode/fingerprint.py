"""Fingerprint of a call of `decode`: the models, input files and options that determine its output.

Files are identified by their SHA-256, not by their names: a model or a text that was moved is the same, and a new one
under the same name is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import STDIN, as_dict
from rnnkit.errors import DataError
from rnnkit.io import manifest
from rnnkit.stages import shared_options as shared
from rnnkit.stages.inference.decode.options import FUSION_WEIGHT, DecodeOptions

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

    options: Mapping[str, Any]
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
    from rnnkit.ngrams import store as ngram_store

    document = store.read_config(folder)
    is_ngram = document["network"].get("arch") == "ngram"
    path = folder / ngram_store.NAME if is_ngram else store.weights_path(folder, checkpoint)
    yield f"{part}: {path.name}", path, False
    yield f"{part}: {store.CONFIG_FILE}", folder / store.CONFIG_FILE, False
    for name in document["vocabularies"]:
        yield f"{part}: {name}", folder / name, False
    for file in sorted((folder / "tokenizer").rglob("*")):
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


def _shown(value: Any) -> str:
    return "not given" if value in (None, []) else " ".join(map(str, value)) if isinstance(value, list) else str(value)
