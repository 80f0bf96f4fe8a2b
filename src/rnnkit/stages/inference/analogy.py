"""`rnnkit analogy`: analogies by vector arithmetic, king - man + woman."""

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
from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.inference.neighbors import neighbor_lines, neighbor_objects

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Neighbor, WordVectors

EXAMPLE = """\
rnnkit analogy king - man + woman
rnnkit analogy man king woman
rnnkit analogy "paris - france + italy" "bigger - big + small" --count 3
rnnkit analogy --vectors glove.6B.100d.txt < expressions.txt"""

SIGNS = ("+", "-")


@dataclass(frozen=True)
class AnalogyOptions(shared.NeighborOptions):
    """Solve analogies: the words nearest to a sum of word vectors (3CosAdd with unit-normalized vectors).

    `king - man + woman` and `man king woman` are the same query: man is to king as woman is to what? The words of the
    query are excluded from the answers. A sign is a token of its own or precedes its word directly. Quote each
    expression if there are several.

    A word without a vector is reported; the other expressions are answered, and the exit code is 1.
    """

    expression: list[str] = argument(
        (),
        help="Words with + and - between them, or three words.",
        metavar="EXPRESSION",
        shown_default="standard input, one per line",
        signed=True,
    )
    count: int = option(5, help="Answers per expression.", panel="Search", unit="words", minimum=1)
    json: bool = option(False, help="Print one JSON object per expression: question, answers.", panel="Output")


@dataclass(frozen=True)
class Expression:
    """A sum of words, each with its sign, `+` or `-`."""

    terms: tuple[tuple[str, str], ...]

    @property
    def positive(self) -> tuple[str, ...]:
        """The words to add."""
        return tuple(word for sign, word in self.terms if sign == "+")

    @property
    def negative(self) -> tuple[str, ...]:
        """The words to subtract."""
        return tuple(word for sign, word in self.terms if sign == "-")

    def __str__(self) -> str:
        return " ".join(f"{sign} {word}" for sign, word in self.terms).removeprefix("+ ")


@dataclass(frozen=True)
class Analogy:
    """An expression and the words nearest to it."""

    expression: Expression
    answers: tuple[Neighbor, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (str(self.expression), *neighbor_lines(self.answers))

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"question": str(self.expression), "answers": neighbor_objects(self.answers)}


def run(options: AnalogyOptions, listen: Listener = null_listener) -> Iterator[Analogy | FailedQuery | RepairReport]:
    """Solve the expressions.

    Yields:
        For each expression the nearest words, or the reason why there are none.

    Raises:
        UsageError: An expression on the command line is malformed.
        DataError: The vectors are missing or cannot be read.
        FormatError: The vectors are damaged.
    """
    texts = split_expressions(options.expression)
    for text in texts:
        parse(text)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(query: str) -> Analogy:
        return solve(vectors, parse(query), options.count, options.restrict)

    results = answer_queries(texts, answer) if texts else answer_stdin(answer, "expressions", listen)
    return append_repairs(results, vectors, options.json)


def solve(vectors: WordVectors, expression: Expression, count: int, restrict: int | None) -> Analogy:
    """Solve one expression.

    Raises:
        UnknownWord: A word has no vector.
    """
    found = vectors.analogy(expression.positive, expression.negative, count, restrict)
    return Analogy(expression, tuple(found))


def split_expressions(words: Sequence[str]) -> list[str]:
    """Split a command line into expressions: each argument if all are quoted, otherwise all words together."""
    quoted = [word for word in words if len(word.split()) > 1]
    return quoted if len(quoted) == len(words) else [" ".join(words)]


def parse(text: str) -> Expression:
    """Parse `king - man + woman`, or the equivalent `man king woman`.

    Raises:
        UsageError: The text is neither; the message gives the reason.
    """
    tokens = text.split()
    if len(tokens) == 3 and not any(token.startswith(SIGNS) for token in tokens):
        first, second, third = tokens
        return Expression((("+", second), ("-", first), ("+", third)))
    expression = Expression(tuple(_parse_terms(tokens, text)))
    if len(expression.terms) < 2:
        raise _malformed(text, "it needs at least two words")
    if not expression.positive:
        raise _malformed(text, "it adds no word")
    return expression


def _parse_terms(tokens: Sequence[str], text: str) -> Iterator[tuple[str, str]]:
    """Yield signs and words. The first word needs no sign; a token after a sign that stands alone is always a word."""
    sign = ""
    for index, token in enumerate(tokens):
        if sign and token in SIGNS:
            raise _malformed(text, f"{sign!r} is followed by {token!r}")
        if sign:
            yield sign, token
            sign = ""
        elif token in SIGNS:
            sign = token
        elif token.startswith(SIGNS):
            yield token[0], token[1:]
        elif index == 0:
            yield "+", token
        else:
            raise _malformed(text, f"{token!r} has no sign before it")
    if sign:
        raise _malformed(text, f"no word follows the last {sign!r}")


def _malformed(text: str, reason: str) -> UsageError:
    return UsageError(
        f"{text.strip()!r} is not a valid expression: {reason}",
        hint="write king - man + woman, or man king woman for: man is to king as woman is to what?",
    )
