"""`rnnkit neighbors`: the words whose vectors are nearest to a word's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import argument, option
from rnnkit.events import Listener, null_listener
from rnnkit.stages import usual_options as usual
from rnnkit.stages.vectors import vector_options as vector
from rnnkit.stages.vectors.questions import (
    Repaired,
    Unanswered,
    answer_all,
    answer_lines,
    list_repairs,
    load_vectors,
    neighbor_lines,
    neighbor_objects,
)

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Neighbor, Vectors

EXAMPLE = """\
rnnkit neighbors king queen --count 5
rnnkit neighbors --vectors glove.6B.100d.txt --restrict 50000 < words.txt"""


@dataclass(frozen=True)
class NeighborsOptions:
    """Find the words nearest to a word, by the cosine of the angle between their vectors.

    Each word has a block of its own, nearest first. A word without a vector is reported with the nearest spelling
    there is, the others are answered, and the command ends with code 1. Vectors with subwords compose what they have
    never seen.
    """

    words: list[str] = argument(
        (), help="Words to ask about.", metavar="WORD", shown_default="standard input, one a line"
    )
    vectors: Path | None = vector.vectors()
    work: Path = usual.work()
    repair: bool = usual.repair()
    count: int = option(10, help="Neighbours of each word.", panel="Search", unit="words", minimum=1)
    restrict: int | None = vector.restrict()
    json: bool = option(False, help="One JSON object a word: question, seen, neighbors.", panel="Output")


@dataclass(frozen=True)
class Neighborhood:
    """A word and its neighbours.

    Attributes:
        word: As it was asked.
        seen: Whether it has a row of its own; otherwise its vector was composed of its n-grams.
        neighbors: The nearest first.
    """

    word: str
    seen: bool
    neighbors: tuple[Neighbor, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        unseen = "" if self.seen else " (never seen, composed of its n-grams)"
        return (f"{self.word}{unseen}", *neighbor_lines(self.neighbors))

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"question": self.word, "seen": self.seen, "neighbors": neighbor_objects(self.neighbors)}


def run(options: NeighborsOptions, listen: Listener = null_listener) -> Iterator[Neighborhood | Unanswered | Repaired]:
    """Look the words up; the answers come one by one.

    Yields:
        For each word its neighbours, or why there are none.

    Raises:
        DataError: There are no vectors, or they cannot be read.
        FormatError: They are damaged.
    """
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(question: str) -> Neighborhood:
        return find(vectors, question.strip(), options.count, options.restrict)

    answers = answer_all(options.words, answer) if options.words else answer_lines(answer, "words", listen)
    return list_repairs(answers, vectors, options.json)


def find(vectors: Vectors, word: str, count: int, restrict: int | None) -> Neighborhood:
    """The neighbours of one word.

    Raises:
        UnknownWord: It has no vector.
    """
    return Neighborhood(word, word in vectors, tuple(vectors.neighbors(word, count, restrict)))
