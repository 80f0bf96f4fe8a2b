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

Sum = Callable[[Sequence["Tensor"], float], "Tensor"]
"""`sum(parts, weight)`: weight times the parts, one behind the other, of all processes: the same bits in all."""

PATIENCE = timedelta(days=7)
"""The others wait while the first validates, however long; a process that is gone is noticed at once."""


class LostProcess(TrainingError):
    """Another process of the run is gone, so that no step can be taken any more."""

    def __init__(self, why: str = "") -> None:
        super().__init__(
            "a process of this run is gone",
            *why.splitlines()[:1],
            "the last checkpoint is whole",
            hint="the same command with --resume goes on from there",
        )


@dataclass(frozen=True)
class Place:
    """Where a process stands among those that were started together.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
        local_rank: Its number among those on this machine.
        local_size: How many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """What the launcher says in `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE`; alone without them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "MASTER_ADDR" not in environment or not all(environment.get(name, "").isdigit() for name in names):
        return Place()
    return Place(*(int(environment[name]) for name in names))


class Group:
    """One process alone. Several do as their own kind of group says, each method in all of them at once."""

    place = Place()

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes and speaks."""
        return self.place.rank == 0

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.place.size

    def wait(self) -> None:
        """Wait until all processes have come here."""

    def greatest(self, *numbers: int) -> Sequence[int]:
        """The greatest that any process says of each number."""
        return numbers

    def told(self, *numbers: float) -> Sequence[float]:
        """What the first process says."""
        return numbers

    def total(self, *numbers: float) -> Sequence[float]:
        """The sums over all processes."""
        return numbers

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the first one's values of these tensors."""

    def add_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
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

    def collect(self, arrays: Arrays) -> Arrays:
        """The arrays of all processes, in the first one; the others get their own back. `own` finds them again."""
        return arrays

    def own(self, arrays: Arrays) -> Arrays:
        """Of what `collect` made, the arrays that this process had."""
        return {name: array for name, array in arrays.items() if _owner(name) == self.place.rank}

    def part_random(self, seed: int) -> None:
        """Let each process draw other random numbers from here on; the first goes on as it was."""


