"""Processes that take each step together, each with batches of its own: data parallelism.

    g = sum over processes of (sum over its batches of d loss / d theta) / tokens of all

`torchrun`, or `rnnkit train --processes N`, starts them and tells each its number in environment variables. They hold
the same weights, take the gradient of different batches, add what they found and change the weights alike; so N
processes take the steps of one that adds up N batches (`--accumulate N`). The first one also validates, writes and
speaks. `Group` is one process alone, which agrees with itself; nobody else needs to know how many there are.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rnnkit.errors import TrainingError, UsageError
from rnnkit.system.machine import terminate_with_parent
from rnnkit.training import signals

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rnnkit.training.checkpoint import Arrays

AllReduceSum = Callable[[Sequence["Tensor"], float], "Tensor"]
"""`sum(parts, weight)`: weight times the parts, one behind the other, of all processes: the same bits in all."""

TIMEOUT = timedelta(days=7)
"""The others wait while the first validates, however long; a process that is gone is noticed at once."""


class PeerLostError(TrainingError):
    """Another process of the run is gone, so that no step can be taken any more."""

    def __init__(self, why: str = "") -> None:
        super().__init__(
            "a process of this run is gone",
            *why.splitlines()[:1],
            "the last checkpoint is whole",
            hint="the same command with --resume goes on from there",
        )


@dataclass(frozen=True)
class RankInfo:
    """Where a process stands among those that were started together.

    Attributes:
        rank: Its number, from 0.
        world_size: How many there are.
        local_rank: Its number among those on this machine.
        local_world_size: How many there are on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def rank_from_environment(environment: Mapping[str, str] = os.environ) -> RankInfo:
    """What the launcher says in `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE`; alone without them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "MASTER_ADDR" not in environment or not all(environment.get(name, "").isdigit() for name in names):
        return RankInfo()
    return RankInfo(*(int(environment[name]) for name in names))


class ProcessGroup:
    """One process alone. Several do as their own kind of group says, each method in all of them at once."""

    rank_info = RankInfo()

    @property
    def is_main(self) -> bool:
        """Whether this is the process that validates, writes and speaks."""
        return self.rank_info.rank == 0

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return self.rank_info.world_size

    def barrier(self) -> None:
        """Wait until all processes have come here."""

    def all_reduce_max(self, *numbers: int) -> Sequence[int]:
        """The greatest that any process says of each number."""
        return numbers

    def broadcast(self, *numbers: float) -> Sequence[float]:
        """What the first process says."""
        return numbers

    def all_reduce_sum(self, *numbers: float) -> Sequence[float]:
        """The sums over all processes."""
        return numbers

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the first one's values of these tensors."""

    def all_reduce_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
        """Put the sum over all processes of weight times gradient in the place of each gradient.

        A parameter without a gradient counts as zero; it stays without one where no process has any.

        Args:
            parameters: The same in all processes.
            weight: This process's.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if weight != 1 and gradients:
            import torch

            torch._foreach_mul_(gradients, weight)

    def gather_arrays(self, arrays: Arrays) -> Arrays:
        """The arrays of all processes, in the first one; the others get their own back. `own` finds them again."""
        return arrays

    def local_arrays(self, arrays: Arrays) -> Arrays:
        """Of what `collect` made, the arrays that this process had."""
        return {name: array for name, array in arrays.items() if _rank_of(name) == self.rank_info.rank}

    def seed_per_rank(self, seed: int) -> None:
        """Let each process draw other random numbers from here on; the first goes on as it was."""


class _DistributedGroup(ProcessGroup):
    """This process among others, by `torch.distributed`."""

    def __init__(self, where: RankInfo, device: torch.device) -> None:
        self.rank_info = where
        self._device = device
        self._sums: dict[int, AllReduceSum] = {}

    def barrier(self) -> None:
        self.all_reduce_sum(0.0)

    def all_reduce_max(self, *numbers: int) -> Sequence[int]:
        import torch

        return self._reduced(torch.tensor(numbers, dtype=torch.int64), "MAX").tolist()

    def broadcast(self, *numbers: float) -> Sequence[float]:
        import torch

        said = numbers if self.is_main else [0.0] * len(numbers)
        return self._reduced(torch.tensor(said, dtype=torch.float64), "SUM").tolist()

    def all_reduce_sum(self, *numbers: float) -> Sequence[float]:
        import torch

        return self._reduced(torch.tensor(numbers, dtype=torch.float64), "SUM").tolist()

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        import torch.distributed as dist

        with _detect_peer_loss():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def all_reduce_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
        import torch

        found = [parameter.grad is not None for parameter in parameters]
        parts = [parameter.new_zeros(()).expand(parameter.numel()) if parameter.grad is None else
                 parameter.grad.flatten() for parameter in parameters]  # fmt: skip
        # One sum instead of hundreds; behind the gradients stands which parameters have one.
        parts.append(parts[0].new_tensor(found))
        sizes = [part.numel() for part in parts]
        *sums, anywhere = torch.split(self._sum(sum(sizes))(parts, weight), sizes)
        for parameter, part, count in zip(parameters, sums, anywhere.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if count else None

    def gather_arrays(self, arrays: Arrays) -> Arrays:
        import torch
        import torch.distributed as dist
        from safetensors.numpy import load, save

        packed = torch.frombuffer(bytearray(save(dict(arrays))), dtype=torch.uint8)
        (longest,) = self.all_reduce_max(len(packed))
        mine = torch.zeros(longest + 8, dtype=torch.uint8, device=self._device)
        mine[:8] = torch.tensor([len(packed)]).view(torch.uint8)
        mine[8 : 8 + len(packed)] = packed.to(self._device)
        theirs = [torch.empty_like(mine) for _ in range(self.world_size)]
        with _detect_peer_loss():
            dist.all_gather(theirs, mine)
        if not self.is_main:
            return arrays
        collected = dict(arrays)
        for rank, sent in enumerate(theirs[1:], start=1):
            length = int(sent[:8].cpu().view(torch.int64))
            others = load(sent[8 : 8 + length].cpu().numpy().tobytes())
            collected.update({f"{_PREFIX}{rank}:{name}": array for name, array in others.items()})
        return collected

    def local_arrays(self, arrays: Arrays) -> Arrays:
        mark = f"{_PREFIX}{self.rank_info.rank}:" if self.rank_info.rank else ""
        return {name.removeprefix(mark): array for name, array in super().local_arrays(arrays).items()}

    def seed_per_rank(self, seed: int) -> None:
        import numpy as np
        import torch

        if not self.is_main:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank_info.rank]).generate_state(1)[0]))

    def _sum(self, length: int) -> AllReduceSum:
        """What adds up so many numbers of each process: memory where all reach it, else messages."""
        if length not in self._sums:
            self._sums[length] = self._share_sum(length) or self._sum_by_messages
        return self._sums[length]

    def _sum_by_messages(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        import torch

        return self._reduced(torch.cat(list(parts)).mul_(weight), "SUM")

    def _share_sum(self, length: int) -> AllReduceSum | None:
        if self._device.type != "cpu" or self.rank_info.local_world_size != self.world_size:
            return None
        from rnnkit.training import shared_memory

        descriptor, rows = -1, None
        with contextlib.suppress(OSError):
            if self.is_main:
                descriptor = shared_memory.create_shared_memory(self.world_size, length)
        process, theirs = (int(number) for number in self.broadcast(os.getpid(), descriptor))
        with contextlib.suppress(OSError):
            rows = shared_memory.attach_shared_memory(process, theirs, self.world_size, length)
        (missing,) = self.all_reduce_max(int(rows is None))
        if descriptor >= 0:
            os.close(descriptor)
        return (
            None if rows is None or missing else shared_memory.SharedMemorySum(rows, self.rank_info.rank, self.barrier)
        )

    def _reduced(self, tensor: Tensor, how: str) -> Tensor:
        import torch.distributed as dist

        there = tensor.to(self._device)
        with _detect_peer_loss():
            dist.all_reduce(there, getattr(dist.ReduceOp, how))
        return there


_PREFIX = "process-"
"""Begins the names of what is not the first process's in a checkpoint, so that one process alone writes none."""


