"""Failures as one short paragraph on standard error and an exit code; a traceback only with `--debug`.

Exit codes: 0 done, 1 expected failure or defect, 2 usage, 130 and 143 interrupted, 141 broken pipe.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import typer

from rnnkit.cli import processes, suggestions
from rnnkit.cli.console import RED, YELLOW, write_line
from rnnkit.errors import ConfigError, Interrupted, RnnkitError, UsageError
from rnnkit.options.declare import did_you_mean
from rnnkit.system import interpreter
from rnnkit.training import signals
from rnnkit.training.signals import Terminated

DONE, FAILED, USAGE, BROKEN_PIPE = 0, 1, 2, 141

PARSER_ERROR: type[Any] = typer.BadParameter.__base__ or typer.BadParameter
"""What the parser raises for every kind of wrong usage; not all versions of Typer export it by its name."""


def guard(work: Callable[[], int | None], debug: bool) -> int:
    """Do the work, explain an exception, and return the exit code.

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
        if (number := signals.take_pending()) and not isinstance(failure, Interrupted):
            failure = _STOPS[number]()  # whatever the signal's exception was turned into on its way
        text, code = explain(failure)
        if processes.is_reporting_rank():
            _speak(*((text, processes.mark("error:")) if is_error(failure) else (processes.mark(text),)))
        return code


def print_error(failure: BaseException) -> None:
    """Print an error while other work continues."""
    _speak(explain(failure)[0], "error:")


def debugging(environment: Mapping[str, str]) -> bool:
    """Whether `RNNKIT_DEBUG` requests tracebacks; read before any option."""
    return environment.get("RNNKIT_DEBUG", "").lower() not in ("", "0", "false", "no", "off")


def is_error(failure: BaseException) -> bool:
    """Whether the explanation begins with `error:`; not for signals."""
    return not isinstance(failure, Interrupted | KeyboardInterrupt | Terminated)


def explain(failure: BaseException) -> tuple[str, int]:
    """The message for a failure, and the exit code."""
    match failure:
        case RnnkitError():
            return str(failure), failure.exit_code
        case KeyboardInterrupt():
            return "interrupted", 128 + signal.SIGINT
        case Terminated():
            return "terminated", 128 + signal.SIGTERM
    if isinstance(failure, PARSER_ERROR):
        error = _usage(failure)
        return str(error), error.exit_code
    if _is_memory(failure):
        return str(_OUT_OF_MEMORY), FAILED
    setting = _compiler_setting(failure)
    if setting is not None:
        return str(setting), FAILED
    broken = interpreter.explain_import_failure(failure)
    if broken is not None:
        return str(broken), broken.exit_code
    if isinstance(failure, OSError) and failure.errno is not None:
        return str(_refused(failure)), FAILED
    if isinstance(failure, RuntimeError) and str(failure).startswith("Symlink loop"):  # OSError since Python 3.13
        return str(RnnkitError("a link leads to itself", str(failure), hint="remove it, or name another file")), FAILED
    if isinstance(failure, UnicodeEncodeError) and failure.reason == "surrogates not allowed":
        return str(_no_unicode(failure)), FAILED
    last_line = traceback.format_exception_only(failure)[-1].strip()
    defect = RnnkitError(
        "this is a defect in rnnkit, not in your data or options",
        last_line,
        hint="run again with --debug for the traceback, and report it with the command that you typed",
    )
    return str(defect), FAILED


_STOPS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
"""Exceptions for signals; stages that save on a signal install their own handler."""


@contextmanager
def termination() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into exceptions while the block runs, and format warnings of Python as rnnkit's."""
    before = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        with signals.raise_on_signals(_STOPS):
            yield
    finally:
        warnings.showwarning = before


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    with suppress(OSError):
        write_line(f"{message} ({category.__name__}, {filename}:{lineno})", ("warning:", YELLOW))


def open_streams() -> None:
    """Make the standard streams present, and UTF-8 in every locale."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the parent process
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
            setattr(sys, name, nowhere)
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        with suppress(AttributeError):  # a test's stand-in
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")  # type: ignore[union-attr]


def flush() -> None:
    """Flush standard output; otherwise an error would appear after the end, unexplained."""
    sys.stdout.flush()


def close_streams() -> None:
    """Discard buffered output that has no reader.

    The interpreter's last flush would fail on it and change the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _speak(text: str, mark: str = "") -> None:
    with suppress(OSError):  # standard error is closed
        write_line(text, (mark, RED) if mark else None)


def _system_exit(stop: SystemExit) -> int:
    """The code of a SystemExit. Typer answers a pipe that broke under its help with 1; the shell's number is 141."""
    if isinstance(stop.__context__, OSError) and stop.__context__.errno == errno.EPIPE:
        return BROKEN_PIPE
    return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else FAILED


