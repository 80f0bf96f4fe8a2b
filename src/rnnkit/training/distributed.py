"""Several processes on `torch.distributed`: launching them, joining their group, and its collective operations.

`launch` is `rnnkit train --processes N`: torch's elastic launcher starts the command N times on this machine and gives
each process its rank in environment variables, as `torchrun` does. Every process then joins the group.

Gradients are summed in shared memory if all ranks run on the CPUs of one machine: each process has a row that only it
writes and all read. gloo copies every message through the kernel several times: 26 ms for the gradients of 8 million
parameters. The memory is an anonymous file without a name on disk, which disappears with the last process, however that
ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import mmap
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from rnnkit.errors import UsageError
from rnnkit.json_types import JsonObject
from rnnkit.nn.device import choose_device
from rnnkit.system import interpreter
from rnnkit.system.machine import terminate_with_parent
from rnnkit.training import signals
from rnnkit.training.process_group import RANK_PREFIX, PeerLostError, ProcessGroup, RankInfo, rank_from_environment

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    from torch.distributed.launcher.api import LaunchConfig

    from rnnkit.training.checkpoint import Arrays


SHUTDOWN_SECONDS = "600"
"""Seconds that processes have after SIGTERM to finish their step and save; before torch 2.10 it is fixed at 30."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HANDLED_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGQUIT)

_SECONDARY_SIGNALS = (signal.SIGTERM, signal.SIGABRT)
"""Signals that end a process after another one has failed: from the launcher, or from an abort of the transport."""

TIMEOUT = timedelta(days=7)
"""Longer than any validation, during which the other ranks wait for rank 0. A lost peer is detected at once anyway."""

_FLOAT32_BYTES = torch.float32.itemsize
_MEMFD_NAME = "rnnkit-sum"

AllReduceSum = Callable[[Sequence[Tensor], float], Tensor]
"""`sum(parts, weight)` sums weight times the concatenated parts over all processes, with the same bits on all ranks."""


@dataclass(frozen=True)
class LaunchResult:
    """Result of a launched command.

    Attributes:
        code: Exit code: 0 if all processes succeeded, else that of the first failure.
        killed: Rank that was killed first, and the name of the signal; None if none was.
    """

    code: int
    killed: tuple[int, str] | None = None


