"""Where every failure ends: one short paragraph on standard error and an exit code, never a bare traceback.

0 done, 1 expected failure or defect, 2 usage, 130 and 143 interrupted, 141 the reader of the results went away.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer

from rnnkit.cli import worker
from rnnkit.console import RED, paint, say
from rnnkit.errors import Interrupted, RnnkitError

DONE, FAILED, USAGE, BROKEN_PIPE = 0, 1, 2, 141

PARSER_ERROR: type[Any] = typer.BadParameter.__base__ or typer.BadParameter
"""What the parser raises for every kind of wrong usage; not all versions of Typer export it by its name."""


class Terminated(BaseException):
    """SIGTERM where no stage listens for it; files being written are cleaned up on its way out."""


def guard(work: Callable[[], int | None], debug: bool) -> int:
    """Do the work, explain whatever stops it, and return the exit code.

    Args:
        work: Returns an exit code, or None for done.
        debug: Show the traceback of a failure before its explanation.
    """
    try:
        return work() or DONE
    except typer.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        return _system_exit(stop)
    except BrokenPipeError:
        return BROKEN_PIPE
    except BaseException as failure:
        if debug:
            _speak("".join(traceback.format_exception(failure)).rstrip())
        text, code = explain(failure)
        if worker.may_explain():
            _speak(worker.mark(text))
        return code


def complain(failure: BaseException) -> None:
    """Say why something failed, where other work goes on."""
    _speak(explain(failure)[0])


def debugging(environment: Mapping[str, str]) -> bool:
    """Whether `RNNKIT_DEBUG` asks for tracebacks, known before any option is read."""
    return environment.get("RNNKIT_DEBUG", "").lower() not in ("", "0", "false", "no", "off")


def explain(failure: BaseException) -> tuple[str, int]:
    """What to tell the user about a failure, and the exit code."""
    match failure:
        case Interrupted():
            return str(failure), failure.exit_code
        case RnnkitError():
            return _error(str(failure)), failure.exit_code
        case KeyboardInterrupt():
            return "interrupted", 128 + signal.SIGINT
        case Terminated():
            return "terminated", 128 + signal.SIGTERM
    if isinstance(failure, PARSER_ERROR):
        return _error(str(_usage(failure))), USAGE
    if _is_memory(failure):
        return _error(str(_OUT_OF_MEMORY)), FAILED
    if isinstance(failure, OSError) and failure.errno is not None:
        return _error(str(_refused(failure))), FAILED
    setting = _compiler_setting(failure)
    if setting is not None:
        return _error(str(setting)), FAILED
    last_line = traceback.format_exception_only(failure)[-1].strip()
    defect = RnnkitError(
        "this is a defect in rnnkit, not in your data or options",
        last_line,
        hint="run again with --debug for the traceback, and report it with the command that you typed",
    )
    return _error(str(defect)), FAILED


@contextmanager
def termination() -> Iterator[None]:
    """Turn SIGTERM into `Terminated` while the block runs; stages that save on it install their own handler."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_streams() -> None:
    """Make the standard streams what the stages expect: present, and UTF-8 whatever the locale says."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
            setattr(sys, name, nowhere)
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        with suppress(AttributeError):  # a test's stand-in
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")  # type: ignore[union-attr]


def flush() -> None:
    """Hand over what is still buffered; an error here would otherwise appear after the end, unexplained."""
    sys.stdout.flush()


def silence() -> None:
    """Send nowhere what is left of results or messages that nobody takes.

    The interpreter's last flush would fail over it, and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _speak(text: str) -> None:
    with suppress(OSError):  # nobody listens any more
        say(text)


def _error(text: str) -> str:
    return f"{paint('error:', RED, sys.stderr)} {text}"


def _system_exit(stop: SystemExit) -> int:
    """The code of a SystemExit. Typer answers a pipe that broke under its help with 1; the shell's number is 141."""
    if isinstance(stop.__context__, OSError) and stop.__context__.errno == errno.EPIPE:
        return BROKEN_PIPE
    return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else FAILED


def _usage(failure: Any) -> RnnkitError:
    """The parser's complaint in the form of ours."""
    message = str(failure.message)
    what, _, guess = message.partition(". Did you mean ")
    possible = sorted(getattr(failure, "possibilities", None) or ())
    context = getattr(failure, "ctx", None)
    command = context.command_path if context is not None else "rnnkit COMMAND"
    what = what.rstrip(".")
    hint = f"`{command} --help` lists what there is"
    if context is not None and context.parent is None and hasattr(failure, "option_name"):
        hint = f"options stand behind the command; {hint}"
    if guess or possible:
        hint = f"did you mean {guess.rstrip('?') or ' or '.join(possible)}?"
    return RnnkitError(what[:1].lower() + what[1:], hint=hint)


_OUT_OF_MEMORY = RnnkitError(
    "out of memory",
    "what was saved before is untouched",
    hint="smaller batches, a smaller model or a smaller beam need less; close other programs",
)


def _is_memory(failure: BaseException) -> bool:
    """Whether memory ran out: Python's own, a GPU's (known by name, torch stays unimported) or torch's on the CPU."""
    names = {kind.__name__ for kind in type(failure).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(failure)


def _compiler_setting(failure: BaseException) -> RnnkitError | None:
    """The failure of a compiler of kernels (Numba, LLVM) that runs with settings of the user; None for all others."""
    from rnnkit import kernel_cache

    frames = [frame.filename for frame in traceback.extract_tb(failure.__traceback__)]
    settings = kernel_cache.settings()
    if not settings or not any(f"{os.sep}{name}{os.sep}" in file for file in frames for name in ("numba", "llvmlite")):
        return None
    names = ", ".join(name for name, _ in settings)
    return RnnkitError(
        f"kernels cannot be compiled with {', '.join(f'{name}={value}' for name, value in settings)}",
        traceback.format_exception_only(failure)[-1].strip().partition("\n")[0],
        hint=f"unset {names}",
    )


def _refused(failure: OSError) -> RnnkitError:
    """What the operating system said, with the file's name."""
    place = str(failure.filename) if failure.filename is not None else "a file or stream"
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return RnnkitError(
            f"the disk is full: {place} could not be written whole", hint="free some space and run the command again"
        )
    return RnnkitError(f"{place}: {failure.strerror}", hint="run again with --debug to see where it was needed")
