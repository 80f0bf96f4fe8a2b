"""Data parallelism: all processes take each step together, with different batches.

    g = sum over processes of (sum over its batches of d loss / d theta) / tokens of all

`torchrun`, or `rnnkit train --processes N`, starts the processes and gives each its rank in environment variables. All
ranks hold the same weights, compute the gradients of different batches, all-reduce them and update alike, so N
processes take the same steps as one with gradient accumulation over N batches (`--accumulate N`). Rank 0 also
validates, writes files and reports.

`ProcessGroup` is a group of one process, for which every operation is trivial; callers do not distinguish the cases.
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
"""`sum(parts, weight)` sums weight times the concatenated parts over all processes, with the same bits on all ranks."""

TIMEOUT = timedelta(days=7)
"""Longer than any validation, during which the other ranks wait for rank 0. A lost peer is detected at once anyway."""


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


class _DistributedGroup(ProcessGroup):
    """Group of several processes, on `torch.distributed`."""

    def __init__(self, rank_info: RankInfo, device: torch.device) -> None:
        self.rank_info = rank_info
        self._device = device
        self._sums: dict[int, AllReduceSum] = {}

    def barrier(self) -> None:
        self.all_reduce_sum(0.0)

    def all_reduce_max(self, *numbers: int) -> Sequence[int]:
        import torch

        return self._all_reduce(torch.tensor(numbers, dtype=torch.int64), "MAX").tolist()

    def broadcast(self, *numbers: float) -> Sequence[float]:
        import torch

        values = numbers if self.is_main else [0.0] * len(numbers)
        return self._all_reduce(torch.tensor(values, dtype=torch.float64), "SUM").tolist()

    def all_reduce_sum(self, *numbers: float) -> Sequence[float]:
        import torch

        return self._all_reduce(torch.tensor(numbers, dtype=torch.float64), "SUM").tolist()

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        import torch.distributed as dist

        with _detect_peer_loss():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def all_reduce_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
        import torch

        has_gradient = [parameter.grad is not None for parameter in parameters]
        parts = [parameter.new_zeros(()).expand(parameter.numel()) if parameter.grad is None else
                 parameter.grad.flatten() for parameter in parameters]  # fmt: skip
        # One sum instead of hundreds; the flags after the gradients tell which parameters have one.
        parts.append(parts[0].new_tensor(has_gradient))
        sizes = [part.numel() for part in parts]
        *sums, ranks_with_gradient = torch.split(self._sum(sum(sizes))(parts, weight), sizes)
        for parameter, part, count in zip(parameters, sums, ranks_with_gradient.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if count else None

    def gather_arrays(self, arrays: Arrays) -> Arrays:
        import torch
        import torch.distributed as dist
        from safetensors.numpy import load, save

        packed = torch.frombuffer(bytearray(save(dict(arrays))), dtype=torch.uint8)
        (max_bytes,) = self.all_reduce_max(len(packed))
        message = torch.zeros(max_bytes + 8, dtype=torch.uint8, device=self._device)
        message[:8] = torch.tensor([len(packed)]).view(torch.uint8)
        message[8 : 8 + len(packed)] = packed.to(self._device)
        messages = [torch.empty_like(message) for _ in range(self.world_size)]
        with _detect_peer_loss():
            dist.all_gather(messages, message)
        if not self.is_main:
            return arrays
        gathered = dict(arrays)
        for rank, received in enumerate(messages[1:], start=1):
            length = int(received[:8].cpu().view(torch.int64))
            others = load(received[8 : 8 + length].cpu().numpy().tobytes())
            gathered.update({f"{_PREFIX}{rank}:{name}": array for name, array in others.items()})
        return gathered

    def local_arrays(self, arrays: Arrays) -> Arrays:
        prefix = f"{_PREFIX}{self.rank_info.rank}:" if self.rank_info.rank else ""
        return {name.removeprefix(prefix): array for name, array in super().local_arrays(arrays).items()}

    def seed_per_rank(self, seed: int) -> None:
        import numpy as np
        import torch

        if not self.is_main:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank_info.rank]).generate_state(1)[0]))

    def _sum(self, length: int) -> AllReduceSum:
        """Return the sum of this many values per rank: in shared memory if all ranks can map it, else by gloo."""
        if length not in self._sums:
            self._sums[length] = self._shared_memory_sum(length) or self._transport_sum
        return self._sums[length]

    def _transport_sum(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        import torch

        return self._all_reduce(torch.cat(list(parts)).mul_(weight), "SUM")

    def _shared_memory_sum(self, length: int) -> AllReduceSum | None:
        if self._device.type != "cpu" or self.rank_info.local_world_size != self.world_size:
            return None
        from rnnkit.training import shared_memory

        descriptor, rows = -1, None
        with contextlib.suppress(OSError):
            if self.is_main:
                descriptor = shared_memory.create_shared_memory(self.world_size, length)
        process, main_descriptor = (int(number) for number in self.broadcast(os.getpid(), descriptor))
        with contextlib.suppress(OSError):
            rows = shared_memory.attach_shared_memory(process, main_descriptor, self.world_size, length)
        (any_missing,) = self.all_reduce_max(int(rows is None))
        if descriptor >= 0:
            os.close(descriptor)
        if rows is None or any_missing:
            return None
        return shared_memory.SharedMemorySum(rows, self.rank_info.rank, self.barrier)

    def _all_reduce(self, tensor: Tensor, operation: str) -> Tensor:
        import torch.distributed as dist

        on_device = tensor.to(self._device)
        with _detect_peer_loss():
            dist.all_reduce(on_device, getattr(dist.ReduceOp, operation))
        return on_device


_PREFIX = "process-"
"""Prefix of array names of ranks other than 0 in a checkpoint; a single process has none."""


def _rank_of(name: str) -> int:
    return int(name[len(_PREFIX) :].partition(":")[0]) if name.startswith(_PREFIX) else 0


@contextlib.contextmanager
def _detect_peer_loss() -> Iterator[None]:
    """Raise PeerLostError for any error of the transport, which fails when a peer has ended."""
    try:
        yield
    except RuntimeError as failure:
        raise PeerLostError(str(failure)) from failure


@contextlib.contextmanager
def join_process_group(device: str) -> Iterator[ProcessGroup]:
    """Join the process group of the processes that were launched together, within the block.

    Args:
        device: `auto`, `cpu` or `cuda`. The backend is gloo on CPUs and NCCL on GPUs, of which each process has one.

    Raises:
        UsageError: There are fewer GPUs on this machine than processes.
        PeerLostError: Another process ended; raised here and by every method of the group.
    """
    rank_info = rank_from_environment()
    if rank_info.world_size == 1:
        yield ProcessGroup()
        return
    import torch
    import torch.distributed as dist

    from rnnkit.nn.device import choose_device

    terminate_with_parent()
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if rank_info.local_world_size > torch.cuda.device_count():
            raise UsageError(
                f"{rank_info.local_world_size} processes need one GPU each, but there are {torch.cuda.device_count()}",
                hint="use fewer processes, or --device cpu",
                option="--processes",
            )
        torch.cuda.set_device(rank_info.local_rank)
    elif rank_info.local_world_size == rank_info.world_size and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all peers are local, so the network is not involved
    # The functions of this module keep the group that exists when it is imported. Imported later, it would keep the
    # group's threads running, and one that frees a tensor while Python exits aborts the process
    # (pytorch/pytorch#179291, #190489).
    import torch.distributed.nn

    with _detect_peer_loss(), signals.default_handlers():  # nothing has started that would have to be saved
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield _DistributedGroup(rank_info, chosen)
    except BaseException:
        if chosen.type == "cpu":  # NCCL would wait for lost peers
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
