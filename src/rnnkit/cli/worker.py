"""This process among those that train together: the first speaks for all, and of an error only one does."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from rnnkit.errors import UsageError
from rnnkit.training.distributed import rank_from_environment

FIRST_WORD = 0.5
"""Seconds that the others leave to the first process when all of them fail alike."""

_ERRORS = "TORCHELASTIC_ERROR_FILE"
"""Where torch's launcher has a folder for each process, inside one for this start of them all."""


def silent() -> bool:
    """Whether another process says how it goes."""
    return rank_from_environment().rank > 0


def mark(text: str) -> str:
    """What a process says of its own failure, with its number where it is not the first."""
    rank = rank_from_environment().rank
    return f"process {rank}: {text}" if rank else text


def may_explain() -> bool:
    """Whether nobody has explained yet why the run ends: what one process meets, the others meet or notice."""
    where = rank_from_environment()
    if where.world_size == 1 or _ERRORS not in os.environ:
        return True
    if where.rank:
        time.sleep(FIRST_WORD)
    try:
        (Path(os.environ[_ERRORS]).parent.parent / "explained").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def refuse_several(command: str, options: Any) -> None:
    """Refuse to be one of several processes of a command that is none of those that share their work.

    Raises:
        UsageError: As it says.
    """
    size = rank_from_environment().world_size
    if size > 1 and not hasattr(options, "processes"):
        raise UsageError(
            f"`rnnkit {command}` runs in one process, and {size} were started",
            "only the training of networks is shared among processes",
            hint="start it without torchrun",
        )
