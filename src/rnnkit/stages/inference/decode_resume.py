"""Resumable outputs of `decode`: files that grow together with a record, from which `--resume` continues."""

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
from typing import IO, TYPE_CHECKING, TypeVar

from rnnkit.errors import ArtefactError, RnnkitError
from rnnkit.events import Listener, Note
from rnnkit.io import atomic, manifest, resumable_output
from rnnkit.io.atomic import atomic_file, fsync_directory, fsync_path
from rnnkit.io.resumable_output import HashedPrefix
from rnnkit.options.declare import STDIN
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.inference.decode_record import (
    KIND,
    VERSION,
    Fingerprint,
    OutputState,
    compute_fingerprint,
    find_output_state,
    record_path,
)

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MIN_SECONDS = 1.0
"""Minimum time between two records while input lines are read."""

MAX_SECONDS = 5.0
"""Maximum time without a record while output lines are written."""

T = TypeVar("T")


def is_recorded(options: DecodeOptions) -> bool:
    """Return whether the output is a file that can be resumed: neither a stream nor a device."""
    output = options.output
    return output != STDIN and not atomic.is_stream(output) and (output.is_file() or not output.exists())


def check_record_names(options: DecodeOptions) -> None:
    """Check that no other file has the name of a record. Raises ArtefactError if one does."""
    partial = resumable_output.partial_path(options.output)
    for path in (
        record_path(partial),
        record_path(partial.with_name(partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))),
    ):
        if path.exists():
            try:
                own = manifest.load(path).kind == KIND
            except RnnkitError:
                own = False
            if not own:
                raise ArtefactError(
                    f"{path} was not written by `rnnkit decode`: it is not replaced",
                    "the record of the output has this name",
                    hint="choose another --output",
                    path=path,
                )


class RecordedOutput:
    """Keeps the record of an output while it grows, and compares the input with that of an earlier run.

    Args:
        options: The options of this call.
        fingerprint: Fingerprint of this call.
        start: Progress of an earlier run.
    """

    def __init__(self, options: DecodeOptions, fingerprint: Fingerprint, start: OutputState) -> None:
        self.start = start
        self.recording = False
        self._partial = resumable_output.partial_path(options.output)
        self._whole = self._partial.with_name(self._partial.name.removesuffix(resumable_output.PARTIAL_SUFFIX))
        self._lines_per_input = options.lines_per_input
        self._fingerprint = fingerprint
        links = HashedPrefix() if start.links is None and options.alignments is not None else start.links
        # Replaced as a whole, so that an interrupt at any moment leaves a consistent state.
        self._state = replace(start, links=links)
        self._text = hashlib.sha256()
        self._pending_lines: deque[bytes] = deque()
        self._pending_links: deque[bytes] = deque()
        self._files: list[IO[str]] = []
        self._saved_lines, self._saved_at = -1, 0.0

    @property
    def done(self) -> int:
        """Input lines that an earlier run has decoded."""
        return self.start.lines

    def read(self, lines: Iterable[T]) -> Iterator[T]:
        """Pass the input lines through as they are read.

        Raises:
            ArtefactError: They do not begin with the lines that an earlier run has decoded.
        """
        number = 0
        for number, line in enumerate(self._saving(lines), start=1):
            encoded = line.encode() if isinstance(line, str) else repr(line).encode()
            if number <= self.done:
                self._text = _with_line(self._text, encoded)
                if number == self.done and self._text.hexdigest() != self.start.text:
                    raise self._other_text_error(
                        f"the sha256 of its first {self.done:,} lines was {self.start.text[:12]}… then, "
                        f"{self._text.hexdigest()[:12]}… now"
                    )
            elif self.recording:
                self._pending_lines.append(encoded)
            yield line
        if number < self.done:
            raise self._other_text_error(f"it had {self.done:,} lines then, {number:,} now")

    def _saving(self, lines: Iterable[T]) -> Iterator[T]:
        """Pass the lines through, and record what has been written before waiting for the next one."""
        remaining = iter(lines)
        while True:
            if self._state.lines > self._saved_lines >= 0 and time.monotonic() - self._saved_at >= MIN_SECONDS:
                self.save()
            try:
                line = next(remaining)
            except StopIteration:
                return
            yield line

    def _other_text_error(self, why: str) -> ArtefactError:
        shown = self._partial if self._partial.is_file() else self._whole
        return ArtefactError(
            f"{shown} was made from another text", why,
            hint="give the same text to resume it, or --overwrite to start again", path=shown,
        )  # fmt: skip

    def track(self, file: IO[str]) -> None:
        """Flush a file to disk before each record that covers it."""
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            self._files.append(file)

    def add_links(self, text: str) -> None:
        """Add the alignment links of the next input line to be completed."""
        self._pending_links.append(text.encode())

    def write(self, lines: Iterable[str], file: IO[str]) -> None:
        """Write output lines, and the record from time to time."""
        self.track(file)
        group: list[str] = []
        for line in lines:
            group.append(f"{line}\n")
            file.write(group[-1])
            if len(group) == self._lines_per_input:
                self._complete_line("".join(group).encode())
                group = []

    def _complete_line(self, output: bytes) -> None:
        """Advance the state by one input line."""
        state, text = self._state, _with_line(self._text, self._pending_lines[0])
        links = state.links if state.links is None else state.links.plus(self._pending_links[0])
        after = OutputState(state.lines + 1, state.output.plus(output), links, text.hexdigest())
        self._state, self._text = after, text
        self._pending_lines.popleft()
        if links is not None:
            self._pending_links.popleft()
        if time.monotonic() - self._saved_at >= MAX_SECONDS:
            self.save()

    def save(self, finished: bool = False) -> None:
        """Write the record, after flushing what it covers to disk."""
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
            "texts": dict(self._fingerprint.texts),
            "paths": dict(self._fingerprint.paths),
        }
        record = manifest.Manifest(KIND, VERSION, self._fingerprint.options, self._fingerprint.inputs, {}, facts)
        manifest.write(record_path(self._partial), record)
        self._saved_lines, self._saved_at = state.lines, time.monotonic()

    def interrupt(self) -> None:
        """Record the complete lines of an unfinished output; remove the record if there is no partial output."""
        if not self._partial.is_file():
            record_path(self._partial).unlink(missing_ok=True)
            return
        with suppress(OSError, ArtefactError):  # on a full disk the previous record remains valid
            for file in self._files:
                fsync_path(Path(file.name))
            self.save()

    def finish(self) -> None:
        """Move the record beside the finished output."""
        record_path(self._partial).replace(record_path(self._whole))
        fsync_directory(self._whole.parent)


