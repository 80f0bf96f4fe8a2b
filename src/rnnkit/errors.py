"""Errors that a user can act on.

Every one says what went wrong, where and why, and what to do next. The command line prints `str(error)`
behind `error:`; a traceback is shown only with `--debug`.
"""

from __future__ import annotations


class RnnkitError(Exception):
    """An expected failure: the user's data, files or options, not a defect of rnnkit.

    Args:
        what: One line without a full stop: what went wrong.
        details: Further lines: where (`file:line`) and why.
        hint: What to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *details: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.details = details
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what, *(f"  {detail}" for detail in self.details)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
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
