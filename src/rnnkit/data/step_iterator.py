"""Optimizer steps: the batches that one process takes of each step, with gradient accumulation and data parallelism.

A step has `accumulate` batches for each of `world_size` processes. This module is free of NumPy and torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class ShardSpec:
    """Which of a step's batches one process takes: of three processes, rank 1 takes batches 1, 4, 7, ...

    Attributes:
        accumulate: Batches of each process in one step (gradient accumulation).
        rank: Rank of this process, from 0.
        world_size: Number of processes.
    """

    accumulate: int = 1
    rank: int = 0
    world_size: int = 1

    @property
    def batches_per_step(self) -> int:
        """Batches of one step, over all processes."""
        return self.accumulate * self.world_size

    def select(self, parts: Sequence[T]) -> Sequence[T]:
        """Return the parts of a step that belong to this rank."""
        return parts[self.rank :: self.world_size]


class ShardedBatches(Protocol[B]):
    """A resumable source of batches that hands out one step at a time."""

    def next_step(self, shard: ShardSpec) -> list[B]:
        """Return this rank's batches of the next step; a step never crosses the end of an epoch."""
        ...

    def steps_per_epoch(self, shard: ShardSpec) -> int:
        """Return the number of steps in the current epoch."""
        ...

    def largest_batches(self) -> Sequence[B]:
        """Return the batches of the current epoch that need the most memory."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next step, the same on all ranks."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        ...


class StepIterator(Generic[B]):
    """Endless iterator over steps, each a list of batches.

    The list is empty if the epoch ends with a step that has fewer batches than there are processes.

    Args:
        batches: Source of the batches.
        shard: What this rank takes of each step.
    """

    def __init__(self, batches: ShardedBatches[B], shard: ShardSpec) -> None:
        self._batches = batches
        self._shard = shard

    @property
    def per_epoch(self) -> int:
        """Steps in the current epoch."""
        return self._batches.steps_per_epoch(self._shard)

    def largest_batches(self) -> list[list[B]]:
        """Return the batches that need the most memory, as steps of one batch each."""
        return [[batch] for batch in self._batches.largest_batches()]

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next step as JSON."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self._batches.load_state_dict(state)

    def __iter__(self) -> Iterator[list[B]]:
        return self

    def __next__(self) -> list[B]:
        return self._batches.next_step(self._shard)