def launch(argv: Sequence[str], processes: int) -> LaunchResult:
    """Run a command in several processes, each with its rank in its environment.

    SIGINT and SIGTERM are forwarded to all of them; a second signal ends this process and, with it, the others. If one
    process fails, the others get SIGTERM.

    Args:
        argv: The program and its arguments.
        processes: Number of processes.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    stops: dict[int, Callable[[], BaseException]] = {
        number: partial(SignalException, "", number) for number in _STOP_SIGNALS
    }
    try:
        with (
            tempfile.TemporaryDirectory(prefix="rnnkit-") as folder,
            _silence_launcher(),
            signals.raise_on_signals(stops),
        ):
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                max_restarts=0,
                logs_specs=DefaultLogsSpecs(log_dir=folder),
                **_launcher_signal_options(LaunchConfig),
            )
            elastic_launch(config, argv[0])(*argv[1:])
    except ChildFailedError as failure:
        return _first_failure(failure.failures)
    except SignalException as stop:
        return LaunchResult(128 + stop.sigval)
    return LaunchResult(0)


def _launcher_signal_options(config: type[LaunchConfig]) -> JsonObject:
    """Return options that leave SIGTERM and SIGINT to this module; before torch 2.9 there are none."""
    names = {field.name for field in dataclasses.fields(config)}
    return {"signals_to_handle": "SIGHUP,SIGQUIT"} if "signals_to_handle" in names else {}


def _first_failure(failures: dict[int, ProcessFailure]) -> LaunchResult:
    """Find the first failure; of failures within a second, one that was killed caused the others."""

    def order(item: tuple[int, ProcessFailure]) -> tuple[int, bool, bool, int]:
        rank, failure = item
        return failure.timestamp, failure.exitcode >= 0, -failure.exitcode in _SECONDARY_SIGNALS, rank

    rank, first = min(failures.items(), key=order)
    if first.exitcode < 0:
        return LaunchResult(128 - first.exitcode, (rank, signal.Signals(-first.exitcode).name))
    return LaunchResult(first.exitcode)


@contextlib.contextmanager
def _silence_launcher() -> Iterator[None]:
    """Suppress the launcher's log, as the processes report their errors, and restore signal handlers afterwards.

    Within the block the environment has this process's id, with which child processes end.
    """
    os.environ[interpreter.PARENT_VARIABLE] = str(os.getpid())
    level, handlers = logging.root.manager.disable, {number: signal.getsignal(number) for number in _HANDLED_SIGNALS}
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        os.environ.pop(interpreter.PARENT_VARIABLE, None)
        logging.disable(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)


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
    importlib.import_module("torch.distributed.nn")

    with _detect_peer_loss(), signals.default_handlers():  # nothing has started that would have to be saved
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield _DistributedGroup(rank_info, chosen)
    except BaseException:
        if chosen.type == "cpu":  # NCCL would wait for lost peers
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextlib.contextmanager
def _detect_peer_loss() -> Iterator[None]:
    """Raise PeerLostError for any error of the transport, which fails when a peer has ended."""
    try:
        yield
    except RuntimeError as failure:
        raise PeerLostError(str(failure)) from failure


class _DistributedGroup(ProcessGroup):
    """Group of several processes, on `torch.distributed`."""

    def __init__(self, rank_info: RankInfo, device: torch.device) -> None:
        self.rank_info = rank_info
        self._device = device
        self._sums: dict[int, AllReduceSum] = {}

    def barrier(self) -> None:
        self.all_reduce_sum(0.0)

    def all_reduce_max(self, *numbers: int) -> Sequence[int]:
        return self._all_reduce(torch.tensor(numbers, dtype=torch.int64), "MAX").tolist()

    def broadcast(self, *numbers: float) -> Sequence[float]:
        values = numbers if self.is_main else [0.0] * len(numbers)
        return self._all_reduce(torch.tensor(values, dtype=torch.float64), "SUM").tolist()

    def all_reduce_sum(self, *numbers: float) -> Sequence[float]:
        return self._all_reduce(torch.tensor(numbers, dtype=torch.float64), "SUM").tolist()

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        with _detect_peer_loss():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def all_reduce_gradients(self, parameters: Sequence[Tensor], weight: float) -> None:
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
            gathered.update({f"{RANK_PREFIX}{rank}:{name}": array for name, array in others.items()})
        return gathered

    def local_arrays(self, arrays: Arrays) -> Arrays:
        prefix = f"{RANK_PREFIX}{self.rank_info.rank}:" if self.rank_info.rank else ""
        return {name.removeprefix(prefix): array for name, array in super().local_arrays(arrays).items()}

    def seed_per_rank(self, seed: int) -> None:
        if not self.is_main:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank_info.rank]).generate_state(1)[0]))

    def _sum(self, length: int) -> AllReduceSum:
        """Return the sum of this many values per rank: in shared memory if all ranks can map it, else by gloo."""
        if length not in self._sums:
            self._sums[length] = self._shared_memory_sum(length) or self._transport_sum
        return self._sums[length]

    def _transport_sum(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        return self._all_reduce(torch.cat(list(parts)).mul_(weight), "SUM")

    def _shared_memory_sum(self, length: int) -> AllReduceSum | None:
        if self._device.type != "cpu" or self.rank_info.local_world_size != self.world_size:
            return None
        descriptor, rows = -1, None
        with contextlib.suppress(OSError):
            if self.is_main:
                descriptor = create_shared_memory(self.world_size, length)
        process, main_descriptor = (int(number) for number in self.broadcast(os.getpid(), descriptor))
        with contextlib.suppress(OSError):
            rows = attach_shared_memory(process, main_descriptor, self.world_size, length)
        (any_missing,) = self.all_reduce_max(int(rows is None))
        if descriptor >= 0:
            os.close(descriptor)
        if rows is None or any_missing:
            return None
        return SharedMemorySum(rows, self.rank_info.rank, self.barrier)

    def _all_reduce(self, tensor: Tensor, operation: str) -> Tensor:
        on_device = tensor.to(self._device)
        with _detect_peer_loss():
            dist.all_reduce(on_device, getattr(dist.ReduceOp, operation))
        return on_device


def create_shared_memory(rows: int, length: int) -> int:
    """Allocate shared float32 rows. Return an open file descriptor, through which other processes attach.

    Raises:
        OSError: The system has no anonymous files, or does not allow one of this size.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("the system has no anonymous files (memfd_create)")
    descriptor = os.memfd_create(_MEMFD_NAME)
    try:
        os.ftruncate(descriptor, rows * length * _FLOAT32_BYTES)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def attach_shared_memory(process: int, descriptor: int, rows: int, length: int) -> Tensor:
    """Map the rows (rows, length) that a process has allocated; they are freed with the tensor.

    Raises:
        OSError: The process has ended, is on another machine, or belongs to another user.
    """
    path, size = Path(f"/proc/{process}/fd/{descriptor}"), rows * length * _FLOAT32_BYTES
    with path.open("r+b") as file:
        # In another container the same process id may be another process, and the descriptor any file.
        if not str(path.readlink()).startswith(f"/memfd:{_MEMFD_NAME}") or os.fstat(file.fileno()).st_size != size:
            raise OSError(f"{path} is not the shared memory")
        memory = mmap.mmap(file.fileno(), size)
    return torch.frombuffer(memory, dtype=torch.float32).view(rows, length)


class SharedMemorySum:
    """Sums tensors over all processes; a collective operation, called by all of them.

    Args:
        rows: The shared rows, one per process.
        rank: Row of this process.
        barrier: Waits for all processes.
    """

    def __init__(self, rows: Tensor, rank: int, barrier: Callable[[], None]) -> None:
        self._rows = rows
        self._own = rows[rank]
        self._barrier = barrier
        self._total = torch.empty_like(self._own)

    def __call__(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        """Return the sum over all processes of weight times the concatenated parts; valid until the next call.

        Args:
            parts: One-dimensional tensors, with as many values in total as a row has.
            weight: Weight of this process.
        """
        self._barrier()  # all ranks have read the previous rows
        torch.cat(list(parts), out=self._own).mul_(weight)
        self._barrier()
        torch.add(self._rows[0], self._rows[1], out=self._total)
        for row in self._rows[2:]:  # in the same order on all ranks, for the same bits
            self._total.add_(row)
        return self._total
