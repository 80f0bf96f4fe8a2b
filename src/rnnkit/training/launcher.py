"""Launch a command in several processes on this machine with torch's elastic launcher, and wait for them."""

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
"""Seconds that processes have after SIGTERM to finish their step and save; before torch 2.10 it is fixed at 30."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HANDLED_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class LaunchResult:
    """Result of a launched command.

    Attributes:
        code: Exit code: 0 if all processes succeeded, else that of the first failure.
        killed: Rank that was killed first, and the name of the signal; None if none was.
    """

    code: int
    killed: tuple[int, str] | None = None


def launch(argv: Sequence[str], processes: int) -> LaunchResult:
    """Run a command in several processes, each with its rank in its environment.

    SIGINT and SIGTERM are forwarded to all of them; a second signal ends this process and, with it, the others. If one
    process fails, the others get SIGTERM.

    Args:
        argv: The program and its arguments.
        processes: Number of processes.
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
            elastic_launch(config, argv[0])(*argv[1:])
    except ChildFailedError as failure:
        return _first_failure(failure.failures)
    except SignalException as stop:
        return LaunchResult(128 + stop.sigval)
    return LaunchResult(0)


def _launcher_signal_options(config: type[Any]) -> dict[str, Any]:
    """Return options that leave SIGTERM and SIGINT to this module; before torch 2.9 there are none."""
    names = {field.name for field in dataclasses.fields(config)}
    return {"signals_to_handle": "SIGHUP,SIGQUIT"} if "signals_to_handle" in names else {}


_SECONDARY_SIGNALS = (signal.SIGTERM, signal.SIGABRT)
"""Signals that end a process after another one has failed: from the launcher, or from an abort of the transport."""


def _first_failure(failures: dict[int, Any]) -> LaunchResult:
    """Find the first failure; of failures within a second, one that was killed caused the others."""

    def order(item: tuple[int, Any]) -> tuple[int, bool, bool, int]:
        rank, failure = item
        return failure.timestamp, failure.exitcode >= 0, -failure.exitcode in _SECONDARY_SIGNALS, rank

    rank, first = min(failures.items(), key=order)
    if first.exitcode < 0:
        return LaunchResult(128 - first.exitcode, (rank, signal.Signals(-first.exitcode).name))
    return LaunchResult(first.exitcode)


@contextmanager
def _silence_launcher() -> Iterator[None]:
    """Suppress the launcher's log, as the processes report their errors, and restore signal handlers afterwards.

    Within the block the environment has this process's id, with which child processes end.
    """
    os.environ[interpreter.PARENT_VARIABLE] = str(os.getpid())
    level, handlers = logging.root.manager.disable, {number: signal.getsignal(number) for number in _HANDLED_SIGNALS}
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        os.environ.pop(interpreter.PARENT_VARIABLE, None)
        logging.disable(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)
