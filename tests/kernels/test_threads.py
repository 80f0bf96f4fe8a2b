"""Work on torch's threads: every share once, whoever does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from rnnkit.kernels import threads
from rnnkit.kernels.simd import read_float32, write_float32
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, next_task


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def count_shares(job: Any) -> None:
    share = next_task(job)
    while share < job[TASKS]:
        write_float32(job[FIRST_FIELD + 1], share, read_float32(job[FIRST_FIELD + 1], share) + job[FIRST_FIELD])
        share = next_task(job)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shares", [0, 1, 2, 7, 100])
def test_every_share_is_done_once(threads: int, shares: int) -> None:
    torch.set_num_threads(threads)
    counts = torch.zeros(100)
    for turn in range(1, 4):
        threads.parallel_for(count_shares, [1, counts], shares)
        assert counts.tolist() == [turn] * shares + [0] * (100 - shares)


def test_without_the_entry_to_torchs_threads_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "parallel_region", lambda: None)
    torch.set_num_threads(2)
    counts = torch.zeros(9)
    threads.parallel_for(count_shares, [5, counts], 9)
    assert counts.tolist() == [5] * 9


def test_without_a_folder_to_write_to_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.ccallback.CFunc.enable_caching", refuse)
    counts = torch.zeros(3)
    entry = threads._compile.__wrapped__(count_shares)
    monkeypatch.setattr(threads, "_compile", lambda kernel: entry)
    threads.parallel_for(count_shares, [2, counts], 3)
    assert counts.tolist() == [2, 2, 2]
