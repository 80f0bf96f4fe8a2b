"""What `decode` keeps beside an output that grows, so that `--resume` goes on with the same model and options."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnnkit.config import STDIN, as_dict
from rnnkit.errors import ArtefactError
from rnnkit.files import growing
from rnnkit.files.atomic import atomic_file
from rnnkit.files.document import read_document
from rnnkit.stages.decode_options import Options

FREE = {"output", "overwrite", "resume", "batch-tokens", "device", "threads", "alignments", "attention"}
"""Options that no output depends on; links are counted by themselves."""


def record_place(output: Path) -> Path:
    """Where the options of an output that grows are kept."""
    return output.with_name(f"{output.name}.options.json")


@contextmanager
def recorded(options: Options) -> Iterator[None]:
    """Keep the options beside the output until it is whole, or until nothing of it is left.

    Raises:
        ArtefactError: What is to be gone on with was made with other options; the message names them.
    """
    if options.output == STDIN:
        yield
        return
    place, wanted = record_place(options.output), _deciding(options)
    if options.resume:
        _check(place, wanted, growing.partial(options.output))
    with atomic_file(place) as file:
        file.write(json.dumps(wanted, indent=2) + "\n")
    try:
        yield
    finally:
        if not growing.partial(options.output).is_file():
            place.unlink(missing_ok=True)


def _deciding(options: Options) -> dict[str, Any]:
    named = {**as_dict(options), "model": [str(folder) for folder in options.folders]}
    return {name: value for name, value in named.items() if name not in FREE}


def _check(place: Path, wanted: dict[str, Any], partial: Path) -> None:
    if not (place.is_file() and partial.is_file()):
        return
    try:
        found = read_document(place)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    except ValueError:
        return  # of a run that was killed while it wrote its options, before any line
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    if changed:
        shown = [f"--{name} was {_shown(found.get(name))}, now {_shown(wanted[name])}" for name in changed]
        raise ArtefactError(
            f"{partial} was made with other options", *shown,
            hint="give the same ones to go on with it, or --overwrite to begin anew",
        )  # fmt: skip


def _shown(value: Any) -> str:
    return "not given" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
