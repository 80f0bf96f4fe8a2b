"""Errors that a user can act on.

Every one says what went wrong, where and why, and what to do next. The command line prints `str(error)`
behind `error:`; a traceback is shown only with `--debug`.
"""

from __future__ import annotations

import re
from pathlib import Path

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What makes a terminal do something other than show a sign: control characters, changes of the direction of writing,
line ends other than the usual one, and halves of surrogate pairs, which stand for bytes that are not UTF-8."""


def escape_control(text: str) -> str:
    r"""A text as a terminal may get it: `\x1b` in the place of what would steer it. Tabs and line ends stay."""
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), text)


def escape_line(text: str) -> str:
    """The same in one line, whatever it holds."""
    return escape_control(text).replace("\n", "\\n")


def escape_json(document: str) -> str:
    """JSON or TOML as a terminal may get it: the same document, its strings with more escapes."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", document)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a file's name
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class RnnkitError(Exception):
    """An expected failure: the user's data, files or options, not a defect of rnnkit.

    Args:
        what: One line without a full stop: what went wrong.
        details: Further lines: where (`file:line`) and why.
        hint: What to do next.
        path: The file or folder at fault, if there is one.
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

    def rename(self, old: str, new: str) -> None:
        """Put another name in the place of one, such as that of a temporary file."""
        self.what = self.what.replace(old, new)
        self.details = tuple(detail.replace(old, new) for detail in self.details)
        self.hint = self.hint and self.hint.replace(old, new)

    def __str__(self) -> str:
        """Escaped, and with each part where it belongs: a file's name may hold line ends and control characters."""
        lines = [escape_line(self.what)]
        lines += [f"  {line}" for detail in self.details for line in escape_control(detail).split("\n")]
        if self.hint:
            lines.append(f"  hint: {escape_line(self.hint)}")
        return "\n".join(lines)


class ConfigError(RnnkitError):
    """An option, environment variable or configuration file that cannot be used."""


class UsageError(ConfigError):
    """A command line that makes no sense; exits with 2, as the parser's own errors do."""

    exit_code = 2


class DataError(RnnkitError):
    """Text or aligned data that is missing, empty, malformed or does not fit together."""


class FormatError(RnnkitError):
    """A file of a known format that is damaged, truncated or of a newer version."""


class ArtefactError(RnnkitError):
    """Artefacts that do not belong together, are in use, or would be overwritten."""


class TrainingError(RnnkitError):
    """Training that cannot go on, such as a loss that is no longer a number."""


class WorkerError(RnnkitError):
    """A process that shared in the work and died."""


class Interrupted(RnnkitError):
    """A signal ended the work after everything was saved; exits with 128 + the signal's number."""

    def __init__(self, signal_number: int, *details: str, hint: str | None = None) -> None:
        super().__init__("interrupted", *details, hint=hint)
        self.exit_code = 128 + signal_number