def _rank_of(name: str) -> int:
    return int(name[len(_PREFIX) :].partition(":")[0]) if name.startswith(_PREFIX) else 0


@contextlib.contextmanager
def _detect_peer_loss() -> Iterator[None]:
    """Whatever the transport says when the other end is gone, in one kind of error."""
    try:
        yield
    except RuntimeError as failure:
        raise PeerLostError(str(failure)) from failure


@contextlib.contextmanager
def join_process_group(device: str) -> Iterator[ProcessGroup]:
    """Be one of the processes that were started together while the block runs; alone where nobody else was.

    Args:
        device: `auto`, `cpu` or `cuda`: over gloo on a CPU; on GPUs, of which each process has its own, over NCCL.

    Raises:
        UsageError: There are fewer GPUs here than processes.
        PeerLostError: Another process is gone; from here and from every method of the group.
    """
    where = rank_from_environment()
    if where.world_size == 1:
        yield ProcessGroup()
        return
    import torch
    import torch.distributed as dist

    from rnnkit.nn.device import choose_device

    terminate_with_parent()
    kind = choose_device(device)
    if kind.type == "cuda":
        if where.local_world_size > torch.cuda.device_count():
            raise UsageError(
                f"{where.local_world_size} processes want a GPU each, and there are {torch.cuda.device_count()}",
                hint="fewer processes, or --device cpu",
            )
        torch.cuda.set_device(where.local_rank)
    elif where.local_world_size == where.world_size and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody else on the network needs to hear
    # Its functions keep the group of the time they are imported: were that later, the group's threads would never end,
    # and one that lets go of a tensor while Python ends aborts the process (pytorch/pytorch#179291, #190489).
    import torch.distributed.nn

    with _detect_peer_loss(), signals.default_handlers():  # nothing is begun that would have to be saved
        dist.init_process_group("nccl" if kind.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield _DistributedGroup(where, kind)
    except BaseException:
        if kind.type == "cpu":  # NCCL would wait for those who are gone
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
