"""Distributed training: `--processes N` starts the same command in N processes, of which rank 0 prints.

`run_processes` starts and monitors them. In the processes themselves, results and progress come from rank 0 alone, and
an error that several ranks have from one of them.
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.cli.console import Console
from rnnkit.errors import TrainingError, UsageError
from rnnkit.events import WarningEvent
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.options import record
from rnnkit.system import interpreter
from rnnkit.training.process_group import rank_from_environment

if TYPE_CHECKING:
    from rnnkit.stages.training.training_options import TrainingOptions

REPORT_DELAY = 0.5
"""Seconds that other ranks wait for rank 0 to print an error that all of them have."""

_ERRORS = "TORCHELASTIC_ERROR_FILE"
"""Variable of torch's launcher: a file in a folder per rank, inside one for this launch."""


def processes_to_start(options: TrainingOptions) -> int:
    """The number of processes to start; 0 if this is one of them already, or nothing is trained."""
    is_cross_validation = bool(getattr(options, "folds", False))
    if options.dry_run or is_cross_validation or rank_from_environment().world_size > 1:
        return 0  # cross-validation refuses several processes, and its directory is not that of a model
    processes = options.processes
    if options.resume and processes == 1:
        processes = _processes_of(_folder(options))
    return processes if processes > 1 else 0


def run_processes(command: str, options: TrainingOptions, processes: int, console: Console) -> int:
    """Run the command in several processes; restart it up to `--restarts` times after one was killed.

    Args:
        command: Its name.
        options: Its options.
        processes: How many.
        console: The processes get one with the same settings.

    Returns:
        The exit code; the processes themselves have printed results and errors.

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


def _folder(options: TrainingOptions) -> Path:
    return options.output or Workspace(options.work).model


def _processes_of(folder: Path) -> int:
    """Processes of the run in a model directory; 1 where there is none."""
    if _manifest(folder) is None:
        return 1
    return int(manifest.load(folder / manifest.NAME).options.get("processes", 1))


def _manifest(folder: Path) -> bytes | None:
    path = folder / manifest.NAME
    return path.read_bytes() if path.is_file() else None


def silent() -> bool:
    """Whether another rank prints."""
    return rank_from_environment().rank > 0


def mark(text: str) -> str:
    """A message with the rank of this process, except rank 0."""
    rank = rank_from_environment().rank
    return f"process {rank}: {text}" if rank else text


def is_reporting_rank() -> bool:
    """Whether no rank has printed the error yet: an error of one rank ends the others too."""
    where = rank_from_environment()
    if where.world_size == 1 or _ERRORS not in os.environ:
        return True
    if where.rank:
        time.sleep(REPORT_DELAY)
    try:
        (Path(os.environ[_ERRORS]).parent.parent / "explained").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def require_single_process(command: str, options: object) -> None:
    """Refuse to run under torchrun unless the command supports distributed training.

    Raises:
        UsageError: The command runs in a single process.
    """
    size = rank_from_environment().world_size
    if size > 1 and not hasattr(options, "processes"):
        raise UsageError(
            f"`rnnkit {command}` runs in one process, and {size} were started",
            "only the training of networks is shared among processes",
            hint="start it without torchrun",
        )
