"""What a run will cost, found by running a few of its steps."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from rnnkit.machine import peak_memory
from rnnkit.training.loop import CountedSource, Task

WARM_UP_STEPS = 2
TIMED_STEPS = 6


@dataclass(frozen=True)
class Estimate:
    """The cost of a run.

    Attributes:
        parameters: Numbers in the network.
        frozen: Those among them that are not trained.
        batches_per_epoch: Batches in a pass over the data.
        epochs: Passes.
        steps: Steps in all.
        memory_bytes: Most memory the process has held, after some steps.
        checkpoint_bytes: Disk that `last/` and `best` take.
        seconds: Time of the training steps; validation comes on top.
    """

    parameters: int
    frozen: int
    batches_per_epoch: int
    epochs: float
    steps: int
    memory_bytes: int
    checkpoint_bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The estimate as JSON."""
        return asdict(self)


def estimate(task: Task[Any], batches: CountedSource[Any], steps: int, parameters: int, frozen: int) -> Estimate:
    """Take some steps, time them, and reckon the rest. The task is spent afterwards."""
    rate = 1e-4
    for _ in range(WARM_UP_STEPS):
        task.step(next(batches), rate)
    began = time.perf_counter()
    for _ in range(TIMED_STEPS):
        task.step(next(batches), rate)
    seconds = (time.perf_counter() - began) / TIMED_STEPS
    return Estimate(
        parameters=parameters,
        frozen=frozen,
        batches_per_epoch=batches.per_epoch,
        epochs=steps / batches.per_epoch,
        steps=steps,
        memory_bytes=peak_memory(),
        # The weights twice, in `last/` and as `best`, and two moments of each that is trained.
        checkpoint_bytes=4 * (4 * parameters - 2 * frozen),
        seconds=seconds * steps,
    )
