"""Span schemes: what a scheme writes, it reads; everything else is a stray tag; detection names the scheme."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.span_schemes import (
    SCHEME_NAMES,
    Span,
    SpanScheme,
    detect_scheme,
    may_follow,
    parse_scheme,
    parse_tag,
    spans,
    stray_tags,
)

SCHEMES = list(SpanScheme)
WRITTEN = {
    SpanScheme.IOB1: ["I", "I I", "I I I"],
    SpanScheme.BIO: ["B", "B I", "B I I"],
    SpanScheme.BIOES: ["S", "B E", "B I E"],
    SpanScheme.BILOU: ["U", "B L", "B I L"],
}
"""Prefixes of spans of one, two and three words."""


def encode(found: Sequence[Span], length: int, scheme: SpanScheme) -> list[str]:
    """Write spans as tags of a scheme."""
    labels = ["O"] * length
    for span in found:
        inner = span.end - span.start - 1
        if scheme in (SpanScheme.BIOES, SpanScheme.BILOU):
            single, last = ("S", "E") if scheme is SpanScheme.BIOES else ("U", "L")
            prefixes = single if not inner else "B" + "I" * (inner - 1) + last
        else:
            follows = any(other.end == span.start and other.type == span.type for other in found)
            prefixes = ("B" if scheme is SpanScheme.BIO or follows else "I") + "I" * inner
        labels[span.start : span.end] = [f"{prefix}-{span.type}" for prefix in prefixes]
    return labels


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans that do not overlap, and the length of their sentence."""
    found, position = [], 0
    for gap, size, kind in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from("AB")))):
        found.append(Span(kind, position + gap, position + gap + size))
        position += gap + size
    return found, position + draw(st.integers(0, 2))


TAGS = {scheme: ["O", *(f"{prefix}-{kind}" for prefix in scheme.prefixes for kind in "AB")] for scheme in SCHEMES}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tags_of_spans(scheme: SpanScheme) -> None:
    for size, prefixes in enumerate(WRITTEN[scheme], start=1):
        labels = [f"{prefix}-PER" for prefix in prefixes.split()]
        assert spans(labels) == spans(labels, scheme) == [Span("PER", 0, size)]


@given(rows(), st.sampled_from(SCHEMES))
def test_round_trip(row: tuple[list[Span], int], scheme: SpanScheme) -> None:
    found, length = row
    labels = encode(found, length, scheme)
    assert spans(labels) == spans(labels, scheme) == found
    assert stray_tags(labels, scheme) == []


@given(st.data(), st.sampled_from(SCHEMES))
def test_strays_are_what_the_scheme_cannot_write(data: st.DataObject, scheme: SpanScheme) -> None:
    labels = data.draw(st.lists(st.sampled_from(TAGS[scheme]), max_size=8))
    written = encode(spans(labels, scheme), len(labels), scheme) == labels
    assert (stray_tags(labels, scheme) == []) == written


@given(st.data())
def test_lenient_spans_cover_all_tags(data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from(TAGS[SpanScheme.BIOES]), max_size=9))
    covered = {position for span in spans(labels) for position in range(span.start, span.end)}
    assert covered == {position for position, label in enumerate(labels) if label != "O"}


@pytest.mark.parametrize(
    ("labels", "lenient", "strict"),
    [
        ("O I-A I-A", [("A", 1, 3)], []),
        ("B-A I-B", [("A", 0, 1), ("B", 1, 2)], [("A", 0, 1)]),
        ("I-A B-A I-A", [("A", 0, 1), ("A", 1, 3)], [("A", 1, 3)]),
        ("B-A O I-A", [("A", 0, 1), ("A", 2, 3)], [("A", 0, 1)]),
        ("B I O B", [("_", 0, 2), ("_", 3, 4)], [("_", 0, 2), ("_", 3, 4)]),
        ("B-x-y I-x-y", [("x-y", 0, 2)], [("x-y", 0, 2)]),
    ],
)
def test_stray_tags_in_bio(labels: str, lenient: list[Span], strict: list[Span]) -> None:
    """Lenient spans are those that conlleval and seqeval count, strict ones those of seqeval's strict mode."""
    assert spans(labels.split()) == lenient
    assert spans(labels.split(), SpanScheme.BIO) == strict


