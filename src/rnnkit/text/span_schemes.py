"""Span schemes: how the tags of words mark spans, such as named entities and chunks.

A tag is `O` outside every span, otherwise a prefix and the type of the span: `B-PER`. A bare prefix marks a span
without a type, which is then `_`, as in seqeval.

| scheme | one word | two | three | source |
|---|---|---|---|---|
| IOB1 | I | I I | I I I | Ramshaw and Marcus 1995; B only begins a span right after another of the same type |
| BIO, IOB2 | B | B I | B I I | Tjong Kim Sang and Veenstra 1999 |
| BIOES, IOBES | S | B E | B I E | Start/End of Uchimoto et al. 2000 |
| BILOU | U | B L | B I L | Ratinov and Roth 2009; BIOES with L for E and U for S |

Spans of tags that break the scheme are defined in two ways, both as in seqeval. The lenient definition is that of the
`conlleval` script of the CoNLL tasks: a stray tag begins a span, and one definition serves all schemes. The strict
definition counts only spans that the scheme could have written, so `O I-PER` has none in BIO.

A rule is a set of steps from a tag to the next, written as three characters: both prefixes, and how the types compare
(`=` equal, `!` different, `*` either). `*` in place of a prefix is any prefix. Before the first word and after the
last is an `O`.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from rnnkit.errors import DataError

OUTSIDE: Final = "O"
UNTYPED: Final = "_"
"""Type of a span whose tags have none."""

PREFIXES: Final = "BIESLU"
"""Every prefix of a tag within a span."""

SAME_ROLE: Final = {"L": "E", "U": "S"}
"""Prefixes of BILOU, and those of BIOES that rules name for them."""


class SpanScheme(StrEnum):
    """A span scheme: its name in reports, and its value on the command line."""

    IOB1 = "iob1"
    BIO = "bio"
    BIOES = "bioes"
    BILOU = "bilou"

    @property
    def prefixes(self) -> str:
        """Prefixes of tags within a span."""
        return {"iob1": "BI", "bio": "BI", "bioes": "BIES", "bilou": "BILU"}[self.value]


ALIASES: Final = {"iob2": SpanScheme.BIO, "iobes": SpanScheme.BIOES}
"""Names that other tools use."""

SCHEME_NAMES: Final = (*(scheme.value for scheme in SpanScheme), *ALIASES)
"""Names that `parse_scheme` accepts."""


def parse_scheme(name: str) -> SpanScheme:
    """Return the scheme of a name of `SCHEME_NAMES`."""
    return ALIASES.get(name) or SpanScheme(name)


class Tag(NamedTuple):
    """A parsed tag.

    Attributes:
        prefix: `O` or one of `PREFIXES`.
        type: Type of the span; `UNTYPED` for `O` and bare prefixes.
    """

    prefix: str
    type: str


class Span(NamedTuple):
    """A span of words.

    Attributes:
        type: Type, such as `PER`.
        start: First word.
        end: The word after the last.
    """

    type: str
    start: int
    end: int


Step = tuple[str, str, bool]
"""Prefixes of a tag and of the next, with the letters of BIOES, and whether both have the same type."""


@dataclass(frozen=True)
class SpanRules:
    """Steps that delimit spans.

    Attributes:
        begin: Steps to the first word of a span.
        inside: Steps to another word of the same span.
        end: Steps from the last word of a span; after any other step there is no span.
    """

    begin: frozenset[Step]
    inside: frozenset[Step]
    end: frozenset[Step]


def _steps(patterns: str) -> frozenset[Step]:
    """Expand patterns of three characters each."""
    letters = f"{OUTSIDE}BIES"
    return frozenset(
        (before, after, same)
        for first, second, types in map(tuple, patterns.split())
        for before in (letters if first == "*" else first)
        for after in (letters if second == "*" else second)
        for same in ((True, False) if types == "*" else (types == "=",))
    )


_BIOES_RULES: Final = SpanRules(_steps("*B* *S*"), _steps("BI= BE= II= IE="), _steps("E** S**"))

STRICT_RULES: Final[Mapping[SpanScheme, SpanRules]] = {
    SpanScheme.IOB1: SpanRules(_steps("OI* BI* II! IB= BB="), _steps("BI= II="), _steps("BO* IO* BI! II! IB* BB=")),
    SpanScheme.BIO: SpanRules(_steps("*B*"), _steps("BI= II="), _steps("BO* IO* BI! II! BB* IB*")),
    SpanScheme.BIOES: _BIOES_RULES,
    SpanScheme.BILOU: _BIOES_RULES,
}
"""The strict definition, for each scheme that of the class in seqeval."""

LENIENT_RULES: Final = SpanRules(
    _steps("*B* *S* OI* OE* EI* EE* SI* SE* BI! BE! II! IE!"), _steps("BI= BE= II= IE="), _steps("***")
)
"""The definition of conlleval, which is seqeval's default."""

