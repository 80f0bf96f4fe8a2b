"""Outputs of a command: refused before any work is done where they would destroy something."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rnnkit.config import STDIN, flag
from rnnkit.errors import ArtefactError
from rnnkit.io import artifact_output, atomic, manifest

PANEL = "Output"
"""Panel of the options that name outputs; every other path is an input, but for `OUTPUTS`."""

OUTPUTS = ("output", "alignments", "attention")
"""Names of outputs in other panels."""

_PLACES = ("work", "config")
"""Paths that are neither: what a command reads and writes by default is inside the first."""


def claim_file(
    options: Any, path: Path, kind: str | None = None, others: Iterable[Path] = (), beside: Iterable[Path] = ()
) -> None:
    """Refuse a file as an output where that would destroy something.

    Args:
        options: The options of the command; `overwrite` says whether a file may be replaced.
        path: The output. What is not a regular file, such as a device or a pipe, is written into.
        kind: Kind of the artefact whose manifest stands beside the file; None for text, pictures and the like.
        others: Inputs that the options do not name.
        beside: Other outputs of the command.

    Raises:
        ArtefactError: It exists and may not be replaced, it is an input, or it is a folder.
    """
    if path == STDIN or atomic.is_stream(path):
        return
    atomic.resolve_output(path)
    if kind is not None:
        _refuse_unrecordable(path)
    refuse_inputs(path, [*input_paths(options), *others])
    if os.path.realpath(path) in map(os.path.realpath, beside):
        raise ArtefactError(f"{path} is another output of this command", hint="give each output a name of its own")
    if path.exists() and not options.overwrite:
        raise _exists(path, options)
    artifact_output.check_replaceable_file(path, kind)


def claim_folder(options: Any, path: Path, *kinds: str, others: Iterable[Path] = ()) -> None:
    """Refuse a folder as an output where that would destroy something. Arguments as those of `claim_file`.

    Raises:
        ArtefactError: It holds something and may not be replaced, an input is in it, or it is a file.
    """
    folder = artifact_output.resolve_directory(path)
    refuse_inputs(folder, [*input_paths(options), *others])
    if artifact_output.is_occupied(folder):
        if not options.overwrite:
            raise _exists(path, options)
        artifact_output.check_replaceable_directory(folder, kinds)


def refuse_inputs(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write where something is read: a file that is an input, or a folder that holds one.

    Raises:
        ArtefactError: It is; the message names the input.
    """
    if not output.exists():
        return
    real = Path(os.path.realpath(output))
    for path in inputs:
        if path != STDIN and Path(os.path.realpath(path)).is_relative_to(real):
            raise ArtefactError(f"{output} is an input; it is not replaced", hint="choose another --output")
    if real.is_file() and _is_stdin(real):
        raise ArtefactError(f"{output} is standard input; it is not replaced", hint="choose another --output")


def input_paths(options: Any) -> Iterator[Path]:
    """Every path among the options that is read."""
    for field in dataclasses.fields(options):
        if not _is_output(field) and field.name not in _PLACES:
            yield from _paths(getattr(options, field.name))


def output_paths(options: Any) -> Iterator[Path]:
    """Every path among the options that is written."""
    for field in dataclasses.fields(options):
        if _is_output(field):
            yield from _paths(getattr(options, field.name))


def _is_output(field: dataclasses.Field[Any]) -> bool:
    return field.metadata["panel"] == PANEL or field.name in OUTPUTS


def _paths(value: Any) -> Iterator[Path]:
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Path))


def _refuse_unrecordable(path: Path) -> None:
    """Refuse a name that a manifest cannot hold: its reader takes such a name for damage."""
    if not manifest.is_safe_name(path.name):
        raise ArtefactError(
            f"{path.name!r} cannot be the name of an artefact",
            "it holds a control character, or bytes that are not UTF-8",
            hint="choose another name",
        )


def _exists(path: Path, options: Any) -> ArtefactError:
    names = [flag(field.name) for field in dataclasses.fields(options)]
    others = [f"--{name}" for name in ("output", "work") if name in names]
    elsewhere = f"; {' or '.join(others)} names another path" if others else ""
    return ArtefactError(f"{path} already exists", hint=f"--overwrite replaces it{elsewhere}")


def _is_stdin(path: Path) -> bool:
    """Whether standard input is read from this very file."""
    try:
        return os.path.samestat(os.fstat(sys.stdin.fileno()), path.stat())
    except (OSError, ValueError, AttributeError):  # there is none, or a test's stand-in
        return False
