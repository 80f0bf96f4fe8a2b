"""Memory and time of a run, measured before it: the largest batches, a sample of steps, one validation.

`check_memory` runs before every training: the largest batches are taken as far as their gradient, which is discarded.
It restores the random states, so training ends with the same weights, bit for bit, as without it. `estimate_cost`
implements `--dry-run`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import nn

from rnnkit.errors import TrainingError
from rnnkit.json_types import JsonObject
from rnnkit.nn.device import is_out_of_memory
from rnnkit.system.machine import memory_shortage, peak_memory, resource_limits
from rnnkit.training import signals
from rnnkit.training.task import EpochBatchIterator, Task, Validate
from rnnkit.training.trainer import TrainingPlan
from rnnkit.training.training_step import NetworkTask

B = TypeVar("B")

DRY_RUN_LEARNING_RATE = 1e-4
"""Learning rate of the timed steps."""

MIN_TIMED_STEPS, MAX_TIMED_STEPS = 6, 40
MAX_TIMING_SECONDS = 15.0
"""Steps are timed until this time is over, but at least `MIN_TIMED_STEPS` and at most `MAX_TIMED_STEPS`."""

_FLOAT32_BYTES = torch.float32.itemsize


def memory_warning(network: nn.Module) -> str | None:
    """Return a warning if a network on the CPU cannot be trained within this process's memory limit.

    The estimate covers what every step needs: weights and, of trained ones, the gradient and the two moments of the
    optimizer. Batches need more; `check_memory` finds those that do not fit. The warning matters because a container
    kills a process that exceeds its limit without an error.
    """
    parameters = list(network.parameters())
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return None
    copies = (4 if parameter.requires_grad else 1 for parameter in parameters)
    return memory_shortage(
        sum(_FLOAT32_BYTES * count * each.numel() for each, count in zip(parameters, copies, strict=True))
    )


def check_memory(task: NetworkTask[B], steps: Sequence[Sequence[B]], device: torch.device) -> None:
    """Compute and discard the gradients of some steps, to find out whether their batches fit into memory.

    Args:
        task: The task, before training or loading a checkpoint.
        steps: The batches of each step.
        device: Device of the network.

    Raises:
        TrainingError: A batch does not fit into memory.
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
                    "the largest batches are tried before the first step; saved checkpoints are unchanged",
                    hint="use smaller batches (--batch-tokens, or --batch-size and --steps), with --accumulate for "
                    "steps of the same size, or activation checkpointing (--recompute)",
                ) from failure


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of a run.

    Attributes:
        parameters: Number of parameters.
        frozen: Number of parameters that are not trained.
        batches_per_epoch: Batches per epoch.
        epochs: Number of epochs.
        steps: Number of steps.
        memory_bytes: Peak memory of the process.
        checkpoint_bytes: Disk space of `last/` and `best`.
        training_seconds: Time of the training steps.
        validation_seconds: Time of the validations.
        preparation_seconds: Time of computations before the first step.
        seconds: Sum of these times.
        cores: CPU time available to this process, in cores.
        threads: Number of threads for these cores.
        memory_limit_bytes: Memory limit of this process.
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
    preparation_seconds: float
    seconds: float
    cores: float
    threads: int
    memory_limit_bytes: int

    def as_dict(self) -> JsonObject:
        """Return the estimate as JSON."""
        return asdict(self)


def estimate_cost(
    task: Task[B],
    batches: EpochBatchIterator[B],
    validate: Validate,
    plan: TrainingPlan,
    parameters: int,
    frozen: int,
    preparation_seconds: float = 0.0,
) -> CostEstimate:
    """Estimate the cost of a run from a sample of steps and one validation; the task cannot be used afterwards.

    The largest batches come first, so that one that does not fit into memory is found.

    Args:
        task: The task.
        batches: Its training batches.
        validate: Validates it.
        plan: Length of the run, and intervals.
        parameters: Number of parameters.
        frozen: Number of parameters that are not trained.
        preparation_seconds: Time of computations before the first step.
    """
    for batch in batches.largest_batches():
        task.step(batch, DRY_RUN_LEARNING_RATE)
    training = _mean_step_seconds(task, batches) * plan.steps
    validation = _validation_seconds(validate) * math.ceil(plan.steps / plan.validate_every)
    limits = resource_limits()
    return CostEstimate(
        parameters=parameters,
        frozen=frozen,
        batches_per_epoch=batches.per_epoch,
        epochs=plan.steps / batches.per_epoch,
        steps=plan.steps,
        memory_bytes=peak_memory(),
        # The weights twice, in `last/` and as `best`, and two moments of each trained one.
        checkpoint_bytes=4 * (4 * parameters - 2 * frozen),
        training_seconds=training,
        validation_seconds=validation,
        preparation_seconds=preparation_seconds,
        seconds=preparation_seconds + training + validation,
        cores=limits.cores,
        threads=limits.threads,
        memory_limit_bytes=limits.memory,
    )


def _mean_step_seconds(task: Task[B], batches: EpochBatchIterator[B]) -> float:
    """Measure the mean time of a step. Batches come in random order, so the first are a sample of all."""
    began = time.perf_counter()
    for count in range(1, MAX_TIMED_STEPS + 1):
        task.step(next(batches), DRY_RUN_LEARNING_RATE)
        seconds = time.perf_counter() - began
        if count >= MIN_TIMED_STEPS and seconds > MAX_TIMING_SECONDS:
            break
    return seconds / count


def _validation_seconds(validate: Validate) -> float:
    """Measure the time of a validation, corrected for the overlong outputs of an untrained network."""
    began = time.perf_counter()
    with signals.catch_stop_signals() as stop:
        result = validate(stop)
    seconds = time.perf_counter() - began
    return seconds / max(1.0, result.length_ratio) if result else seconds