class _Several(Group):
    """This process among others, by `torch.distributed`."""

    def __init__(self, where: Place, device: torch.device) -> None:
        self.place = where
        self._device = device
        self._sums: dict[int, Sum] = {}

    def wait(self) -> None:
        self.total(0.0)

    def greatest(self, *numbers: int) -> Sequence[int]:
        import torch

        return self._reduced(torch.tensor(numbers, dtype=torch.int64), "MAX").tolist()

    def told(self, *numbers: float) -> Sequence[float]:
        import torch

        said = numbers if self.first else [0.0] * len(numbers)
        return self._reduced(torch.tensor(said, dtype=torch.float64), "SUM").tolist()

    def total(self, *numbers: float) -> Sequence[float]:
        import torch

        return self._reduced(torch.tensor(numbers, dtype=torch.float64), "SUM").tolist()

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        import torch.distributed as dist

        with _noticing_loss():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def add_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
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

    def collect(self, arrays: Arrays) -> Arrays:
        import torch
        import torch.distributed as dist
        from safetensors.numpy import load, save

        packed = torch.frombuffer(bytearray(save(dict(arrays))), dtype=torch.uint8)
        (longest,) = self.greatest(len(packed))
        mine = torch.zeros(longest + 8, dtype=torch.uint8, device=self._device)
        mine[:8] = torch.tensor([len(packed)]).view(torch.uint8)
        mine[8 : 8 + len(packed)] = packed.to(self._device)
        theirs = [torch.empty_like(mine) for _ in range(self.size)]
        with _noticing_loss():
            dist.all_gather(theirs, mine)
        if not self.first:
            return arrays
        collected = dict(arrays)
        for rank, sent in enumerate(theirs[1:], start=1):
            length = int(sent[:8].cpu().view(torch.int64))
            others = load(sent[8 : 8 + length].cpu().numpy().tobytes())
            collected.update({f"{_PREFIX}{rank}:{name}": array for name, array in others.items()})
        return collected

    def own(self, arrays: Arrays) -> Arrays:
        mark = f"{_PREFIX}{self.place.rank}:" if self.place.rank else ""
        return {name.removeprefix(mark): array for name, array in super().own(arrays).items()}

    def part_random(self, seed: int) -> None:
        import numpy as np
        import torch

        if not self.first:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.place.rank]).generate_state(1)[0]))

    def _sum(self, length: int) -> Sum:
        """What adds up so many numbers of each process: memory where all reach it, else messages."""
        if length not in self._sums:
            self._sums[length] = self._share_sum(length) or self._sum_by_messages
        return self._sums[length]

    def _sum_by_messages(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        import torch

        return self._reduced(torch.cat(list(parts)).mul_(weight), "SUM")

    def _share_sum(self, length: int) -> Sum | None:
        if self._device.type != "cpu" or self.place.local_size != self.size:
            return None
        from rnnkit.training import shared_sum

        descriptor, rows = -1, None
        with contextlib.suppress(OSError):
            if self.first:
                descriptor = shared_sum.create(self.size, length)
        process, theirs = (int(number) for number in self.told(os.getpid(), descriptor))
        with contextlib.suppress(OSError):
            rows = shared_sum.attach(process, theirs, self.size, length)
        (missing,) = self.greatest(int(rows is None))
        if descriptor >= 0:
            os.close(descriptor)
        return None if rows is None or missing else shared_sum.SharedSum(rows, self.place.rank, self.wait)

    def _reduced(self, tensor: Tensor, how: str) -> Tensor:
        import torch.distributed as dist

        there = tensor.to(self._device)
        with _noticing_loss():
            dist.all_reduce(there, getattr(dist.ReduceOp, how))
        return there


_PREFIX = "process-"
"""Begins the names of what is not the first process's in a checkpoint, so that one process alone writes none."""


def _owner(name: str) -> int:
    return int(name[len(_PREFIX) :].partition(":")[0]) if name.startswith(_PREFIX) else 0


@contextlib.contextmanager
def _noticing_loss() -> Iterator[None]:
    """Whatever the transport says when the other end is gone, in one kind of error."""
    try:
        yield
    except RuntimeError as failure:
        raise LostProcess(str(failure)) from failure


@contextlib.contextmanager
def join(device: str) -> Iterator[Group]:
    """Be one of the processes that were started together while the block runs; alone where nobody else was.

    Args:
        device: `auto`, `cpu` or `cuda`: over gloo on a CPU; on GPUs, of which each process has its own, over NCCL.

    Raises:
        UsageError: There are fewer GPUs here than processes.
        LostProcess: Another process is gone; from here and from every method of the group.
    """
    where = place()
    if where.size == 1:
        yield Group()
        return
    import torch
    import torch.distributed as dist

    from rnnkit.nn.device import choose_device

    terminate_with_parent()
    kind = choose_device(device)
    if kind.type == "cuda":
        if where.local_size > torch.cuda.device_count():
            raise UsageError(
                f"{where.local_size} processes want a GPU each, and there are {torch.cuda.device_count()}",
                hint="fewer processes, or --device cpu",
            )
        torch.cuda.set_device(where.local_rank)
    elif where.local_size == where.size and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody else on the network needs to hear
    # Its functions keep the group of the time they are imported: were that later, the group's threads would never end,
    # and one that lets go of a tensor while Python ends aborts the process (pytorch/pytorch#179291, #190489).
    import torch.distributed.nn

    with _noticing_loss(), signals.at_once():  # nothing is begun that would have to be saved
        dist.init_process_group("nccl" if kind.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield _Several(where, kind)
    except BaseException:
        if kind.type == "cpu":  # NCCL would wait for those who are gone
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