_ALLOWED_BIOES: Final = _steps("OO* OB* OS* EO* EB* ES* SO* SB* SS* BI= BE= II= IE=")
ALLOWED_STEPS: Final[Mapping[SpanScheme, frozenset[Step]]] = {
    SpanScheme.IOB1: _steps("OO* BO* IO* OI* BI* II* BB= IB="),
    SpanScheme.BIO: _steps("OO* BO* IO* OB* BB* IB* BI= II="),
    SpanScheme.BIOES: _ALLOWED_BIOES,
    SpanScheme.BILOU: _ALLOWED_BIOES,
}
"""Steps that a scheme can write."""


@functools.lru_cache(maxsize=1 << 16)
def parse_tag(label: str) -> Tag | None:
    """Parse a label; None if it is not a tag of any scheme."""
    if label == OUTSIDE:
        return Tag(OUTSIDE, UNTYPED)
    if label[:1] not in PREFIXES or label[1:2] not in ("", "-") or not label:
        return None
    return Tag(label[0], label[2:] or UNTYPED)


def require_tag(label: str) -> Tag:
    """Parse a label.

    Raises:
        DataError: It is not a tag of any scheme.
    """
    tag = parse_tag(label)
    if tag is None:
        raise DataError(f"{label!r} is not a tag of a span scheme", "a tag is O, or B-TYPE with one of BIESLU for B")
    return tag


def step_between(before: Tag, after: Tag) -> Step:
    """Return the step from a tag to the next, in the letters of BIOES."""
    return (
        SAME_ROLE.get(before.prefix, before.prefix),
        SAME_ROLE.get(after.prefix, after.prefix),
        before.type == after.type,
    )


def may_follow(previous: str | None, label: str | None, scheme: SpanScheme) -> bool:
    """Return whether a label may follow another in a scheme.

    Args:
        previous: The label before; None for the start of the sequence.
        label: The label; None for the end of the sequence.
        scheme: The scheme.

    Raises:
        DataError: A label is not a tag of any scheme.
    """
    before, after = (require_tag(OUTSIDE if each is None else each) for each in (previous, label))
    if not {before.prefix, after.prefix} <= {OUTSIDE, *scheme.prefixes}:
        return False
    return step_between(before, after) in ALLOWED_STEPS[scheme]


def spans(labels: Sequence[str], scheme: SpanScheme | None = None) -> list[Span]:
    """Return the spans of a sequence of tags, in order.

    Args:
        labels: The tags.
        scheme: The scheme for the strict definition; None for the lenient one, which is the same for all schemes.

    Raises:
        DataError: A label is not a tag of any scheme, or with the strict definition of another scheme.
    """
    rules = LENIENT_RULES if scheme is None else STRICT_RULES[scheme]
    tags = [require_tag(label) for label in labels]
    for label, tag in zip(labels, tags, strict=True):
        if scheme is not None and tag.prefix not in (OUTSIDE, *scheme.prefixes):
            raise DataError(f"{label!r} is not a tag of {scheme.name}")
    return list(_spans([*tags, require_tag(OUTSIDE)], rules))


def _spans(tags: Sequence[Tag], rules: SpanRules) -> Iterator[Span]:
    """Yield the spans of tags, the last of which is `O`."""
    previous, start = require_tag(OUTSIDE), -1
    for position, tag in enumerate(tags):
        step = step_between(previous, tag)
        if start >= 0 and step not in rules.inside:
            if step in rules.end:
                yield Span(previous.type, start, position)
            start = -1
        if start < 0 and step in rules.begin:
            start = position
        previous = tag


def detect_scheme(label_rows: Iterable[Sequence[str]]) -> SpanScheme | None:
    """Detect the scheme of sequences of labels.

    The prefixes decide, and between IOB1 and BIO, which have the same, the number of steps that each cannot write; if
    those are equal, the scheme is BIO.

    Returns:
        The scheme; None if a label is not a tag, prefixes of several schemes are mixed, or all labels are `O`.
    """
    steps = count_transitions(label_rows)
    labels = {label for pair in steps for label in pair if label is not None}
    prefixes = {tag.prefix if tag else "" for tag in map(parse_tag, labels)} - {OUTSIDE}
    fitting = [scheme for scheme in SpanScheme if prefixes <= set(scheme.prefixes)]
    if not prefixes or not fitting:
        return None
    if fitting[0] is not SpanScheme.IOB1:
        return fitting[0]
    iob1, bio = (count_violations(steps, scheme) for scheme in (SpanScheme.IOB1, SpanScheme.BIO))
    return SpanScheme.IOB1 if iob1 < bio else SpanScheme.BIO


def count_transitions(label_rows: Iterable[Sequence[str]]) -> Counter[tuple[str | None, str | None]]:
    """Count pairs of adjacent labels; None stands for the start and the end of a sequence."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for row in label_rows:
        counts.update(itertools.pairwise((None, *row, None)))
    return counts


def count_violations(steps: Mapping[tuple[str | None, str | None], int], scheme: SpanScheme) -> int:
    """Count the steps of `count_transitions` that a scheme cannot write."""
    return sum(count for (before, after), count in steps.items() if not may_follow(before, after, scheme))


def stray_tags(labels: Sequence[str], scheme: SpanScheme) -> list[int]:
    """Return the positions of tags that may not follow the tag before them; the length stands for the end."""
    pairs = itertools.pairwise((None, *labels, None))
    return [position for position, (before, after) in enumerate(pairs) if not may_follow(before, after, scheme)]
