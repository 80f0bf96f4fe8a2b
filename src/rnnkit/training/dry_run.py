"""What a run will cost, found by doing some of it: what is hardest to hold, a sample of steps, one validation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from rnnkit.errors import TrainingError
from rnnkit.nn.device import is_out_of_memory
from rnnkit.system.machine import memory_shortage, peak_memory, resource_limits
from rnnkit.training import signals
from rnnkit.training.task import EpochBatchIterator, Task, Validate
from rnnkit.training.trainer import TrainingPlan
from rnnkit.training.training_step import NetworkTask

DRY_RUN_LEARNING_RATE = 1e-4
"""Learning rate of the steps that are taken."""

MIN_TIMED_STEPS, MAX_TIMED_STEPS = 6, 40
"""Steps that are timed: as many as `LONGEST` has room for."""

MAX_TIMING_SECONDS = 15.0
"""Seconds after which no more steps are timed, if there were enough."""


@dataclass(frozen=True)
class CostEstimate:
    """The cost of a run.

    Attributes:
        parameters: Numbers in the network.
        frozen: Those among them that are not trained.
        batches_per_epoch: Batches in a pass over the data.
        epochs: Passes.
        steps: Steps in all.
        memory_bytes: Most memory the process has held.
        checkpoint_bytes: Disk that `last/` and `best` take.
        training_seconds: Time of the training steps.
        validation_seconds: Time of the validations.
        seconds: Both.
        cores: Processor time that this process may take, in cores.
        threads: Threads that this many cores keep busy.
        memory_limit_bytes: Memory that this process may hold.
    """

    parameters: int
    frozen: int
    batches_per_epoch: int
    epochs: float
    steps: int
    memory_bytes: int
    checkpoint_bytes: int
    training_seconds: float
    validation_seconds: float
    seconds: float
    cores: float
    threads: int
    memory_limit_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The estimate as JSON."""
        return asdict(self)


def estimate_cost(
    task: Task[Any],
    batches: EpochBatchIterator[Any],
    validate: Validate,
    plan: TrainingPlan,
    parameters: int,
    frozen: int,
) -> CostEstimate:
    """Take some steps and validate once; reckon the rest. The task is spent afterwards.

    The batches that are hardest to hold come first: where one does not fit, that is found out here.

    Args:
        task: What learns.
        batches: What it learns from.
        validate: Measures it.
        plan: How long and how often.
        parameters: Numbers in the network.
        frozen: Those among them that are not trained.
    """
    for batch in batches.largest_batches():
        task.step(batch, DRY_RUN_LEARNING_RATE)
    training = _mean_step_seconds(task, batches) * plan.steps
    validation = _validation_seconds(validate) * math.ceil(plan.steps / plan.validate_every)
    allowed = resource_limits()
    return CostEstimate(
        parameters=parameters,
        frozen=frozen,
        batches_per_epoch=batches.per_epoch,
        epochs=plan.steps / batches.per_epoch,
        steps=plan.steps,
        memory_bytes=peak_memory(),
        # The weights twice, in `last/` and as `best`, and two moments of each that is trained.
        checkpoint_bytes=4 * (4 * parameters - 2 * frozen),
        training_seconds=training,
        validation_seconds=validation,
        seconds=training + validation,
        cores=allowed.cores,
        threads=allowed.threads,
        memory_limit_bytes=allowed.memory,
    )


def _mean_step_seconds(task: Task[Any], batches: EpochBatchIterator[Any]) -> float:
    """Mean time of a step. A pass has its batches in random order, so that the first are a sample of all."""
    began = time.perf_counter()
    for count in range(1, MAX_TIMED_STEPS + 1):
        task.step(next(batches), DRY_RUN_LEARNING_RATE)
        seconds = time.perf_counter() - began
        if count >= MIN_TIMED_STEPS and seconds > MAX_TIMING_SECONDS:
            break
    return seconds / count


def _validation_seconds(validate: Validate) -> float:
    """Time of a validation: a network that has learned nothing goes on for too long, one that has learned does not."""
    began = time.perf_counter()
    with signals.catch_stop_signals() as stop:
        found = validate(stop)
    seconds = time.perf_counter() - began
    return seconds / max(1.0, found.length_ratio) if found else seconds


B = TypeVar("B")

_FLOAT32_BYTES = torch.float32.itemsize


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
    return memory_shortage(
        sum(_FLOAT32_BYTES * count * each.numel() for each, count in zip(parameters, copies, strict=True))
    )


def check_memory(task: NetworkTask[B], steps: Sequence[Sequence[B]], device: torch.device) -> None:
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
                task.dry_run(batches)
            except (MemoryError, RuntimeError) as failure:
                if not is_out_of_memory(failure):
                    raise
                raise TrainingError(
                    "a batch does not fit into memory",
                    "the largest were tried before the first step; what was saved before is untouched",
                    hint="smaller batches (--batch-tokens, or --columns and --steps) need less, --accumulate keeps the "
                    "steps as large; --recompute keeps less of each batch",
                ) from failure
