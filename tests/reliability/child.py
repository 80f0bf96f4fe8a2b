"""A command in a process of its own that shares what takes seconds to import: many short runs in little time.

The process is a copy of this one (fork), in which no thread was ever started. It runs what `rnnkit` runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600
"""Seconds: whoever compiles kernels on a busy machine takes some."""

_ABOVE_PERMISSIONS = (1, 2, 3)
"""Linux's numbers of CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER."""

_DROP_FROM_BOUNDS, _CAPABILITY_VERSION = 24, 0x20080522
"""Numbers of `prctl` and of `capget`'s format."""

_ROOM = 1 << 20


@dataclass(frozen=True)
class Ended:
    """What a command left behind.

    Attributes:
        code: Its exit code; minus the signal's number where one ended it.
        out: Its standard output.
        err: Its standard error.
        seconds: How long it ran.
    """

    code: int
    out: str
    err: str
    seconds: float


def warm() -> None:
    """Import what the commands import."""
    for name in ("torch", "numba", "sentencepiece", "safetensors.torch", "matplotlib.figure"):
        importlib.import_module(name)
    import rnnkit

    for module in pkgutil.walk_packages(rnnkit.__path__, "rnnkit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


class Child:
    """A command that runs.

    Args:
        words: Its command line without the program's name.
        folder: Its working directory.
        prepare: Called in the new process before the command; injects a fault.
    """

    def __init__(self, words: Sequence[str], folder: Path, prepare: Callable[[], None] = lambda: None) -> None:
        # Pipes, with room for all that is said: a limit for files must not silence the command.
        (self._out, out), (self._err, err) = os.pipe(), os.pipe()
        for writing in (out, err):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _ROOM)
        self._began = time.monotonic()
        sys.stdout.flush()  # what waits to be written would be written by both
        self.pid = os.fork()
        if not self.pid:
            _live(words, folder, prepare, (out, err))
        os.close(out)
        os.close(err)

    def kill(self) -> None:
        """End it as power loss would."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether it has come to its end; `wait` is still to be called."""
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def wait(self) -> Ended:
        """Wait for its end. Raises TimeoutError where it does not come."""
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            seconds = time.monotonic() - self._began
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), _text(self._out), _text(self._err), seconds)
            if seconds > PATIENCE:
                self.kill()
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"nothing happened for {PATIENCE} s: {_text(self._err)}")
            time.sleep(0.002)


def call(words: Sequence[str], folder: Path, prepare: Callable[[], None] = lambda: None) -> Ended:
    """Run a command to its end."""
    return Child(words, folder, prepare).wait()


def limit_files(size: int) -> None:
    """Let no file grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def lose_rights() -> None:
    """Be bound by permissions: root gives up the capabilities to read and write everything, and stays the same user.

    Another user would not reach an installation in a folder that is root's alone. Does nothing for other users.
    """
    system = ctypes.CDLL(None, use_errno=True)
    for capability in _ABOVE_PERMISSIONS:  # of programs that are started from here
        system.prctl(_DROP_FROM_BOUNDS, capability, 0, 0, 0)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if system.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(3):  # effective, permitted, inheritable: the lower half of each, then the upper
        sets[place] &= ~sum(1 << capability for capability in _ABOVE_PERMISSIONS)
    if system.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def jump_clock(jump: float) -> None:
    """Let the clock of the wall run backwards, this many seconds each time somebody looks."""
    now = time.time()
    looks = iter(range(1 << 62))
    time.time = lambda: now - jump * next(looks)
    time.time_ns = lambda: int(time.time() * 1e9)


def _live(words: Sequence[str], folder: Path, prepare: Callable[[], None], pipes: tuple[int, int]) -> None:
    """The life of the new process; it never returns."""
    code = 70
    try:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for here, there in ((nowhere, 0), (pipes[0], 1), (pipes[1], 2)):
            os.dup2(here, there)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - live as long as the process
            for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        os.chdir(folder)
        prepare()
        from rnnkit.cli import app

        code = app.run(list(words))
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, AttributeError, ValueError):
                stream.flush()
    except BaseException:
        os.write(pipes[1], traceback.format_exc().encode())
    finally:
        os._exit(code)


def _text(pipe: int) -> str:
    with open(pipe, "rb") as file:
        return file.read().decode("utf-8", "replace")
