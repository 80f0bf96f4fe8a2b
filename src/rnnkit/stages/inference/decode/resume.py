"""Outputs of `decode` that grow, and the record that lets `--resume` continue with the same model and text."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, TypeVar

from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest, resumable_output
from rnnkit.io.atomic import atomic_file
from rnnkit.io.durable import fsync_directory, fsync_path
from rnnkit.stages.inference.decode.fingerprint import Fingerprint, compute_fingerprint
from rnnkit.stages.inference.decode.options import DecodeOptions
from rnnkit.stages.inference.decode.record import (
    KIND,
    VERSION,
    HashedPrefix,
    OutputState,
    find_output_state,
    record_path,
)

SECONDS = 1.0
"""Least time between two records while lines are read."""

BURST_SECONDS = 5.0
"""Most time without a record while lines are written."""

T = TypeVar("T")


class RecordedOutput:
    """Keeps the record of an output while it grows, and holds the text that is read against that of an earlier run.

    Args:
        options: Those of this call.
        identity: What decides about the text.
        start: What an earlier run has left.
    """

    def __init__(self, options: DecodeOptions, identity: Fingerprint, start: OutputState) -> None:
        self.start = start
        self.recording = False
        self._partial = resumable_output.partial_path(options.output)
        self._whole = self._partial.with_name(self._partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))
        self._each = options.group_lines
        self._identity = identity
        links = HashedPrefix() if start.links is None and options.alignments is not None else start.links
        # Replaced as a whole, so that an interrupt at any moment leaves numbers that belong together.
        self._state = replace(start, links=links)
        self._text = hashlib.sha256()
        self._ahead: deque[bytes] = deque()
        self._links: deque[bytes] = deque()
        self._files: list[IO[str]] = []
        self._saved_lines, self._saved_at = -1, 0.0

    @property
    def done(self) -> int:
        """Lines of text that an earlier run has answered."""
        return self.start.lines

    def read(self, lines: Iterable[T]) -> Iterator[T]:
        """Pass the text on, line by line, as it is read.

        Raises:
            ArtefactError: It does not begin with the lines that are already answered.
        """
        number = 0
        for number, line in enumerate(self._saving(lines), start=1):
            spelled = line.encode() if isinstance(line, str) else repr(line).encode()
            if number <= self.done:
                self._text = _with_line(self._text, spelled)
                if number == self.done and self._text.hexdigest() != self.start.text:
                    raise self._another_text(
                        f"the sha256 of its first {self.done:,} lines is {self.start.text[:12]}… then, "
                        f"{self._text.hexdigest()[:12]}… now"
                    )
            elif self.recording:
                self._ahead.append(spelled)
            yield line
        if number < self.done:
            raise self._another_text(f"it had {self.done:,} lines then, {number:,} now")

    def _saving(self, lines: Iterable[T]) -> Iterator[T]:
        """The lines; what was written so far is recorded before the next one is waited for."""
        remaining = iter(lines)
        while True:
            if self._state.lines > self._saved_lines >= 0 and time.monotonic() - self._saved_at >= SECONDS:
                self.save()
            try:
                line = next(remaining)
            except StopIteration:
                return
            yield line

    def _another_text(self, why: str) -> ArtefactError:
        shown = self._partial if self._partial.is_file() else self._whole
        return ArtefactError(
            f"{shown} was made from another text", why,
            hint="give the same text to continue with it, or --overwrite to begin anew",
        )  # fmt: skip

    def follow(self, file: IO[str]) -> None:
        """Bring what is written to a file to the disk before a record vouches for it."""
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            self._files.append(file)

    def linked(self, text: str) -> None:
        """Take note of the links of the line of text that is answered next."""
        self._links.append(text.encode())

    def write(self, lines: Iterable[str], file: IO[str]) -> None:
        """Write output lines, and record after some of them."""
        self.follow(file)
        group: list[str] = []
        for line in lines:
            group.append(f"{line}\n")
            file.write(group[-1])
            if len(group) == self._each:
                self._answer("".join(group).encode())
                group = []

    def _answer(self, output: bytes) -> None:
        """Take note that the next line of text has its output."""
        state, text = self._state, _with_line(self._text, self._ahead[0])
        links = state.links if state.links is None else state.links.plus(self._links[0])
        after = OutputState(state.lines + 1, state.output.plus(output), links, text.hexdigest())
        self._state, self._text = after, text
        self._ahead.popleft()
        if links is not None:
            self._links.popleft()
        if time.monotonic() - self._saved_at >= BURST_SECONDS:
            self.save()

    def save(self, finished: bool = False) -> None:
        """Write the record, after what it vouches for is on the disk."""
        for file in self._files:
            if not file.closed:
                _check_present(file)
                file.flush()
                os.fsync(file.fileno())
        state = self._state
        facts = {
            "finished": finished,
            "lines": state.lines,
            "text": state.text,
            "output": state.output.as_dict(),
            "alignments": None if state.links is None else state.links.as_dict(),
            "texts": dict(self._identity.texts),
            "paths": dict(self._identity.paths),
        }
        record = manifest.Manifest(KIND, VERSION, self._identity.options, self._identity.inputs, {}, facts)
        manifest.write(record_path(self._partial), record)
        self._saved_lines, self._saved_at = state.lines, time.monotonic()

    def leave(self) -> None:
        """Record what is whole of an output that is left early; forget the record where nothing of it is left."""
        if not self._partial.is_file():
            record_path(self._partial).unlink(missing_ok=True)
            return
        with suppress(OSError, ArtefactError):  # on a full disk the record before this one holds
            for file in self._files:
                fsync_path(Path(file.name))
            self.save()

    def close(self) -> None:
        """Put the record beside the finished output."""
        record_path(self._partial).replace(record_path(self._whole))
        fsync_directory(self._whole.parent)


def _check_present(file: IO[str]) -> None:
    """Raise ArtefactError where an open file has lost its name: what is written to it would never be found."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), Path(file.name).stat()):
            return
    raise ArtefactError(
        f"{file.name} is gone: it or its folder was removed while it was written",
        "nothing more is written",
        hint="run the command again",
    )