def _usage(failure: Any) -> RnnkitError:
    """An error of Typer's parser as one of rnnkit's."""
    context, parameter = getattr(failure, "ctx", None), getattr(failure, "param", None)
    if context is not None and parameter is not None:
        return _bad_value(failure, context, parameter)
    what = str(failure.message).partition(". Did you mean ")[0].partition(" (Possible options")[0].rstrip(".")
    hint = f"`{context.command_path if context is not None else 'rnnkit COMMAND'} --help` lists what there is"
    name = getattr(failure, "option_name", None)
    if context is not None and what.startswith("Got unexpected extra argument"):
        return _extra_argument(
            what.partition("(")[2].partition(": ")[2] or what.rpartition("(")[2].rstrip(")"), context, hint
        )
    if context is not None and what.startswith("No such command"):
        hint = suggestions.for_command(what.partition("'")[2].rstrip("'"), context.command.commands) or hint
    elif context is not None and name is not None:
        flags = [flag for each in context.command.params for flag in (*each.opts, *each.secondary_opts)]
        meant = suggestions.for_option(name, context.info_name or "", flags)
        hint = meant or (hint if context.parent else f"options follow the command; {hint}")
    return UsageError(what[:1].lower() + what[1:], hint=hint, option=name)


def _extra_argument(words: str, context: Any, hint: str) -> RnnkitError:
    """More arguments than the command takes: most often a name for its output or input."""
    names = {name for each in context.command.params for name in each.opts}
    one = " " not in words
    if one and "--output" in names:
        hint = f"to name the output, use --output {words}"
    elif one and "output" in names:
        flag = "--vectors" if "--vectors" in names else "--model"
        hint = f"the only argument is OUTPUT; {flag} names the input"
    return UsageError(f"unexpected argument{'' if one else 's'}: {words}", hint=hint)


_EXPECTED = {
    "int": "expects an integer",
    "float": "expects a number",
    "bool": "expects true or false",
    "path": "expects a path",
    "string": "expects text",
}
"""What a value of Pydantic's error types must be, by the beginning of their names."""


def _bad_value(failure: Any, context: Any, parameter: Any) -> RnnkitError:
    """A value that does not fit its option; the error names the source of the value."""
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else str(parameter.metavar or parameter.name)
    source = getattr(context.get_parameter_source(parameter.name), "name", "")
    if source == "ENVIRONMENT":
        where = f"{parameter.envvar} ({name})"
    elif source == "DEFAULT_MAP":
        where = f"{context.params.get('config')}: [{context.info_name}] {name.lstrip('-')}"
    else:
        where = name
    kind = UsageError if source in ("COMMANDLINE", "DEFAULT", "") else ConfigError
    errors: list[Any] = getattr(failure.__cause__, "errors", list)()
    if not errors:  # a missing argument, or one that Typer checks itself
        missing = type(failure).__name__ == "MissingParameter"
        return kind(
            f"{where} is missing" if missing else f"{where}: {failure.message}", parameter.help or "", option=name
        )
    type_, value, bounds = errors[0]["type"], errors[0]["input"], errors[0].get("ctx", {})
    if choices := [str(choice) for choice in parameter.type_descriptor.choices or ()]:
        hint = did_you_mean(str(value), choices)
        return kind(f"{where} cannot be {value!r}", f"choose from: {', '.join(choices)}", hint=hint, option=name)
    if type_ == "greater_than_equal":
        return kind(f"{where} must be at least {_bound(bounds['ge'])}, not {value}", option=name)
    if type_ == "less_than_equal":
        return kind(f"{where} must be at most {_bound(bounds['le'])}, not {value}", option=name)
    expected = _EXPECTED.get(type_.partition("_")[0], errors[0]["msg"])
    return kind(f"{where} {expected}, not {value!r}", option=name)


def _bound(value: float) -> str:
    """A bound as it is declared: `1` rather than the `1.0` of an option with fractions."""
    return str(int(value)) if value == int(value) else str(value)


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
    from rnnkit.kernels import kernel_cache

    frames = [frame.filename for frame in traceback.extract_tb(failure.__traceback__)]
    settings = kernel_cache.numba_settings()
    if not settings or not any(f"{os.sep}{name}{os.sep}" in file for file in frames for name in ("numba", "llvmlite")):
        return None
    names = ", ".join(name for name, _ in settings)
    return RnnkitError(
        f"kernels cannot be compiled with {', '.join(f'{name}={value}' for name, value in settings)}",
        traceback.format_exception_only(failure)[-1].strip().partition("\n")[0],
        hint=f"unset {names}",
    )


def _no_unicode(failure: UnicodeEncodeError) -> RnnkitError:
    """Python holds the bytes of a name that is not UTF-8 as halves of surrogate pairs, which no file can hold."""
    start = max(0, failure.start - 40)
    return RnnkitError(
        "the name of a file is not UTF-8, so that it cannot be recorded",
        failure.object[start : failure.end + 20].splitlines()[0] if failure.object else "",
        hint="rename the file",
    )


def _refused(failure: OSError) -> RnnkitError:
    """What the operating system said, with the file's name."""
    place = str(failure.filename) if failure.filename is not None else "a file or stream"
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return RnnkitError(
            f"the disk is full: {place} could not be written whole", hint="free some space and run the command again"
        )
    return RnnkitError(f"{place}: {failure.strerror}", hint="run again with --debug to see where it was needed")
