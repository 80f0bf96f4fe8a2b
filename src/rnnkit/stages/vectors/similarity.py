"""`rnnkit similarity`: how near two words are."""

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
rnnkit similarity king queen
rnnkit similarity --vectors glove.6B.100d.txt < pairs.txt"""

FORM = "two words are wanted, such as king queen"


@dataclass(frozen=True)
class SimilarityOptions:
    """Say how near two words are: the cosine of the angle between their vectors, from -1 to 1.

    One line a pair: both words and the cosine, parted by tabs. A pair from standard input that has no answer is
    reported, leaves a blank line, so that lines out pair with lines in, and makes the command end with code 1.
    """

    words: list[str] = argument(
        (), help="Pairs of words, one after the other.", metavar="WORD", shown_default="standard input, a pair a line"
    )
    vectors: Path | None = vector.vectors()
    work: Path = usual.work()
    repair: bool = usual.repair()
    json: bool = option(False, help="One JSON object a pair: question, similarity.", panel="Output")


@dataclass(frozen=True)
class Similarity:
    """Two words, and the cosine between their vectors."""

    first: str
    second: str
    cosine: float

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        return (f"{self.first}\t{self.second}\t{self.cosine:.4f}",)

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"question": f"{self.first} {self.second}", "similarity": round(self.cosine, 4)}


def run(options: SimilarityOptions, listen: Listener = null_listener) -> Iterator[Similarity | Unanswered | Repaired]:
    """Compare the words; the answers come one by one.

    Yields:
        For each pair its cosine, or why there is none.

    Raises:
        UsageError: The command line ends in the middle of a pair.
        DataError: There are no vectors, or they cannot be read.
        FormatError: They are damaged.
    """
    words = options.words
    if len(words) % 2:
        raise UsageError(f"{words[-1]!r} stands alone: {FORM}")
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(question: str) -> Similarity:
        pair = question.split()
        if len(pair) != 2:
            raise UsageError(f"{question.strip()!r} is no pair: {FORM}")
        return Similarity(pair[0], pair[1], vectors.similarity(pair[0], pair[1]))

    answers = (
        answer_all((f"{first} {second}" for first, second in zip(words[::2], words[1::2], strict=True)), answer)
        if words
        else answer_lines(answer, "pairs of words", listen, instead=("",))
    )
    return list_repairs(answers, vectors, options.json)
