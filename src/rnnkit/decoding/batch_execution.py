"""Execution of batches: several at a time on the CPU, and split when they do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from rnnkit.nn.device import is_out_of_memory

T = TypeVar("T")
R = TypeVar("R")


def run_batches(
    work: Callable[[Sequence[T]], list[R]],
    batches: Iterable[Sequence[T]],
    too_large: Callable[[T], Exception],
    workers: int = 1,
) -> Iterator[list[R]]:
    """Run a function on batches and yield its results in order.

    Args:
        work: Returns a result for each item of a batch.
        batches: The batches, none of them empty.
        too_large: Makes the exception for an item that does not fit into memory even alone.
        workers: Threads, each with a batch and one thread for torch; 1 uses the calling thread and all its threads.
    """

    def run(batch: Sequence[T]) -> list[R]:
        return split_on_oom(work, batch, too_large)

    if workers <= 1:
        yield from map(run, batches)
        return
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(run, batches)


def split_on_oom(
    work: Callable[[Sequence[T]], list[R]], items: Sequence[T], too_large: Callable[[T], Exception]
) -> list[R]:
    """Run a function on a batch; if memory does not suffice, on both halves, down to single items.

    Args:
        work: Returns a result for each item.
        items: The batch; not empty.
        too_large: Makes the exception for an item that does not fit into memory even alone.
    """
    try:
        return work(items)
    except (MemoryError, RuntimeError) as failure:
        if not is_out_of_memory(failure):
            raise
    # Outside the handler the failure and all tensors that its traceback holds are released.
    if len(items) == 1:
        raise too_large(items[0])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [*split_on_oom(work, items[:middle], too_large), *split_on_oom(work, items[middle:], too_large)]
