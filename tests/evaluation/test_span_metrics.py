"""Spans as array operations equal those of the plain loops."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnkit.evaluation.label_evaluation import score_spans
from rnnkit.evaluation.label_files import LabelRows, encode_labels
from rnnkit.evaluation.span_metrics import TagSteps, TagTable, find_spans
from rnnkit.options.declare import STDIN
from rnnkit.text.span_schemes import ALLOWED_STEPS, LENIENT_RULES, STRICT_RULES, SpanScheme, spans, stray_tags

SCHEMES = list(SpanScheme)
DEFINITIONS = [None, *SCHEMES]


def lines(prefixes: str) -> st.SearchStrategy[list[list[str]]]:
    tags = ["O", *prefixes, *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("A", "B"))]
    return st.lists(st.lists(st.sampled_from(tags), max_size=6), min_size=1, max_size=5)


@pytest.mark.parametrize("scheme", DEFINITIONS)
@settings(max_examples=40)
@given(data=st.data())
def test_spans_of_a_corpus(scheme: SpanScheme | None, data: st.DataObject) -> None:
    rows = data.draw(lines("BIES" if scheme is None else scheme.prefixes))
    labels, [encoded] = encode_labels([LabelRows(STDIN, rows)])
    table = TagTable.make(labels)
    rules = LENIENT_RULES if scheme is None else STRICT_RULES[scheme]
    found = find_spans(TagSteps.make(encoded.ids_N, encoded.lengths_U, table), rules)
    starts = list(itertools.accumulate((len(row) + 1 for row in rows), initial=0))
    assert [
        (line, table.types[kind], start - starts[line], end - starts[line])
        for line, kind, start, end in zip(found.units, found.types, found.starts, found.ends, strict=True)
    ] == [(line, *span) for line, row in enumerate(rows) for span in spans(row, scheme)]


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=40)
@given(data=st.data())
def test_strays_of_a_corpus(scheme: SpanScheme, data: st.DataObject) -> None:
    rows = data.draw(lines(scheme.prefixes))
    labels, [encoded] = encode_labels([LabelRows(STDIN, rows)])
    count, where = TagSteps.make(encoded.ids_N, encoded.lengths_U, TagTable.make(labels)).count_strays(
        ALLOWED_STEPS[scheme]
    )
    found = [stray_tags(row, scheme) for row in rows]
    assert count == sum(map(len, found))
    assert where.tolist() == [line for line, each in enumerate(found, start=1) if each]


@pytest.mark.parametrize("scheme", DEFINITIONS)
@settings(max_examples=40)
@given(data=st.data())
def test_scores_of_spans(scheme: SpanScheme | None, data: st.DataObject) -> None:
    prefixes = "BIES" if scheme is None else scheme.prefixes
    reference = data.draw(lines(prefixes))
    tags = ["O", *(f"{prefix}-A" for prefix in prefixes)]
    hypothesis = [[data.draw(st.sampled_from([label, *tags])) for label in row] for row in reference]
    right, predicted = (
        {(line, span) for line, row in enumerate(rows) for span in spans(row, scheme)}
        for rows in (reference, hypothesis)
    )
    micro = score_spans(reference, hypothesis, scheme).average("micro")
    assert (micro.predicted, micro.support) == (len(predicted), len(right))
    assert micro.precision == (len(right & predicted) / len(predicted) if predicted else 0)
    assert micro.recall == (len(right & predicted) / len(right) if right else 0)
