"""Data parallelism: all processes take each step together, with different batches.

    g = sum over processes of (sum over its batches of d loss / d theta) / tokens of all

`torchrun`, or `rnnkit train --processes N`, starts the processes and gives each its rank in environment variables. All
ranks hold the same weights, compute the gradients of different batches, all-reduce them and update alike, so N
processes take the same steps as one with gradient accumulation over N batches (`--accumulate N`). Rank 0 also
validates, writes files and reports.

`ProcessGroup` is a group of one process, for which every operation is trivial; callers do not distinguish the cases.
Groups of several processes are in `distributed.py`. No torch, unless there are gradients.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkit.training.checkpoint import Arrays


RANK_PREFIX = "process-"
"""Prefix of array names of ranks other than 0 in a checkpoint; a single process has none."""


class PeerLostError(TrainingError):
    """Another process of the group ended, so training cannot continue."""

    def __init__(self, why: str = "") -> None:
        super().__init__(
            "another process of this run ended unexpectedly",
            *why.splitlines()[:1],
            "the last checkpoint is complete",
            hint="run the same command with --resume to continue",
        )


@dataclass(frozen=True)
class RankInfo:
    """Rank of a process, as in `torch.distributed`.

    Attributes:
        rank: Rank of the process, from 0.
        world_size: Number of processes.
        local_rank: Rank among the processes on this machine.
        local_world_size: Number of processes on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def rank_from_environment(environment: Mapping[str, str] = os.environ) -> RankInfo:
    """Read `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE`; without all of them, the process is alone."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "MASTER_ADDR" not in environment or not all(environment.get(name, "").isdigit() for name in names):
        return RankInfo()
    return RankInfo(*(int(environment[name]) for name in names))


class ProcessGroup:
    """Group of a single process, and the interface of larger ones.

    The methods are collective operations: all ranks call them in the same order.
    """

    rank_info = RankInfo()

    @property
    def is_main(self) -> bool:
        """Whether this process has rank 0, which validates, writes files and reports."""
        return self.rank_info.rank == 0

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.rank_info.world_size

    def barrier(self) -> None:
        """Wait until all ranks have reached the barrier."""

    def all_reduce_max(self, *numbers: int) -> Sequence[int]:
        """Return the maximum over all ranks of each number."""
        return numbers

    def broadcast(self, *numbers: float) -> Sequence[float]:
        """Return the numbers of rank 0."""
        return numbers

    def all_reduce_sum(self, *numbers: float) -> Sequence[float]:
        """Return the sum over all ranks of each number."""
        return numbers

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Copy the tensors of rank 0 to all ranks, in place."""

    def all_reduce_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
        """Replace each gradient by the sum over all ranks of weight times gradient.

        A missing gradient counts as zero; it stays missing if all ranks lack it.

        Args:
            parameters: The parameters, the same on all ranks.
            weight: Weight of this rank.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if weight != 1 and gradients:
            import torch

            torch._foreach_mul_(gradients, weight)

    def gather_arrays(self, arrays: Arrays) -> Arrays:
        """Return the arrays of all ranks on rank 0, and a rank's own on others; see `local_arrays`."""
        return arrays

    def local_arrays(self, arrays: Arrays) -> Arrays:
        """Return this rank's arrays from those that `gather_arrays` has returned on rank 0."""
        return {name: array for name, array in arrays.items() if _rank_of(name) == self.rank_info.rank}

    def seed_per_rank(self, seed: int) -> None:
        """Seed torch's generator differently on each rank; rank 0 keeps its state."""


def _rank_of(name: str) -> int:
    return int(name[len(RANK_PREFIX) :].partition(":")[0]) if name.startswith(RANK_PREFIX) else 0
