"""Kernels on torch's threads: every task runs once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from rnnkit.kernels import threads
from rnnkit.kernels.simd import read_float32, write_float32
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, next_task


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def count_tasks(args: Any) -> None:
    task = next_task(args)
    while task < args[TASKS]:
        counts = args[FIRST_FIELD + 1]
        write_float32(counts, task, read_float32(counts, task) + args[FIRST_FIELD])
        task = next_task(args)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 100])
def test_every_task_runs_once(count: int, tasks: int) -> None:
    torch.set_num_threads(count)
    counts = torch.zeros(100)
    for turn in range(1, 4):
        threads.parallel_for(count_tasks, [1, counts], tasks)
        assert counts.tolist() == [turn] * tasks + [0] * (100 - tasks)


def test_without_openmp_the_caller_does_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "parallel_region", lambda: None)
    torch.set_num_threads(2)
    counts = torch.zeros(9)
    threads.parallel_for(count_tasks, [5, counts], 9)
    assert counts.tolist() == [5] * 9


def test_kernels_compile_without_numba_caching(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.ccallback.CFunc.enable_caching", refuse)
    counts = torch.zeros(3)
    entry = threads._compile.__wrapped__(count_tasks)
    monkeypatch.setattr(threads, "_compile", lambda kernel: entry)
    threads.parallel_for(count_tasks, [2, counts], 3)
    assert counts.tolist() == [2, 2, 2]
