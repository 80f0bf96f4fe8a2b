"""Precision, recall and F1 of spans, by type: a span is correct if type, first and last word are those of a reference.

The arithmetic is that of seqeval, and with the lenient rules that of conlleval. `text/span_schemes.py: spans` has the
definition of spans in plain loops; this is the same for whole corpora as array operations, and tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.evaluation.label_bootstrap import Occurrences, UnitCounts
from rnnkit.evaluation.label_metrics import Ids
from rnnkit.text.span_schemes import OUTSIDE, SAME_ROLE, SpanRules, Step, parse_tag

_LETTERS = f"{OUTSIDE}BIES"
_CODES = {letter: code for code, letter in enumerate(_LETTERS)}


@dataclass(frozen=True)
class TagTable:
    """Tags of a label vocabulary.

    Attributes:
        prefixes_V: Code of each label's prefix.
        types_V: Id of each label's type.
        types: The types, in alphabetical order.
    """

    prefixes_V: Ids
    types_V: Ids
    types: tuple[str, ...]

    @classmethod
    def make(cls, labels: Sequence[str]) -> TagTable:
        """Parse labels. Those that are not tags of any scheme count as `O`."""
        tags = [tag or parse_tag(OUTSIDE) for tag in map(parse_tag, labels)]
        parsed = [tag for tag in tags if tag is not None]
        types = sorted({tag.type for tag in parsed})
        ids = {name: index for index, name in enumerate(types)}
        prefixes = [_CODES[SAME_ROLE.get(tag.prefix, tag.prefix)] for tag in parsed]
        return cls(
            np.array(prefixes, dtype=np.int64), np.array([ids[tag.type] for tag in parsed], np.int64), tuple(types)
        )


@dataclass(frozen=True)
class FoundSpans:
    """Spans of a corpus.

    Attributes:
        units: Line of each span.
        types: Type ids.
        starts: First word, counted over the whole corpus with one more position after each line.
        ends: Word after the last.
    """

    units: Ids
    types: Ids
    starts: Ids
    ends: Ids

    def __getitem__(self, which: NDArray[np.bool]) -> Occurrences:
        return Occurrences(self.units[which], self.types[which])


@dataclass(frozen=True)
class TagSteps:
    """Steps from tag to tag of a corpus: a position for each word, and one for the end of each line.

    Attributes:
        steps: Code of the step to the tag at each position, for `_lookup`; an end has the tag `O`.
        types: Type id of the tag.
        lines: Line.
    """

    steps: Ids
    types: Ids
    lines: Ids

    @classmethod
    def make(cls, ids_N: Ids, lengths_U: Ids, table: TagTable) -> TagSteps:
        """Compute the steps between the tags of a corpus."""
        line_P = np.repeat(np.arange(len(lengths_U)), lengths_U + 1)
        is_word_P = np.ones(len(line_P), dtype=bool)
        is_word_P[np.cumsum(lengths_U + 1) - 1] = False
        prefix_P, type_P = np.zeros(len(line_P), dtype=np.int64), np.zeros(len(line_P), dtype=np.int64)
        prefix_P[is_word_P], type_P[is_word_P] = table.prefixes_V[ids_N], table.types_V[ids_N]
        before_P, type_before_P = np.roll(prefix_P, 1), np.roll(type_P, 1)  # the last tag is `O`
        step_P = (before_P * len(_LETTERS) + prefix_P) * 2 + (type_P == type_before_P)
        return cls(step_P, type_P, line_P)

    def count_strays(self, allowed: frozenset[Step]) -> tuple[int, Ids]:
        """Count steps that a scheme does not allow; return their number and the lines, counted from 1."""
        lines = self.lines[~_lookup(allowed)[self.steps]]
        return len(lines), np.unique(lines) + 1


def find_spans(tags: TagSteps, rules: SpanRules) -> FoundSpans:
    """Find the spans of all lines, with rules of `text/span_schemes.py`."""
    is_inside_P, begins_P, ends_P = (_lookup(steps)[tags.steps] for steps in (rules.inside, rules.begin, rules.end))
    # A segment is a position and those after it that are inside the same span; the span starts at its first beginning.
    bounds = np.append(np.flatnonzero(~is_inside_P), len(is_inside_P))
    segment_P = np.cumsum(~is_inside_P) - 1
    starts = np.flatnonzero(begins_P)
    segments, first = np.unique(segment_P[starts], return_index=True)
    starts, stops = starts[first], bounds[segments + 1]
    whole = ends_P[stops]
    starts, stops = starts[whole], stops[whole]
    return FoundSpans(tags.lines[starts], tags.types[starts], starts, stops)


def _lookup(steps: frozenset[Step]) -> NDArray[np.bool]:
    """Return a table of steps by code."""
    table = np.zeros(len(_LETTERS) ** 2 * 2, dtype=bool)
    for before, after, same in steps:
        table[(_CODES[before] * len(_LETTERS) + _CODES[after]) * 2 + same] = True
    return table


def count_spans(reference: FoundSpans, hypothesis: FoundSpans, types: int) -> UnitCounts:
    """Count correct, predicted and reference spans by line and type.

    Args:
        reference: Spans of the reference.
        hypothesis: Predicted spans.
        types: Number of types.
    """
    size = int(max(reference.ends.max(initial=0), hypothesis.ends.max(initial=0))) + 1
    end_P, type_P = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    end_P[reference.starts], type_P[reference.starts] = reference.ends, reference.types
    correct = (end_P[hypothesis.starts] == hypothesis.ends) & (type_P[hypothesis.starts] == hypothesis.types)
    predicted, support = (found[np.ones(len(found.units), dtype=bool)] for found in (hypothesis, reference))
    return UnitCounts.count(hypothesis[correct], predicted, support, types)
