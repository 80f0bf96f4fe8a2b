"""Questions to word vectors: those of a command line, or one a line of standard input, and an answer to each.

A word without a vector stops nothing: what cannot be answered is an answer too, and the next question follows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rnnkit.config import STDIN
from rnnkit.errors import DataError, RnnkitError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io.safe_reading import Repairs
from rnnkit.io.workspace import Workspace
from rnnkit.reports.columns import aligned
from rnnkit.stages.vectors import vector_options
from rnnkit.text.lines import read_lines

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Neighbor, Vectors

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Unanswered:
    """A question without an answer.

    Attributes:
        question: As it was put.
        error: Why; None for a blank line, which asks nothing.
        lines: What is printed in the place of an answer.
    """

    question: str
    error: RnnkitError | None = None
    lines: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The object of this question with `--json`."""
        return {"question": self.question, "error": self.error.what if self.error else None}


@dataclass(frozen=True)
class Repaired:
    """What was repaired while the vectors were read: with `--json`, an object behind the answers.

    Attributes:
        repairs: The record.
        lines: Nothing is printed otherwise: a warning has the counts.
    """

    repairs: Repairs
    lines: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The object that is printed with `--json`."""
        return {"repairs": self.repairs.as_dict()}


def load_vectors(vectors: Path | None, work: Path, repair: bool = False, listen: Listener = null_listener) -> Vectors:
    """The vectors at a path, or the workspace's. Raises as `Vectors.load`."""
    from rnnkit.embeddings.vectors import Vectors

    return Vectors(vector_options.load(vectors or Workspace(work).embeddings, repair, listen))


def list_repairs(answers: Iterator[Answer], vectors: Vectors, json: bool) -> Iterator[Answer | Repaired]:
    """Answers, and behind them with `--json` what was repaired, if anything was."""
    yield from answers
    repairs = vectors.table.repairs
    if json and repairs is not None and repairs.counts:
        yield Repaired(repairs)


def answer_all(questions: Iterable[str], answer: Callable[[str], Answer]) -> Iterator[Answer | Unanswered]:
    """Answer the questions of a command line."""
    for question in questions:
        try:
            yield answer(question)
        except DataError as error:
            yield Unanswered(question, error)


def answer_lines(
    answer: Callable[[str], Answer], what: str, listen: Listener, instead: tuple[str, ...] = ()
) -> Iterator[Answer | Unanswered]:
    """Answer the lines of standard input as they come.

    Args:
        answer: From a line to its answer.
        what: What a line holds, for a person at the keyboard.
        listen: Told what is waited for.
        instead: What is printed for a line that has no answer.

    Raises:
        DataError: Standard input is no text.
    """
    if sys.stdin.isatty():
        listen(Note(f"reading {what} from the keyboard, one a line; Ctrl-D ends them"))
    for number, line in enumerate(read_lines(STDIN), start=1):
        if not line.strip():
            yield Unanswered("", None, instead)
            continue
        try:
            yield answer(line)
        except RnnkitError as error:
            where = DataError(f"standard input:{number}: {error.what}", *error.details, hint=error.hint)
            yield Unanswered(line, where, instead)


def neighbor_lines(neighbors: Sequence[Neighbor]) -> list[str]:
    """Words and their similarities as they are printed, in columns below what was asked."""
    rows = [(neighbor.word, f"{neighbor.similarity:.4f}") for neighbor in neighbors]
    return aligned(rows, right=[1], indent="  ")


def neighbor_objects(neighbors: Sequence[Neighbor]) -> list[dict[str, Any]]:
    """Words and their similarities as they are printed with `--json`."""
    return [{"word": each.word, "similarity": round(each.similarity, 4)} for each in neighbors]