def _with_line(running: Any, line: bytes) -> Any:
    """The SHA-256 of lines and one more, each with its length before it."""
    after = running.copy()
    after.update(len(line).to_bytes(8, "little") + line)
    return after


def open_recorded_output(options: DecodeOptions) -> RecordedOutput:
    """What keeps the record of an output file.

    Raises:
        ArtefactError: As `find`.
        DataError: A file or model is missing or cannot be read.
        FormatError: A model or the record is damaged.
    """
    identity = compute_fingerprint(options)
    return RecordedOutput(options, identity, find_output_state(options, identity) if options.resume else OutputState())


def write(lines: Iterator[str], options: DecodeOptions, keeper: RecordedOutput, listen: Listener) -> None:
    """Write output lines to a file that keeps what was written, and its record, where work is interrupted.

    Args:
        lines: Those behind what the keeper has found.
        options: Those of the call.
        keeper: Of the output.
        listen: Gets a note of how much there was, and of what an interrupted run has left.
    """
    partial = resumable_output.partial_path(options.output)
    if keeper.done:
        # Nothing is written before the lines that are already answered are read again and compared.
        first = list(islice(lines, 1))
        lines = chain(first, lines)
        if not first and not partial.is_file():
            listen(Note(f"{options.output} is finished: there is nothing to add to its {keeper.done:,} lines"))
            return
        listen(Note(f"{options.output}: going on behind line {keeper.done:,}"))
        if not partial.is_file():
            with resumable_output.open_uncompressed(options.output) as whole, atomic_file(partial, "wb") as copy:
                shutil.copyfileobj(whole, copy)
    keeper.save()
    try:
        with resumable_output.resumable_file(options.output, keeper.done * options.group_lines) as file:
            keeper.write(lines, file)
            keeper.save(finished=True)
    except BaseException:
        keeper.leave()
        if left := resumable_output.count_complete_lines(partial) if partial.is_file() else 0:
            listen(Note(f"{partial} has {left:,} lines; --resume goes on with them"))
        raise
    keeper.close()
