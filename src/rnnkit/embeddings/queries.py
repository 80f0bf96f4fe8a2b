"""Loading word vectors and querying them, from the command line or one query per line of standard input.

A query that fails, for example because a word has no vector, yields a `FailedQuery` in place of its result, and the
next query is answered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, Status, null_listener
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN
from rnnkit.text.lines import read_lines

if TYPE_CHECKING:
    from rnnkit.embeddings.vector_table import VectorTable
    from rnnkit.embeddings.vectors import WordVectors


Result = TypeVar("Result")


def load_table(path: Path, repair: bool, listen: Listener) -> VectorTable:
    """Read word vectors; one warning sums up what was repaired or skipped. Raises the errors of `formats.load`.

    Args:
        path: A vectors directory, or a file in any supported format.
        repair: Whether to read an imperfect file, too.
        listen: Receives the warning.
    """
    from rnnkit.embeddings import formats

    listen(Status("loading the vectors"))
    table = formats.load(path, repair)
    if table.repairs is not None:
        table.repairs.warn(listen)
    return table


def load_vectors(path: Path | None, work: Path, repair: bool = False, listen: Listener = null_listener) -> WordVectors:
    """Load the vectors at `path`, by default those of the workspace `work`, for queries. Raises as `load_table`."""
    from rnnkit.embeddings.vectors import WordVectors

    return WordVectors(load_table(path or Workspace(work).embeddings, repair, listen))


def digest_vectors(path: Path) -> str | None:
    """Compute the SHA-256 of a vectors file or of a directory's manifest; None for a pipe, which is read only once."""
    if path.is_dir():
        return manifest.sha256(manifest.manifest_path(path))
    return manifest.sha256(path) if path.is_file() else None


@dataclass(frozen=True)
class FailedQuery:
    """A query without a result.

    Attributes:
        query: The text of the query.
        error: The reason; None for a blank line, which is not a query.
        lines: Lines to print in place of the result.
    """

    query: str
    error: RnnkitError | None = None
    lines: tuple[str, ...] = ()

    def as_dict(self) -> JsonObject:
        """Return the JSON object of this query."""
        return {"question": self.query, "error": self.error.what if self.error else None}


@dataclass(frozen=True)
class RepairReport:
    """The repairs made while the vectors were read: with `--json`, the object that follows the results.

    Attributes:
        repairs: The repairs.
        lines: Empty: without `--json`, a warning gives the counts.
    """

    repairs: Repairs
    lines: tuple[str, ...] = ()

    def as_dict(self) -> JsonObject:
        """Return the JSON object."""
        return {"repairs": self.repairs.as_dict()}


def append_repairs(results: Iterator[Result], vectors: WordVectors, json: bool) -> Iterator[Result | RepairReport]:
    """Yield the results and, with `json`, a report of the repairs if any were made."""
    yield from results
    repairs = vectors.table.repairs
    if json and repairs is not None and repairs.counts:
        yield RepairReport(repairs)


def answer_queries(queries: Iterable[str], answer: Callable[[str], Result]) -> Iterator[Result | FailedQuery]:
    """Answer the queries of a command line with the function `answer`."""
    for query in queries:
        try:
            yield answer(query)
        except DataError as error:
            yield FailedQuery(query, error)


def answer_stdin(
    answer: Callable[[str], Result], content: str, listen: Listener, placeholder: tuple[str, ...] = ()
) -> Iterator[Result | FailedQuery]:
    """Answer the queries on standard input, each as soon as its line is read.

    Args:
        answer: Maps a line to its result.
        content: Plural name of what the lines hold, for the prompt on a terminal.
        listen: Receives the prompt.
        placeholder: Lines to print for a query without a result.

    Raises:
        DataError: Standard input is not valid UTF-8 text.
    """
    if sys.stdin.isatty():
        listen(Note(f"reading {content} from the keyboard, one per line; Ctrl-D ends the input"))
    for number, line in enumerate(read_lines(STDIN), start=1):
        if not line.strip():
            yield FailedQuery("", None, placeholder)
            continue
        try:
            yield answer(line)
        except RnnkitError as error:
            located = DataError(
                f"standard input:{number}: {error.what}", *error.details, hint=error.hint, path=STDIN, line=number
            )
            yield FailedQuery(line, located, placeholder)
