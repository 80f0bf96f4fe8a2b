"""`rnnkit similarity`: the cosine similarity of two words."""

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
rnnkit similarity king queen
rnnkit similarity --vectors glove.6B.100d.txt < pairs.txt"""

_HINT = "give two words per pair, such as: king queen"


@dataclass(frozen=True)
class SimilarityOptions(shared.VectorOptions):
    """Compute the cosine similarity of word pairs, from -1 to 1.

    Prints one line per pair: both words and the similarity, separated by tabs. A pair on standard input that cannot be
    answered is reported and gives a blank line, so that output lines match input lines; the exit code is then 1.
    """

    words: list[str] = argument(
        (), help="Pairs of words, one after the other.", metavar="WORD", shown_default="standard input, a pair per line"
    )
    json: bool = option(False, help="Print one JSON object per pair: question, similarity.", panel="Output")


@dataclass(frozen=True)
class Similarity:
    """Two words and the cosine similarity of their vectors."""

    first: str
    second: str
    cosine: float

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (f"{self.first}\t{self.second}\t{self.cosine:.4f}",)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"question": f"{self.first} {self.second}", "similarity": round(self.cosine, 4)}


def run(
    options: SimilarityOptions, listen: Listener = null_listener
) -> Iterator[Similarity | FailedQuery | RepairReport]:
    """Compare the words of each pair.

    Yields:
        For each pair its similarity, or the reason why there is none.

    Raises:
        UsageError: The number of words on the command line is odd.
        DataError: The vectors are missing or cannot be read.
        FormatError: The vectors are damaged.
    """
    words = options.words
    if len(words) % 2:
        raise UsageError(f"the number of words is odd: {words[-1]!r} has no partner", hint=_HINT)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(query: str) -> Similarity:
        pair = query.split()
        if len(pair) != 2:
            raise UsageError(f"{query.strip()!r} is not a pair of words", hint=_HINT)
        return Similarity(pair[0], pair[1], vectors.similarity(pair[0], pair[1]))

    pairs = (f"{first} {second}" for first, second in zip(words[::2], words[1::2], strict=True))
    results = answer_queries(pairs, answer) if words else answer_stdin(answer, "word pairs", listen, placeholder=("",))
    return append_repairs(results, vectors, options.json)
