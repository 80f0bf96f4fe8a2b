"""`rnnkit analogy`: arithmetic with words, king - man + woman."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import argument, option
from rnnkit.errors import UsageError
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
rnnkit analogy king - man + woman
rnnkit analogy man king woman
rnnkit analogy "paris - france + italy" "bigger - big + small" --count 3
rnnkit analogy --vectors glove.6B.100d.txt < expressions.txt"""

SIGNS = ("+", "-")


@dataclass(frozen=True)
class AnalogyOptions:
    """Add and subtract words, and find those nearest to the sum: 3CosAdd over vectors of equal length.

    `king - man + woman` asks what is to woman as king is to man. `man king woman` asks the same: man is to king as
    woman is to what? The words of the question are left out of the answer. A sign stands by itself or directly before
    its word. Several expressions are quoted, each by itself.

    A word without a vector is reported, other expressions are answered, and the command ends with code 1.
    """

    expression: list[str] = argument(
        (),
        help="Words with + and - between them, or three words.",
        metavar="EXPRESSION",
        shown_default="standard input, one a line",
        signed=True,
    )
    vectors: Path | None = vector.vectors()
    work: Path = usual.work()
    repair: bool = usual.repair()
    count: int = option(5, help="Answers to each.", panel="Search", unit="words", minimum=1)
    restrict: int | None = vector.restrict()
    json: bool = option(False, help="One JSON object an expression: question, answers.", panel="Output")


@dataclass(frozen=True)
class Expression:
    """Words, each with the sign `+` or `-`."""

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
        """What is printed."""
        return (str(self.expression), *neighbor_lines(self.answers))

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        return {"question": str(self.expression), "answers": neighbor_objects(self.answers)}


def run(options: AnalogyOptions, listen: Listener = null_listener) -> Iterator[Analogy | Unanswered | Repaired]:
    """Solve the expressions; the answers come one by one.

    Yields:
        For each expression the nearest words, or why there are none.

    Raises:
        UsageError: An expression of the command line cannot be understood.
        DataError: There are no vectors, or they cannot be read.
        FormatError: They are damaged.
    """
    texts = split_expressions(options.expression)
    for text in texts:
        parse(text)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)

    def answer(question: str) -> Analogy:
        return solve(vectors, parse(question), options.count, options.restrict)

    answers = answer_all(texts, answer) if texts else answer_lines(answer, "expressions", listen)
    return list_repairs(answers, vectors, options.json)


def solve(vectors: Vectors, expression: Expression, count: int, restrict: int | None) -> Analogy:
    """The answers to one expression.

    Raises:
        UnknownWord: A word has no vector.
    """
    found = vectors.analogy(expression.positive, expression.negative, count, restrict)
    return Analogy(expression, tuple(found))


def split_expressions(words: Sequence[str]) -> list[str]:
    """The expressions of a command line: each is quoted by itself, or all the words are one."""
    quoted = [word for word in words if len(word.split()) > 1]
    return quoted if len(quoted) == len(words) else [" ".join(words)]


def parse(text: str) -> Expression:
    """Read `king - man + woman`, or `man king woman`, which means the same.

    Raises:
        UsageError: It is neither; the message says where it goes wrong.
    """
    tokens = text.split()
    if len(tokens) == 3 and not any(token.startswith(SIGNS) for token in tokens):
        first, second, third = tokens
        return Expression((("+", second), ("-", first), ("+", third)))
    expression = Expression(tuple(_terms(tokens, text)))
    if len(expression.terms) < 2:
        raise _malformed(text, "two words at least are wanted")
    if not expression.positive:
        raise _malformed(text, "no word is added")
    return expression


def _terms(tokens: Sequence[str], text: str) -> Iterator[tuple[str, str]]:
    """Signs and words. The first word needs no sign; a word behind a sign that stands alone is taken as it is."""
    sign = ""
    for place, token in enumerate(tokens):
        if sign and token in SIGNS:
            raise _malformed(text, f"{sign!r} is followed by {token!r}")
        if sign:
            yield sign, token
            sign = ""
        elif token in SIGNS:
            sign = token
        elif token.startswith(SIGNS):
            yield token[0], token[1:]
        elif place == 0:
            yield "+", token
        else:
            raise _malformed(text, f"there is no + or - before {token!r}")
    if sign:
        raise _malformed(text, f"no word follows the last {sign!r}")


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text.strip()!r} is no expression: {why}",
        hint="write king - man + woman; or man king woman, for man is to king as woman is to what?",
    )
