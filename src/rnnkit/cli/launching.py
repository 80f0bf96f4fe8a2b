"""`--processes N`: the same command in N processes that train together, started and watched from here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rnnkit.cli.console import Console
from rnnkit.errors import TrainingError
from rnnkit.events import WarningEvent
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.options import record
from rnnkit.system import interpreter
from rnnkit.training.process_group import rank_from_environment


def wanted(options: Any) -> int:
    """The processes to start from here: none where they are started already, or nothing is trained."""
    if options.dry_run or rank_from_environment().world_size > 1:
        return 0
    processes = options.processes
    if options.resume and processes == 1:
        processes = _processes_of(_folder(options))
    return processes if processes > 1 else 0


def start(command: str, options: Any, processes: int, console: Console) -> int:
    """Run the command in several processes; restart it up to `--restarts` times after one was killed.

    Args:
        command: Its name.
        options: Its options.
        processes: How many.
        console: Theirs is to be like this one.

    Returns:
        The exit code; the processes themselves have said what there is to say.

    Raises:
        TrainingError: A process was killed.
    """
    from rnnkit.training.distributed import launch

    console.close()  # the terminal belongs to rank 0
    folder = _folder(options)
    before = _manifest(folder)
    for left in reversed(range(options.restarts + 1)):
        typed = [command, *record.to_argv(options), *console.words()]
        ending = launch(interpreter.interpreter_command("-m", "rnnkit", *typed), processes)
        if ending.killed is None:
            return ending.code
        rank, name = ending.killed
        what = f"process {rank} was killed ({name})"
        if left:
            console.listen(WarningEvent(f"{what}; resuming from the last checkpoint"))
            if _manifest(folder) != before:  # else it was killed before anything of this run was written
                options = dataclasses.replace(options, resume=True, overwrite=False)
    raise TrainingError(what, hint="--resume continues from the last checkpoint, --restarts N does so automatically")


def _folder(options: Any) -> Path:
    return options.output or Workspace(options.work).model


def _processes_of(folder: Path) -> int:
    """Processes of the run in a model directory; 1 where there is none."""
    if _manifest(folder) is None:
        return 1
    return int(manifest.load(folder / manifest.NAME).options.get("processes", 1))


def _manifest(folder: Path) -> bytes | None:
    path = folder / manifest.NAME
    return path.read_bytes() if path.is_file() else None
