"""The batches of a step: several where gradients are added up, and of those the ones that a process takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Which of a step's batches a process takes: of three processes, the second takes those numbered 1, 4, 7.

    Attributes:
        accumulate: Batches that each process takes.
        rank: The process's number, from 0.
        processes: How many there are.
    """

    accumulate: int = 1
    rank: int = 0
    processes: int = 1

    @property
    def count(self) -> int:
        """Batches of a step, of all processes."""
        return self.accumulate * self.processes

    def of(self, parts: Sequence[T]) -> Sequence[T]:
        """Those of a step's parts that are this process's."""
        return parts[self.rank :: self.processes]


class Parted(Protocol[B]):
    """Batches that can be taken by the step."""

    def take(self, share: Share) -> list[B]:
        """The process's share of the next step; a step never reaches beyond the end of a pass."""
        ...

    def steps(self, share: Share) -> int:
        """Steps of the pass under way."""
        ...

    def extremes(self) -> Sequence[B]:
        """The batches of the pass under way that are the hardest to hold."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Where the next step comes from, the same in all processes."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go there."""
        ...


class Steps(Generic[B]):
    """Endless steps, each a list of batches; the list is empty where a pass ends with fewer than there are processes.

    Args:
        batches: What they are made of.
        share: What this process takes of each.
    """

    def __init__(self, batches: Parted[B], share: Share) -> None:
        self._batches = batches
        self._share = share

    @property
    def per_epoch(self) -> int:
        """Steps of the pass under way."""
        return self._batches.steps(self._share)

    def extremes(self) -> list[list[B]]:
        """Steps of one batch each that are the hardest to hold."""
        return [[batch] for batch in self._batches.extremes()]

    def state_dict(self) -> dict[str, int]:
        """Where the next step comes from, as JSON."""
        return self._batches.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go where `state_dict` was made."""
        self._batches.load_state_dict(state)

    def __iter__(self) -> Iterator[list[B]]:
        return self

    def __next__(self) -> list[B]:
        return self._batches.take(self._share)
