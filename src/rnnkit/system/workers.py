"""Worker processes: items are distributed as workers become idle, results are returned in the order of the items.

Processes are started afresh, not forked, so they inherit no threads, locks or open files. They end with their parent,
however it ends: all work comes through a pipe whose other end is closed then. `concurrent.futures` provides neither
this nor a bound on the results that wait for an earlier one.
"""

from __future__ import annotations

import signal
import subprocess
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rnnkit.errors import RnnkitError, WorkerError
from rnnkit.system import interpreter
from rnnkit.system.machine import available_cores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MAX_AHEAD = 3
"""Items per process sent before the oldest result is taken; bounds memory."""

EXIT_TIMEOUT = 5.0
"""Seconds to wait for a process to exit by itself."""

_PIPE_CLOSED = (EOFError, ConnectionError)
"""Errors of a pipe whose other end is closed."""

_FINISH = "finish"

_PROGRAM = "import sys; sys.path[:] = {path}; from rnnkit.system.workers import serve; serve({descriptor})"
"""Program of a worker process: it finds modules where this process does, but not in the current directory."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Worker(Protocol[Item_contra, Result_co]):
    """The work of one process."""

    def process(self, item: Item_contra, /) -> Result_co:
        """Return the result of one item."""

    def finish(self) -> object:
        """Return the result over all items; called once, after them."""


@dataclass(eq=False)
class _Child:
    """A process, its pipe, and the index of its current item."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    index: int | None = None


@dataclass(frozen=True)
class _Reply:
    """A result, or the error raised instead."""

    value: Any = None
    failure: Exception | None = None

    def result(self) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.value


class WorkerPool(Generic[Item, Result]):
    """Processes that run the same work; a pool of one runs it in this process and starts none.

    A context manager: the processes end with its block.

    Args:
        make_worker: Creates a worker; pickled and called once in each process.
        processes: Number of processes; 0 is one per core.
    """

    def __init__(self, make_worker: Callable[[], Worker[Item, Result]], processes: int) -> None:
        self._make_worker = make_worker
        self._count = processes or available_cores()
        self._local: Worker[Item, Result] | None = None
        self._children: list[_Child] = []

    def __enter__(self) -> WorkerPool[Item, Result]:
        if self._count == 1:
            self._local = self._make_worker()
            return self
        try:
            for _ in range(self._count):
                self._children.append(_start())
            for child in self._children:  # after all have started, because a message may exceed the pipe's buffer
                _send_message(child, self._make_worker)
        except BaseException:
            self._end(terminate=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._end(terminate=kind is not None)

    @property
    def is_parallel(self) -> bool:
        """Whether the work runs in other processes."""
        return self._count > 1

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of each item in order; errors keep that order, including those of the iterable.

        Raises:
            WorkerError: A process ended unexpectedly. Errors of `Worker.process` are raised unchanged.
        """
        if self._local is not None:
            yield from map(self._local.process, items)
            return
        pending, replies = iter(items), dict[int, _Reply]()
        sent, taken, more = 0, 0, True
        while more or taken < sent:
            idle = [child for child in self._children if child.index is None]
            while more and idle and sent - taken < MAX_AHEAD * self._count:
                try:
                    item = next(pending)
                except StopIteration:
                    more = False
                    break
                except Exception as error:
                    replies[sent] = _Reply(failure=error)  # raised after the results of earlier items
                    more = False
                else:
                    _send(idle.pop(), sent, item)
                sent += 1
            if taken in replies:
                yield replies.pop(taken).result()
                taken += 1
            elif taken < sent:
                replies.update(self._receive())

    def finish(self) -> list[Any]:
        """Return `Worker.finish` of each process. Raises WorkerError if one ended unexpectedly."""
        if self._local is not None:
            return [self._local.finish()]
        for child in self._children:
            _send(child, 0, _FINISH)
        return [_receive(child).result() for child in self._children]

    def _receive(self) -> dict[int, _Reply]:
        """Wait for at least one reply; return all that have arrived, by the index of their item."""
        from multiprocessing.connection import wait

        busy = {child.pipe: child for child in self._children if child.index is not None}
        found = {}
        for pipe in wait(list(busy)):
            child = busy[pipe]  # type: ignore[index]
            assert child.index is not None
            index = child.index
            found[index] = _receive(child)
        return found

    def _end(self, terminate: bool) -> None:
        for child in self._children:
            child.pipe.close()  # which ends a process that waits for work
            if terminate:
                child.process.terminate()
        for child in self._children:
            if _exit_code(child) is None:
                child.process.kill()
                child.process.wait()
        self._children.clear()


def _start() -> _Child:
    """Start a process. It ignores Ctrl-C, which the terminal sends to the whole process group: its parent ends it."""
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    program = _PROGRAM.format(path=interpreter.search_path(), descriptor=theirs.fileno())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(
            interpreter.interpreter_command("-c", program),
            pass_fds=[theirs.fileno()],
            env=interpreter.child_environment(),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Child(process, ours)


def _send(child: _Child, index: int, item: object) -> None:
    child.index = index
    _send_message(child, item)


def _send_message(child: _Child, message: object) -> None:
    try:
        child.pipe.send(message)
    except _PIPE_CLOSED:
        raise _unexpected_exit(child) from None


def _receive(child: _Child) -> _Reply:
    """Receive the reply of a process, which is idle afterwards."""
    try:
        reply: _Reply = child.pipe.recv()
    except _PIPE_CLOSED:
        raise _unexpected_exit(child) from None
    child.index = None
    return reply


def _unexpected_exit(child: _Child) -> WorkerError:
    """Return the error for a process that has ended."""
    code = _exit_code(child)
    if code is not None and code < 0:
        reason = f"was ended by signal {-code} ({signal.Signals(-code).name})"
    else:
        reason = f"ended with exit status {code}"
    killed = code == -signal.SIGKILL
    return WorkerError(
        f"a worker process {reason}",
        f"process {child.process.pid}; existing files are unchanged",
        hint="the system kills processes when memory runs out: use fewer --processes"
        if killed
        else "run again with --processes 1 for a more detailed error",
        option="--processes",
    )


def _exit_code(child: _Child) -> int | None:
    """Wait for a process to exit and return its exit code; None after the timeout."""
    try:
        return child.process.wait(EXIT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return None


def serve(descriptor: int) -> None:
    """Run a worker process: receive the worker's factory, then reply to items until the pipe is closed.

    Args:
        descriptor: File descriptor of this end of the pipe.
    """
    from multiprocessing.connection import Connection

    interpreter.protect_imports()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    worker: Worker[object, object] | None = None
    with suppress(*_PIPE_CLOSED), Connection(descriptor) as pipe:
        make_worker = pipe.recv()
        while True:
            item = pipe.recv()
            try:
                worker = worker or make_worker()
                reply = _Reply(worker.finish() if item == _FINISH else worker.process(item))
            except Exception as error:
                reply = _Reply(failure=_picklable(error))
            pipe.send(reply)


def _picklable(error: Exception) -> Exception:
    """Return an error that can be pickled, with its traceback as a note for `--debug`."""
    known = isinstance(error, RnnkitError | MemoryError | OSError)
    sent = error if known else RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note("".join(traceback.format_exception(error)))
    return sent
