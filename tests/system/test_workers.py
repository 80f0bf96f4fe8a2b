"""Workers: results and errors in order, no process left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnkit.errors import DataError, WorkerError
from rnnkit.system.workers import WorkerPool


class Square:
    """Squares numbers, small ones slowly; negative numbers fail in various ways."""

    def __init__(self) -> None:
        self.done = 0

    def process(self, item: int) -> int:
        if item == -1:
            raise DataError("a number below zero", "file:7", hint="leave it out")
        if item == -2:
            raise LookupError("nobody expected this")
        if item == -3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == -4:
            os._exit(3)
        time.sleep(0.02 if item < 3 else 0)
        self.done += 1
        return item * item

    def finish(self) -> int:
        return self.done


def children() -> list[str]:
    """Return the running child processes."""
    return "".join(mine.read_text() for mine in Path("/proc/self/task").glob("*/children")).split()


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_order(processes: int) -> None:
    with WorkerPool(Square, processes) as pool:
        assert pool.is_parallel == (processes > 1)
        assert list(pool.map(range(17))) == [number * number for number in range(17)]
        assert list(pool.map([])) == []
        assert list(pool.map([5])) == [25]
        assert sum(pool.finish()) == 18
    assert children() == []


def test_few_items_are_sent_ahead() -> None:
    given: list[int] = []

    def number(item: int) -> int:
        given.append(item)
        return item

    with WorkerPool(Square, 2) as pool:
        next(pool.map(map(number, range(100))))
        assert len(given) < 12


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_keep_the_order_of_items(processes: int) -> None:
    def numbers() -> Iterator[int]:
        yield from (1, 4, -1, 5)
        raise DataError("behind the other error")

    with WorkerPool(Square, processes) as pool:
        results = pool.map(numbers())
        assert [next(results), next(results)] == [1, 16]
        with pytest.raises(DataError) as caught:
            next(results)
        assert str(caught.value) == "a number below zero\n  file:7\n  hint: leave it out"
        with pytest.raises(DataError, match="of the items"):
            list(pool.map(broken()))
    assert children() == []


def broken() -> Iterator[int]:
    yield 7
    raise DataError("of the items themselves")


def test_unexpected_errors_keep_their_traceback() -> None:
    with (
        WorkerPool(Square, 2) as pool,
        pytest.raises(RuntimeError, match="LookupError: nobody expected this") as caught,
    ):
        list(pool.map([-2]))
    assert "in process" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("harm", "reason", "hint"),
    [(-3, "was ended by signal 9 (SIGKILL)", "fewer --processes"), (-4, "ended with exit status 3", "--processes 1")],
)
def test_a_process_that_is_killed_or_exits(harm: int, reason: str, hint: str) -> None:
    with pytest.raises(WorkerError) as caught, WorkerPool(Square, 2) as pool:
        list(pool.map([5, harm, 5, 5]))
    assert caught.value.what == f"a worker process {reason}"
    assert hint in str(caught.value.hint)
    assert children() == []


def test_leaving_early_ends_the_processes() -> None:
    with pytest.raises(KeyboardInterrupt), WorkerPool(Square, 2) as pool:
        next(pool.map(range(9)))
        assert len(children()) == 2
        raise KeyboardInterrupt
    assert children() == []