@pytest.mark.parametrize("labels", ["B-A O", "B-A I-A", "I-A E-A", "E-A", "S-A E-A", "B-A S-A", "B-A E-B"])
def test_unfinished_spans_in_bioes(labels: str) -> None:
    row = labels.split()
    assert len(spans(row)) > len(spans(row, SpanScheme.BIOES))
    assert stray_tags(row, SpanScheme.BIOES) != []


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        (SpanScheme.BIO, ["O B-A I-A", "B-A B-A"]),
        (SpanScheme.BIO, ["B-A I-A O I-A", "O B-B"]),
        (SpanScheme.IOB1, ["O I-A I-A", "I-A B-A", "I-B"]),
        (SpanScheme.IOB1, ["I-A I-A O"]),
        (SpanScheme.BIOES, ["S-A O B-A E-A"]),
        (SpanScheme.BIOES, ["O S-A"]),
        (SpanScheme.BILOU, ["B-A L-A O", "U-B"]),
        (None, ["O O", "O"]),
        (None, ["B-A X"]),
        (None, ["U-A", "B-A E-A"]),
        (None, ["NOUN VERB"]),
        (None, [""]),
    ],
)
def test_detection(expected: SpanScheme | None, lines: list[str]) -> None:
    assert detect_scheme([line.split() for line in lines]) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_detection_of_written_tags(scheme: SpanScheme) -> None:
    found = [Span("A", 0, 2), Span("A", 2, 3), Span("B", 3, 6)]
    assert detect_scheme([encode(found, 8, scheme)]) == scheme


@pytest.mark.parametrize(
    ("scheme", "previous", "label", "allowed"),
    [
        (SpanScheme.BIO, None, "I-A", False),
        (SpanScheme.BIO, "B-A", "I-A", True),
        (SpanScheme.BIO, "B-A", "I-B", False),
        (SpanScheme.IOB1, None, "I-A", True),
        (SpanScheme.IOB1, "O", "B-A", False),
        (SpanScheme.IOB1, "I-A", "B-A", True),
        (SpanScheme.BIOES, "B-A", None, False),
        (SpanScheme.BIOES, "E-A", "B-A", True),
        (SpanScheme.BIOES, "B-A", "E-A", True),
        (SpanScheme.BILOU, "B-A", "L-A", True),
        (SpanScheme.BILOU, "B-A", "E-A", False),
        (SpanScheme.BIO, "O", "S-A", False),
        (SpanScheme.BIOES, None, None, True),
    ],
)
def test_may_follow(scheme: SpanScheme, previous: str | None, label: str | None, allowed: bool) -> None:
    assert may_follow(previous, label, scheme) is allowed


@pytest.mark.parametrize("label", ["", "X", "PER", "b-PER", "B_PER", "OO", "O-PER", "-", "BB-A"])
def test_labels_that_are_not_tags(label: str) -> None:
    assert parse_tag(label) is None
    with raises(DataError, repr(label)):
        spans([label])
    with raises(DataError, repr(label)):
        may_follow(label, None, SpanScheme.BIO)


def test_strict_refuses_prefixes_of_other_schemes() -> None:
    assert spans(["S-A"]) == [Span("A", 0, 1)]
    with raises(DataError, "'S-A'", "BIO"):
        spans(["S-A"], SpanScheme.BIO)


def test_names() -> None:
    assert {name: parse_scheme(name).name for name in SCHEME_NAMES} == {
        "iob1": "IOB1", "bio": "BIO", "bioes": "BIOES", "bilou": "BILOU", "iob2": "BIO", "iobes": "BIOES",
    }  # fmt: skip
