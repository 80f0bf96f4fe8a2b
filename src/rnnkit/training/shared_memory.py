"""All-reduce over the processes of one machine through shared memory.

Each process has a row that only it writes and all read. gloo copies every message through the kernel several times:
26 ms for the gradients of 8 million parameters. The memory is an anonymous file without a name on disk, which
disappears with the last process, however that ends.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

_FLOAT32_BYTES = torch.float32.itemsize
_MEMFD_NAME = "rnnkit-sum"


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
