"""Starts a command in several processes of this machine, by torch's own elastic launcher, and waits for their end."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnnkit.system import interpreter
from rnnkit.training import signals

SHUTDOWN_SECONDS = "600"
"""Seconds that processes have to finish their step and save when they are asked to stop; releases of torch before
2.10 know nothing of it and give them 30."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HANDLED_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class LaunchResult:
    """How a command in several processes came to its end.

    Attributes:
        code: The exit code: 0 where all are done, else that of the first that failed.
        killed: The process that was killed, and the signal's name; None where none was.
    """

    code: int
    killed: tuple[int, str] | None = None


def launch(words: Sequence[str], processes: int) -> LaunchResult:
    """Run a command in so many processes, each of which finds its number in its environment.

    SIGINT and SIGTERM are passed on to all of them; a second one ends this process, and they end with it. Where one
    fails, the others are ended with SIGTERM.

    Args:
        words: The program and its arguments.
        processes: How many.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    stops: dict[int, Callable[[], BaseException]] = {
        number: partial(SignalException, "", number) for number in _STOP_SIGNALS
    }
    try:
        with (
            tempfile.TemporaryDirectory(prefix="rnnkit-") as folder,
            _silence_launcher(),
            signals.raise_on_signals(stops),
        ):
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                max_restarts=0,
                logs_specs=DefaultLogsSpecs(log_dir=folder),
                **_launcher_signal_options(LaunchConfig),
            )
            elastic_launch(config, words[0])(*words[1:])
    except ChildFailedError as failure:
        return _first_failure(failure.failures)
    except SignalException as stop:
        return LaunchResult(128 + stop.sigval)
    return LaunchResult(0)


def _launcher_signal_options(config: type[Any]) -> dict[str, Any]:
    """Settings that leave the stopping signals to this module; torch before 2.9 takes them over whatever is set."""
    known = {field.name for field in dataclasses.fields(config)}
    return {"signals_to_handle": "SIGHUP,SIGQUIT"} if "signals_to_handle" in known else {}


_SECONDARY_SIGNALS = (signal.SIGTERM, signal.SIGABRT)
"""What ends the others: the launcher's word, or the transport that gives up when the other end is gone."""


def _first_failure(failures: dict[int, Any]) -> LaunchResult:
    """What failed first; of those that failed in the same second, what was killed, which the others only noticed."""

    def order(item: tuple[int, Any]) -> tuple[int, bool, bool, int]:
        rank, failure = item
        return failure.timestamp, failure.exitcode >= 0, -failure.exitcode in _SECONDARY_SIGNALS, rank

    rank, first = min(failures.items(), key=order)
    if first.exitcode < 0:
        return LaunchResult(128 - first.exitcode, (rank, signal.Signals(-first.exitcode).name))
    return LaunchResult(first.exitcode)


@contextmanager
def _silence_launcher() -> Iterator[None]:
    """Keep the launcher from logging what the processes have said themselves, and its signal handlers to the block.

    The processes that are started in it find in their environment whom they must not outlive.
    """
    os.environ[interpreter.PARENT_VARIABLE] = str(os.getpid())
    before, handlers = logging.root.manager.disable, {number: signal.getsignal(number) for number in _HANDLED_SIGNALS}
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        os.environ.pop(interpreter.PARENT_VARIABLE, None)
        logging.disable(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
