"""`rnnkit odd-one-out`: the word that does not belong to the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument, option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.stages import usual_options as usual
from rnnkit.stages.vectors import vector_options as vector
from rnnkit.stages.vectors.questions import Repaired, Unanswered, answer_all, answer_lines, list_repairs, load_vectors

EXAMPLE = """\
rnnkit odd-one-out breakfast lunch dinner bicycle
rnnkit odd-one-out --vectors glove.6B.100d.txt < groups.txt"""

FEWEST = 3


@dataclass(frozen=True)
class OddOneOutOptions:
    """Name the word least like the others: the one whose vector is farthest from the mean of all, lengths made equal.

    A line from standard input that has no answer is reported, leaves a blank line, so that lines out pair with lines
    in, and makes the command end with code 1.
    """

    words: list[str] = argument(
        (),
        help="Three or more words, one of which is the odd one.",
        metavar="WORD",
        shown_default="standard input, a group a line",
    )
    vectors: Path | None = vector.vectors()
    work: Path = usual.work()
    repair: bool = usual.repair()
    json: bool = option(False, help="One JSON object a group: question, odd_one_out.", panel="Output")


@dataclass(frozen=True)
class OddOneOut:
    """Words, and which of them is the odd one."""

    words: tuple[str, ...]
    odd: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        return (self.odd,)

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"question": " ".join(self.words), "odd_one_out": self.odd}


def run(options: OddOneOutOptions, listen: Listener = null_listener) -> Iterator[OddOneOut | Unanswered | Repaired]:
    """Find the odd ones; the answers come one by one.

    Yields:
        For each group its odd word, or why there is none.

    Raises:
        UsageError: The command line has fewer than three words.
        DataError: There are no vectors, or they cannot be read.
        FormatError: They are damaged.
    """
    words = " ".join(options.words).split()
    if options.words:
        _refuse_few(words)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(question: str) -> OddOneOut:
        group = question.split()
        _refuse_few(group)
        return OddOneOut(tuple(group), vectors.odd_one_out(group))

    answers = (
        answer_all([" ".join(words)], answer)
        if options.words
        else answer_lines(answer, "groups of words", listen, instead=("",))
    )
    return list_repairs(answers, vectors, options.json)


def _refuse_few(words: list[str]) -> None:
    if len(words) < FEWEST:
        raise UsageError(
            f"the odd one out of {len(words)} {'word' if len(words) == 1 else 'words'} is anyone's guess",
            hint=f"give {FEWEST} or more, such as breakfast lunch dinner bicycle",
        )
