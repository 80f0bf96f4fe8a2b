"""Errors that a user can act on.

Each states what is wrong, where and why, and what to do next. The command line prints `str(error)` after `error:`; a
traceback is printed only with `--debug`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for a full disk, an exceeded quota and the maximum file size."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal does not simply display: control characters, changes of the writing direction, line ends
other than LF, and lone surrogates, which represent bytes that are not UTF-8."""


def escape_control(text: str) -> str:
    r"""Escape control characters for a terminal, such as `\x1b`. Tabs and line ends are kept."""
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), text)


def escape_line(text: str) -> str:
    """Escape control characters and line ends for a terminal."""
    return escape_control(text).replace("\n", "\\n")


def escape_json(document: str) -> str:
    """Escape control characters in the strings of a JSON or TOML document, which keeps its value."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", document)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte of a file name
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class RnnkitError(Exception):
    """An expected failure caused by data, files or options, not by a defect of rnnkit.

    Args:
        what: What is wrong: one line without a period.
        details: Further lines: where (`file:line`) and why.
        hint: What to do next.
        path: The file or directory at fault, if any.
        line: Its line, counted from 1.
        option: The option at fault, such as `--beam`.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *details: str,
        hint: str | None = None,
        path: Path | str | None = None,
        line: int | None = None,
        option: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.details = details
        self.hint = hint
        self.path = None if path is None else Path(path)
        self.line = line
        self.option = option

    def replace_text(self, old: str, new: str) -> None:
        """Replace a name in all texts, such as that of a temporary file."""
        self.what = self.what.replace(old, new)
        self.details = tuple(detail.replace(old, new) for detail in self.details)
        self.hint = self.hint and self.hint.replace(old, new)

    def __str__(self) -> str:
        """Return the escaped message; file names may contain line ends and control characters."""
        lines = [escape_line(self.what)]
        lines += [f"  {line}" for detail in self.details for line in escape_control(detail).split("\n")]
        if self.hint:
            lines.append(f"  hint: {escape_line(self.hint)}")
        return "\n".join(lines)


class ConfigError(RnnkitError):
    """An option, environment variable or configuration file that cannot be used."""


class UsageError(ConfigError):
    """An invalid command line; exits with 2, as errors of the parser do."""

    exit_code = 2


class DataError(RnnkitError):
    """Text or aligned data that is missing, empty, malformed or inconsistent."""


class FormatError(RnnkitError):
    """A file of a known format that is damaged, truncated or of a newer version."""


class ArtefactError(RnnkitError):
    """Artifacts that are incompatible, in use, or would be overwritten."""


class TrainingError(RnnkitError):
    """Training that cannot continue, such as after a non-finite loss."""


class WorkerError(RnnkitError):
    """A worker process that ended unexpectedly."""


class Interrupted(RnnkitError):
    """A signal ended the work after everything was saved; exits with 128 + the signal number."""

    def __init__(self, signal_number: int, *details: str, hint: str | None = None) -> None:
        super().__init__("interrupted", *details, hint=hint)
        self.exit_code = 128 + signal_number


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system while `path` is written to ArtefactError; broken pipes pass through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # NumPy raises errors without a number that contain "written".
        full = error.errno in DISK_FULL_ERRNOS or (error.errno is None and "written" in str(error))
        hint = "free some space and run the command again" if full else "check the permissions of the directory"
        what = "the disk is full" if full else "cannot write"
        raise ArtefactError(
            f"{what}: {path} was not written",
            f"{error.strerror or error}; existing files are unchanged",
            hint=hint,
            path=path,
        ) from error
