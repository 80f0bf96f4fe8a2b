"""Output of distributed training: rank 0 prints for all, and one rank prints an error."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rnnkit.errors import UsageError
from rnnkit.training.process_group import rank_from_environment

REPORT_DELAY = 0.5
"""Seconds that other ranks wait for rank 0 to print an error that all of them have."""

_ERRORS = "TORCHELASTIC_ERROR_FILE"
"""Variable of torch's launcher: a file in a folder per rank, inside one for this launch."""


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


def require_single_process(command: str, options: Any) -> None:
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
