"""Work shared among processes: items go out as they come, results come back in the order of the items.

The processes are started anew, so they hold nothing of their parent's: no threads, locks or open files. They end with
their parent, whatever ends it and whenever: all that they are told comes through a pipe, whose other end closes then.
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
"""Items given out, for each process, before the result of the first is taken: what bounds the memory."""

EXIT_TIMEOUT = 5.0
"""Seconds that a process is given to end by itself."""

_PIPE_CLOSED = (EOFError, ConnectionError)
"""What a pipe says when nobody is at its other end."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Worker(Protocol[Item_contra, Result_co]):
    """What one process does."""

    def do(self, item: Item_contra, /) -> Result_co:
        """The result of one item."""

    def finish(self) -> Any:
        """What it has gathered over its items, asked for once, after them."""


@dataclass(eq=False)
class _Child:
    """A process, its pipe, and the number of the item that it works on."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    number: int | None = None


class WorkerPool(Generic[Item, Result]):
    """Processes that do the same work; with one, the work is done here and nothing is started.

    A context manager: when its block ends, by whatever way, so have the processes.

    Args:
        make: Makes a worker; called once in each process, to which it is pickled.
        processes: How many; 0 is one a core.
    """

    def __init__(self, make: Callable[[], Worker[Item, Result]], processes: int) -> None:
        self._make = make
        self._count = processes or available_cores()
        self._here: Worker[Item, Result] | None = None
        self._children: list[_Child] = []

    def __enter__(self) -> WorkerPool[Item, Result]:
        if self._count == 1:
            self._here = self._make()
            return self
        try:
            for _ in range(self._count):
                self._children.append(_start())
            for child in self._children:  # which begin side by side: what each is told may be more than a pipe holds
                _tell(child, self._make)
        except BaseException:
            self._end(at_once=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._end(at_once=kind is not None)

    @property
    def apart(self) -> bool:
        """Whether the work is done in other processes."""
        return self._count > 1

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """The result of each item, in their order; so are errors, those of making the items among them.

        Raises:
            WorkerError: A process died. Whatever `do` raises is raised here.
        """
        if self._here is not None:
            yield from map(self._here.do, items)
            return
        waiting, answers = iter(items), dict[int, _Answer]()
        given, taken, more = 0, 0, True
        while more or taken < given:
            idle = [child for child in self._children if child.number is None]
            while more and idle and given - taken < MAX_AHEAD * self._count:
                try:
                    item = next(waiting)
                except StopIteration:
                    more = False
                    break
                except Exception as error:
                    answers[given] = _Answer(failure=error)  # its turn comes behind the items before
                    more = False
                else:
                    _send(idle.pop(), given, item)
                given += 1
            if taken in answers:
                yield answers.pop(taken).result()
                taken += 1
            elif taken < given:
                answers.update(self._receive())

    def finish(self) -> list[Any]:
        """What each process has gathered. Raises WorkerError where one died."""
        if self._here is not None:
            return [self._here.finish()]
        for child in self._children:
            _send(child, 0, _FINISH)
        return [_take(child).result() for child in self._children]

    def _receive(self) -> dict[int, _Answer]:
        """Answers that are there, by their items' numbers; waits until there is one."""
        from multiprocessing.connection import wait

        busy = {child.pipe: child for child in self._children if child.number is not None}
        found = {}
        for pipe in wait(list(busy)):
            child = busy[pipe]  # type: ignore[index]
            assert child.number is not None
            number = child.number
            found[number] = _take(child)
        return found

    def _end(self, at_once: bool) -> None:
        for child in self._children:
            child.pipe.close()  # which ends a process that waits for work
            if at_once:
                child.process.terminate()
        for child in self._children:
            if _exit_code(child) is None:
                child.process.kill()
                child.process.wait()
        self._children.clear()


@dataclass(frozen=True)
class _Answer:
    """A result, or what was raised in its place."""

    value: Any = None
    failure: Exception | None = None

    def result(self) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.value


_FINISH = "finish"


_PROGRAM = "import sys; sys.path[:] = {path}; from rnnkit.system.workers import serve; serve({descriptor})"
"""What a process runs: modules are looked for where this one looks, but not in the current folder."""


def _start() -> _Child:
    """Start a process. It begins deaf to Ctrl-C, which reaches the whole group: its parent ends it."""
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


def _send(child: _Child, number: int, item: Any) -> None:
    child.number = number
    _tell(child, item)


def _tell(child: _Child, what: Any) -> None:
    try:
        child.pipe.send(what)
    except _PIPE_CLOSED:
        raise _death(child) from None


def _take(child: _Child) -> _Answer:
    """The answer of a process, which is idle then."""
    try:
        answer: _Answer = child.pipe.recv()
    except _PIPE_CLOSED:
        raise _death(child) from None
    child.number = None
    return answer


def _death(child: _Child) -> WorkerError:
    """Why a process is gone."""
    code = _exit_code(child)
    if code is not None and code < 0:
        reason = f"was ended by signal {-code} ({signal.Signals(-code).name})"
    else:
        reason = f"ended with exit status {code}"
    killed = code == -signal.SIGKILL
    return WorkerError(
        f"a worker process {reason}",
        f"process {child.process.pid}; what was there before is untouched",
        hint="the system kills processes when memory runs out: give fewer --processes"
        if killed
        else "run again with --processes 1, which says more where it fails",
    )


def _exit_code(child: _Child) -> int | None:
    """How a process ended; None where it still runs after some patience."""
    try:
        return child.process.wait(EXIT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return None


def serve(descriptor: int) -> None:
    """Be a process: make a worker as the pipe says and answer what comes through it, until its other end is closed.

    Args:
        descriptor: The file descriptor of this end of the pipe.
    """
    from multiprocessing.connection import Connection

    interpreter.protect_imports()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    worker: Worker[Any, Any] | None = None
    with suppress(*_PIPE_CLOSED), Connection(descriptor) as pipe:
        make = pipe.recv()
        while True:
            item = pipe.recv()
            try:
                worker = worker or make()
                answer = _Answer(worker.finish() if item == _FINISH else worker.do(item))
            except Exception as error:
                answer = _Answer(failure=_portable(error))
            pipe.send(answer)


def _portable(error: Exception) -> Exception:
    """An error that can be pickled, with its traceback as a note for `--debug`."""
    known = isinstance(error, RnnkitError | MemoryError | OSError)
    sent = error if known else RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note("".join(traceback.format_exception(error)))
    return sent
