"""Lines in, lines out: how a stage that yields its output is written to where it belongs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rnnkit.config import STDIN
from rnnkit.console import Console
from rnnkit.errors import ArtefactError
from rnnkit.files.atomic import atomic_file


def announce(files: Sequence[Path], console: Console) -> None:
    """Say what is waited for, where a person would have to type it."""
    if STDIN in files and sys.stdin.isatty():
        console.note("reading lines from the terminal; Ctrl-D ends")


def refuse_existing(output: Path, overwrite: bool) -> None:
    """Keep a file that is there, before any work is done for it.

    Raises:
        ArtefactError: There is such a file and nobody said that it may go.
    """
    if output != STDIN and not overwrite and output.is_file():
        raise ArtefactError(f"{output} is there already", hint="--overwrite replaces it")


def pour(lines: Iterable[str], output: Path, console: Console) -> None:
    """Write lines as they come: to standard output, or to a file that is there only when it is whole."""
    if output == STDIN:
        for line in lines:
            console.write(line)
        return
    with atomic_file(output) as file:
        for line in lines:
            file.write(f"{line}\n")
