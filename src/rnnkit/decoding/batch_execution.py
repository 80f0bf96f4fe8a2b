"""Batches that do not fit into memory, in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from rnnkit.nn.device import is_out_of_memory

T = TypeVar("T")
R = TypeVar("R")


def split_on_oom(work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
    """Work on items together; where memory does not suffice, on both halves, and so on down to one item.

    Args:
        work: Gives a result for each item.
        items: At least one.

    Raises:
        Exception: What `work` raised for lack of memory with one item alone, and whatever else it raised.
    """
    try:
        return work(items)
    except (MemoryError, RuntimeError) as failure:
        if len(items) == 1 or not is_out_of_memory(failure):
            raise
    # Only here, where the failure and all that it held are gone, is there memory to try again.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [*split_on_oom(work, items[:middle]), *split_on_oom(work, items[middle:])]
