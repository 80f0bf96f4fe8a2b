"""`rnnkit neighbors`: the nearest neighbors of a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.embeddings.queries import (
    FailedQuery,
    RepairReport,
    answer_queries,
    answer_stdin,
    append_repairs,
    load_vectors,
)
from rnnkit.events import Listener, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.reports.figures import format_columns
from rnnkit.stages import shared_options as shared

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Neighbor, WordVectors

EXAMPLE = """\
rnnkit neighbors king queen --count 5
rnnkit neighbors --vectors glove.6B.100d.txt --restrict 50000 < words.txt"""


@dataclass(frozen=True)
class NeighborsOptions(shared.NeighborOptions):
    """Find the nearest neighbors of words by cosine similarity.

    Prints a block for each word, nearest neighbor first. A word without a vector is reported with the most similar
    spelling in the vocabulary; the other words are answered, and the exit code is 1. Vectors with subwords compose the
    vectors of unseen words from their n-grams.
    """

    words: list[str] = argument(
        (), help="Words to look up.", metavar="WORD", shown_default="standard input, one per line"
    )
    count: int = option(10, help="Neighbors per word.", panel="Search", unit="words", minimum=1)
    json: bool = option(False, help="Print one JSON object per word: question, seen, neighbors.", panel="Output")


@dataclass(frozen=True)
class Neighborhood:
    """A word and its nearest neighbors.

    Attributes:
        word: The query.
        seen: Whether the word has a vector of its own; if not, its vector was composed from n-grams.
        neighbors: The neighbors, nearest first.
    """

    word: str
    seen: bool
    neighbors: tuple[Neighbor, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        unseen = "" if self.seen else " (unseen word, composed from n-grams)"
        return (f"{self.word}{unseen}", *neighbor_lines(self.neighbors))

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"question": self.word, "seen": self.seen, "neighbors": neighbor_objects(self.neighbors)}


def run(
    options: NeighborsOptions, listen: Listener = null_listener
) -> Iterator[Neighborhood | FailedQuery | RepairReport]:
    """Look up the words.

    Yields:
        For each word its neighbors, or the reason why there are none.

    Raises:
        DataError: The vectors are missing or cannot be read.
        FormatError: The vectors are damaged.
    """
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(query: str) -> Neighborhood:
        return find_neighbors(vectors, query.strip(), options.count, options.restrict)

    results = answer_queries(options.words, answer) if options.words else answer_stdin(answer, "words", listen)
    return append_repairs(results, vectors, options.json)


def find_neighbors(vectors: WordVectors, word: str, count: int, restrict: int | None) -> Neighborhood:
    """Find the neighbors of one word.

    Raises:
        UnknownWord: The word has no vector.
    """
    return Neighborhood(word, word in vectors, tuple(vectors.neighbors(word, count, restrict)))


def neighbor_lines(neighbors: Sequence[Neighbor]) -> list[str]:
    """Format words and similarities as indented columns."""
    rows = [(neighbor.word, f"{neighbor.similarity:.4f}") for neighbor in neighbors]
    return format_columns(rows, right=[1], indent="  ")


def neighbor_objects(neighbors: Sequence[Neighbor]) -> list[JsonObject]:
    """Convert words and similarities to JSON."""
    return [{"word": each.word, "similarity": round(each.similarity, 4)} for each in neighbors]
