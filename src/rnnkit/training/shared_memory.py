"""Sums over the processes of one machine, by memory that they share.

Each process has a row there, which it alone writes and all read. A message is copied through the operating system some
times: the gradients of 8 million parameters took 26 ms that way. The memory has no name on the disk, and goes when the
last process does, whichever way it goes.
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
    """Make room for rows of float32 numbers. Returns an open file descriptor, by which other processes find it.

    Raises:
        OSError: The system has no files in memory, or none so large.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("no files in memory")
    descriptor = os.memfd_create(_MEMFD_NAME)
    try:
        os.ftruncate(descriptor, rows * length * _FLOAT32_BYTES)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def attach_shared_memory(process: int, descriptor: int, rows: int, length: int) -> Tensor:
    """The rows (rows, length) that a process, this one or another, has made. They live as long as the tensor does.

    Raises:
        OSError: The process is gone, on another machine, or somebody else's.
    """
    place, size = Path(f"/proc/{process}/fd/{descriptor}"), rows * length * _FLOAT32_BYTES
    with place.open("r+b") as file:
        # Seen from another container the number may be another process's, and its descriptor any file.
        if not str(place.readlink()).startswith(f"/memfd:{_MEMFD_NAME}") or os.fstat(file.fileno()).st_size != size:
            raise OSError("it is not the memory that was made")
        memory = mmap.mmap(file.fileno(), size)
    return torch.frombuffer(memory, dtype=torch.float32).view(rows, length)


class SharedMemorySum:
    """Adds up numbers of all processes; called in all of them at once.

    Args:
        rows: The shared memory, a row for each process.
        own: Number of this process's row.
        wait: Waits until all processes have come there.
    """

    def __init__(self, rows: Tensor, own: int, wait: Callable[[], None]) -> None:
        self._rows = rows
        self._own = rows[own]
        self._wait = wait
        self._total = torch.empty_like(self._own)

    def __call__(self, parts: Sequence[Tensor], weight: float) -> Tensor:
        """The sum over all processes of weight times the parts, one behind the other. It is there until the next call.

        Args:
            parts: Of one dimension each; as many numbers in all as a row has.
            weight: This process's.
        """
        self._wait()  # until everyone has read what stands there
        torch.cat(list(parts), out=self._own).mul_(weight)
        self._wait()
        torch.add(self._rows[0], self._rows[1], out=self._total)
        for row in self._rows[2:]:  # in the same order everywhere: all come to the same bits
            self._total.add_(row)
        return self._total
