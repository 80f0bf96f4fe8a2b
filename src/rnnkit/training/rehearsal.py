"""The batches that are hardest to hold, tried before anything is learned: what does not fit is found out at once.

Each is taken as far as its gradient, which is forgotten. Random numbers come afterwards as if nothing had been drawn: a
run with a rehearsal ends with the same weights, bit for bit, as one without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from rnnkit.errors import TrainingError
from rnnkit.nn.device import is_out_of_memory
from rnnkit.system.machine import shortage
from rnnkit.training.network_task import NetworkTask

B = TypeVar("B")

_NUMBER = torch.float32.itemsize


def memory_warning(network: nn.Module) -> str | None:
    """A warning where a network on the CPU cannot be trained within the memory that this process may hold.

    Only what every step holds is counted: weights, and of those that are trained the gradient and the two moments of
    the optimizer. Batches come on top of it, and where they do not fit, a rehearsal finds out. But a container ends
    a process without an error once its memory is used up.
    """
    parameters = list(network.parameters())
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return None
    copies = (4 if parameter.requires_grad else 1 for parameter in parameters)
    return shortage(sum(_NUMBER * count * each.numel() for each, count in zip(parameters, copies, strict=True)))


def rehearse(task: NetworkTask[B], steps: Sequence[Sequence[B]], device: torch.device) -> None:
    """Try the batches of these steps.

    Args:
        task: What will learn; nothing has been learned or loaded yet.
        steps: The batches of each.
        device: Where the network is.

    Raises:
        TrainingError: One does not fit into memory.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for batches in steps:
            try:
                task.rehearse(batches)
            except (MemoryError, RuntimeError) as failure:
                if not is_out_of_memory(failure):
                    raise
                raise TrainingError(
                    "a batch does not fit into memory",
                    "the largest were tried before the first step; what was saved before is untouched",
                    hint="smaller batches (--batch-tokens, or --columns and --steps) need less, --accumulate keeps the "
                    "steps as large; --recompute keeps less of each batch",
                ) from failure
