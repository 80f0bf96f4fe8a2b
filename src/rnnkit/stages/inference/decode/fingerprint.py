"""What decides about the text that `decode` writes: the models, the files that are read, and the options.

Everything is known by its SHA-256, not by its name: a model or a text that was moved is the same, and one that was
made anew under the same name is another.
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
from rnnkit.stages import shared_options as usual
from rnnkit.stages.inference.decode.options import FUSION_WEIGHT, DecodeOptions

FREE = {"output", "overwrite", "resume", "batch-tokens", "device", "threads", "alignments", "attention"}
"""Options that no output depends on."""

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
"""Options that name files: what these hold is compared, not where they are."""

STREAM = "stream"
"""Stands for the checksum of what can be read only once: a pipe, standard input."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """What decides about the text.

    Attributes:
        options: Values of the options.
        inputs: sha256 of each file, by the part it plays, such as `model: vocab.tsv`.
        texts: Size in bytes of each file that has a line for each line of output, by the same names.
        paths: Where each input is, for messages.
    """

    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    texts: Mapping[str, int]
    paths: Mapping[str, str]


def compute_fingerprint(options: DecodeOptions) -> Fingerprint:
    """Read what decides about the text of a call of `decode`.

    Raises:
        DataError: A file or model is missing or cannot be read.
        FormatError: A model is damaged.
    """
    inputs: dict[str, str] = {}
    texts: dict[str, int] = {}
    paths: dict[str, str] = {}
    for name, path, is_text in _files(options):
        if path != STDIN and not path.exists():
            raise DataError(f"there is no file {path}")
        stream = path == STDIN or not path.is_file()
        inputs[name] = STREAM if stream else manifest.sha256(path)
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        paths[name] = "standard input" if path == STDIN else shown
        if is_text and not stream:
            texts[name] = path.stat().st_size
    named = {name: value for name, value in as_dict(options).items() if name not in FREE | BY_CONTENT}
    weights = [usual.parse_weighted_model(text, "--fusion")[1] for text in options.fusion]
    named["fusion"] = [FUSION_WEIGHT if weight is None else weight for weight in weights]
    return Fingerprint(named, inputs, texts, paths)


def is_text_name(name: str) -> bool:
    """Whether an input of this name is the text that is decoded."""
    return name == "text" or name.startswith("text ")


def differences(found: Fingerprint, now: Fingerprint) -> tuple[list[str], list[str]]:
    """What differs between two calls, in words: of options, and of inputs.

    The last file of text and what has a line for each of its lines may have grown by whole lines since. Text that comes
    as a stream, then or now, is not compared here: `decode_resume.Keeper` compares its lines as they are read.
    """
    names = dict.fromkeys([*found.options, *now.options])
    options = [
        f"--{name} was {_shown(found.options.get(name))}, now {_shown(now.options.get(name))}"
        for name in names
        if found.options.get(name) != now.options.get(name)
    ]
    last = max((name for name in now.inputs if is_text_name(name)), key=_number, default="")
    streams = any(
        digest == STREAM and is_text_name(name) for each in (found, now) for name, digest in each.inputs.items()
    )
    inputs = []
    for name in dict.fromkeys([*found.inputs, *now.inputs]):
        old, new = found.inputs.get(name), now.inputs.get(name)
        if old == new or (streams and is_text_name(name)):
            continue
        grows = name in found.texts and name in now.texts and (name == last or not is_text_name(name))
        if grows and old is not None and _has_grown(Path(now.paths[name]), found.texts[name], old):
            continue
        where = now.paths.get(name, found.paths.get(name))
        inputs.append(f"{name} ({where}): {_digest(old)} then, {_digest(new)} now")
    return options, inputs


def _number(name: str) -> int:
    return int(name.removeprefix("text") or 1)


def _files(options: DecodeOptions) -> Iterator[tuple[str, Path, bool]]:
    """Every file that decides about the text: the part it plays, where it is, and whether its lines are counted."""
    for number, path in enumerate(options.files, start=1):
        yield _numbered("text", number), path, True
    demands = {
        "prefix-file": options.prefix_file,
        "constraints": options.constraints,
        "constraint-tokens": options.constraint_tokens,
    }
    for option, beside in demands.items():
        if beside is not None:
            yield f"--{option}", beside, True
    if options.lexicon is not None:
        yield "--lexicon", options.lexicon, False
    for number, folder in enumerate(options.folders, start=1):
        yield from _of_model(_numbered("model", number), folder, options.checkpoint)
    for number, text in enumerate(options.fusion, start=1):
        yield from _of_model(_numbered("fusion", number), usual.parse_weighted_model(text, "--fusion")[0], "best")
    if options.shortlist is not None:
        manifest.load(manifest.manifest_path(options.shortlist))
        for path in sorted(options.shortlist.iterdir()):
            if path.is_file() and path.name != manifest.NAME and not path.name.startswith("."):
                yield f"shortlist: {path.name}", path, False


def _of_model(part: str, folder: Path, checkpoint: str) -> Iterator[tuple[str, Path, bool]]:
    """The files of a model that its output depends on."""
    from rnnkit.models import store
    from rnnkit.ngrams import store as ngram_store

    document = store.read_config(folder)
    counted = document["network"].get("arch") == "ngram"
    path = folder / ngram_store.NAME if counted else store.weights_path(folder, checkpoint)
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
    """Whether a file begins with the whole lines that it once was."""
    with path.open("rb") as file:
        running, last = hashlib.sha256(), b"\n"
        while size and (piece := file.read(min(size, _PIECE))):
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
