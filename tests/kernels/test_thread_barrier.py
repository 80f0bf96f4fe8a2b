"""The barrier of threads that run a kernel together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnkit.kernels.compiler import Int64Array
from rnnkit.kernels.thread_barrier import RELEASED, wait_for_all
from rnnkit.kernels.word_vector_simd import kernel


@kernel
def count_rounds(arrivals: Int64Array, rounds_T: Int64Array, thread: int, rounds: int) -> int:
    """Count own rounds; return how often a thread was a round behind or ahead right after the barrier."""
    wrong = 0
    for turn in range(rounds):
        rounds_T[8 * thread] = turn + 1
        wait_for_all(arrivals, len(rounds_T) // 8)
        for other in range(0, len(rounds_T), 8):
            wrong += rounds_T[other] != turn + 1
        wait_for_all(arrivals, len(rounds_T) // 8)
    return wrong


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_no_thread_passes_before_all_have_arrived(threads: int) -> None:
    arrivals, rounds_T = np.zeros(1, np.int64), np.zeros(8 * threads, np.int64)
    for _ in range(2):
        with ThreadPoolExecutor(threads) as pool:
            wrong = list(pool.map(lambda thread: count_rounds(arrivals, rounds_T, thread, 50), range(threads)))
        assert wrong == [0] * threads
    assert arrivals[0] == 2 * 2 * 50 * threads


def test_released_threads_wait_for_no_other() -> None:
    arrivals, rounds_T = np.full(1, RELEASED), np.zeros(16, np.int64)
    count_rounds(arrivals, rounds_T, 0, 3)
    assert rounds_T[0] == 3
