"""What a run will cost, found by doing some of it: what is hardest to hold, a sample of steps, one validation."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from rnnkit.system.machine import peak_memory, resource_limits
from rnnkit.training import signals
from rnnkit.training.loop import Plan
from rnnkit.training.task import CountedSource, Task, Validate

RATE = 1e-4
"""Learning rate of the steps that are taken."""

FEWEST, MOST = 6, 40
"""Steps that are timed: as many as `LONGEST` has room for."""

LONGEST = 15.0
"""Seconds after which no more steps are timed, if there were enough."""


@dataclass(frozen=True)
class Estimate:
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


def estimate(
    task: Task[Any], batches: CountedSource[Any], validate: Validate, plan: Plan, parameters: int, frozen: int
) -> Estimate:
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
        task.step(batch, RATE)
    training = _step_seconds(task, batches) * plan.steps
    validation = _validation_seconds(validate) * math.ceil(plan.steps / plan.validate_every)
    allowed = resource_limits()
    return Estimate(
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


def _step_seconds(task: Task[Any], batches: CountedSource[Any]) -> float:
    """Mean time of a step. A pass has its batches in random order, so that the first are a sample of all."""
    began = time.perf_counter()
    for count in range(1, MOST + 1):
        task.step(next(batches), RATE)
        seconds = time.perf_counter() - began
        if count >= FEWEST and seconds > LONGEST:
            break
    return seconds / count


def _validation_seconds(validate: Validate) -> float:
    """Time of a validation: a network that has learned nothing goes on for too long, one that has learned does not."""
    began = time.perf_counter()
    with signals.catch() as stop:
        found = validate(stop)
    seconds = time.perf_counter() - began
    return seconds / max(1.0, found.length_ratio) if found else seconds