def _check_present(file: IO[str]) -> None:
    """Raise ArtefactError if an open file was removed: what is written to it would be lost."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), Path(file.name).stat()):
            return
    raise ArtefactError(
        f"{file.name} disappeared: it or its directory was removed while it was written",
        "writing has stopped",
        hint="run the command again",
        path=file.name,
    )


def _with_line(running: Hash, line: bytes) -> Hash:
    """Extend a SHA-256 of lines by one more; each is preceded by its length."""
    after = running.copy()
    after.update(len(line).to_bytes(8, "little") + line)
    return after


def open_recorded_output(options: DecodeOptions) -> RecordedOutput:
    """Open the record of an output file; with `resume`, continue that of an earlier run.

    Raises:
        ArtefactError: As `find_output_state`.
        DataError: A file or model is missing or cannot be read.
        FormatError: A model or the record is damaged.
    """
    fingerprint = compute_fingerprint(options)
    start = find_output_state(options, fingerprint) if options.resume else OutputState()
    return RecordedOutput(options, fingerprint, start)


def write(lines: Iterator[str], options: DecodeOptions, recorded: RecordedOutput, listen: Listener) -> None:
    """Write output lines to a file; an interrupt leaves the partial file and its record.

    Args:
        lines: Output lines after those of an earlier run.
        options: The options of this call.
        recorded: Record of the output.
        listen: Receives a note of what was resumed, or of what an interrupted run has left.
    """
    partial = resumable_output.partial_path(options.output)
    if recorded.done:
        # Nothing is written before the lines already decoded have been read again and compared.
        first = list(islice(lines, 1))
        lines = chain(first, lines)
        if not first and not partial.is_file():
            listen(Note(f"{options.output} is complete: there are no lines after line {recorded.done:,}"))
            return
        listen(Note(f"{options.output}: resuming after line {recorded.done:,}"))
        if not partial.is_file():
            with resumable_output.open_uncompressed(options.output) as whole, atomic_file(partial, "wb") as copy:
                shutil.copyfileobj(whole, copy)
    recorded.save()
    try:
        with resumable_output.resumable_file(options.output, recorded.done * options.lines_per_input) as file:
            recorded.write(lines, file)
            recorded.save(finished=True)
    except BaseException:
        recorded.interrupt()
        if left := resumable_output.count_complete_lines(partial) if partial.is_file() else 0:
            listen(Note(f"{partial} has {left:,} lines; --resume continues from there"))
        raise
    recorded.finish()
