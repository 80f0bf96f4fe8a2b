"""Checks of a command's outputs before any work is done, so that nothing is overwritten by accident."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from rnnkit.errors import ArtefactError
from rnnkit.io import artifact_output, atomic, manifest
from rnnkit.options.declare import STDIN, Parameter, parameters_of

PANEL = "Output"
"""Panel of the options that name outputs. Paths in other panels are inputs, except for `OUTPUTS`."""

OUTPUTS = ("output", "alignments", "attention")
"""Names of outputs in other panels."""

_NEITHER = ("work", "config")
"""Paths that are neither inputs nor outputs."""


class Options(Protocol):
    """Options of a command: a dataclass whose fields `rnnkit.options.declare.option` declares."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


class OutputOptions(Options, Protocol):
    """Options of a command that writes files."""

    @property
    def overwrite(self) -> bool:
        """Whether existing outputs may be replaced."""


def check_output_file(
    options: OutputOptions,
    path: Path,
    kind: str | None = None,
    others: Iterable[Path] = (),
    beside: Iterable[Path] = (),
) -> None:
    """Check that an output file may be written without destroying anything.

    Args:
        options: The options of the command.
        path: The output. A device or a pipe is always writable.
        kind: Kind of the artifact if it has a manifest beside it; None for text, figures and the like.
        others: Inputs that are not among the options.
        beside: Other outputs of the command.

    Raises:
        ArtefactError: The file exists and may not be replaced, is an input, or is a directory.
    """
    if path == STDIN or atomic.is_stream(path):
        return
    atomic.resolve_output(path)
    if kind is not None:
        _check_name(path)
    check_not_inputs(path, [*input_paths(options), *others])
    if os.path.realpath(path) in map(os.path.realpath, beside):
        raise ArtefactError(f"{path} is also another output of this command", hint="choose another name", path=path)
    if path.exists() and not options.overwrite:
        raise _already_exists(path, options)
    artifact_output.check_replaceable_file(path, kind)


def check_output_folder(options: OutputOptions, path: Path, *kinds: str, others: Iterable[Path] = ()) -> None:
    """Check that an output directory may be written without destroying anything. Arguments as for `check_output_file`.

    Raises:
        ArtefactError: The directory is not empty and may not be replaced, contains an input, or is a file.
    """
    folder = artifact_output.resolve_directory(path)
    check_not_inputs(folder, [*input_paths(options), *others])
    if artifact_output.is_occupied(folder):
        if not options.overwrite:
            raise _already_exists(path, options)
        artifact_output.check_replaceable_directory(folder, kinds)


def check_not_inputs(output: Path, inputs: Iterable[Path]) -> None:
    """Check that an output file is not an input, and that an output directory contains none.

    Raises:
        ArtefactError: It does.
    """
    if not output.exists():
        return
    real = Path(os.path.realpath(output))
    for path in inputs:
        if path != STDIN and Path(os.path.realpath(path)).is_relative_to(real):
            raise ArtefactError(
                f"{output} is an input and is not replaced", hint="choose another --output", path=output
            )
    if real.is_file() and _is_stdin(real):
        raise ArtefactError(
            f"{output} is standard input and is not replaced", hint="choose another --output", path=output
        )


def input_paths(options: Options) -> Iterator[Path]:
    """Yield every path among the options that is read."""
    for each in parameters_of(type(options)):
        if not _is_output(each) and each.name not in _NEITHER:
            yield from _paths(getattr(options, each.name))


def output_paths(options: Options) -> Iterator[Path]:
    """Yield every path among the options that is written."""
    for each in parameters_of(type(options)):
        if _is_output(each):
            yield from _paths(getattr(options, each.name))


def _is_output(parameter: Parameter) -> bool:
    return parameter.declared.panel == PANEL or parameter.name in OUTPUTS


def _paths(value: object) -> Iterator[Path]:
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Path))


def _check_name(path: Path) -> None:
    """Refuse a name that the manifest reader would reject."""
    if not manifest.is_safe_name(path.name):
        raise ArtefactError(
            f"{path.name!r} is not a valid name for an artifact",
            "it contains a control character, or bytes that are not UTF-8",
            hint="choose another name",
            path=path,
        )


def _already_exists(path: Path, options: OutputOptions) -> ArtefactError:
    names = [each.key for each in parameters_of(type(options))]
    others = [f"--{name}" for name in ("output", "work") if name in names]
    elsewhere = f"; {' or '.join(others)} selects another path" if others else ""
    return ArtefactError(f"{path} already exists", hint=f"--overwrite replaces it{elsewhere}", path=path)


def _is_stdin(path: Path) -> bool:
    """Return whether standard input is redirected from this file."""
    try:
        return os.path.samestat(os.fstat(sys.stdin.fileno()), path.stat())
    except (OSError, ValueError, AttributeError):  # no standard input, or an object without a file descriptor
        return False
