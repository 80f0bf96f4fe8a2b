"""`rnnkit odd-one-out`: the word that does not match the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnkit.embeddings.queries import (
    FailedQuery,
    RepairReport,
    answer_queries,
    answer_stdin,
    append_repairs,
    load_vectors,
)
from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.stages import shared_options as shared

EXAMPLE = """\
rnnkit odd-one-out breakfast lunch dinner bicycle
rnnkit odd-one-out --vectors glove.6B.100d.txt < groups.txt"""

MIN_WORDS = 3


@dataclass(frozen=True)
class OddOneOutOptions(shared.VectorOptions):
    """Find the word that does not match the others: the farthest from the mean of the unit-normalized vectors.

    A line of standard input that cannot be answered is reported and gives a blank line, so that output lines match
    input lines; the exit code is then 1.
    """

    words: list[str] = argument(
        (), help="Three or more words.", metavar="WORD", shown_default="standard input, a group per line"
    )
    json: bool = option(False, help="Print one JSON object per group: question, odd_one_out.", panel="Output")


@dataclass(frozen=True)
class OddOneOut:
    """A group of words, and the one that does not match."""

    words: tuple[str, ...]
    odd: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (self.odd,)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"question": " ".join(self.words), "odd_one_out": self.odd}


def run(
    options: OddOneOutOptions, listen: Listener = null_listener
) -> Iterator[OddOneOut | FailedQuery | RepairReport]:
    """Find the odd word of each group.

    Yields:
        For each group its odd word, or the reason why there is none.

    Raises:
        UsageError: The command line has fewer than three words.
        DataError: The vectors are missing or cannot be read.
        FormatError: The vectors are damaged.
    """
    words = " ".join(options.words).split()
    if options.words:
        _check_group(words)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(query: str) -> OddOneOut:
        group = query.split()
        _check_group(group)
        return OddOneOut(tuple(group), vectors.odd_one_out(group))

    results = (
        answer_queries([" ".join(words)], answer)
        if options.words
        else answer_stdin(answer, "groups of words", listen, placeholder=("",))
    )
    return append_repairs(results, vectors, options.json)


def _check_group(words: list[str]) -> None:
    if len(words) < MIN_WORDS:
        raise UsageError(
            f"a group needs at least {MIN_WORDS} words, not {len(words)}", hint="for example: breakfast lunch bicycle"
        )
