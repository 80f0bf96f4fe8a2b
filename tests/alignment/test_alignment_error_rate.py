"""Precision, recall, F1 and AER: by hand, and against their definitions on sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.alignment.alignment_error_rate import score_links

from .test_pharaoh import Points, pack

NONE: Points = [[], []]


def points() -> st.SearchStrategy[Points]:
    link = st.tuples(st.integers(0, 3), st.integers(0, 3))
    return st.lists(st.lists(link, max_size=5, unique=True), min_size=3, max_size=3)


def test_by_hand() -> None:
    found, sure, possible = pack([[(0, 0), (1, 1)], [(0, 1)]]), pack([[(0, 0)], [(0, 0)]]), pack([[(1, 1)], []])
    scores = score_links(found, sure, possible)
    assert (scores.precision, scores.recall) == (2 / 3, 1 / 2)
    assert scores.f1 == pytest.approx(4 / 7)
    assert scores.error_rate == pytest.approx(1 - 3 / 5)


@given(found=points(), sure=points(), possible=points())
def test_by_sets(found: Points, sure: Points, possible: Points) -> None:
    A, S, P = ({(pair, *link) for pair, links in enumerate(some) for link in links} for some in (found, sure, possible))
    P |= S
    scores = score_links(pack(found), pack(sure), pack(possible))
    assert scores.precision == pytest.approx(len(A & P) / len(A) if A else 1)
    assert scores.recall == pytest.approx(len(A & S) / len(S) if S else 1)
    assert scores.error_rate == pytest.approx(1 - (len(A & S) + len(A & P)) / (len(A) + len(S)) if A or S else 0)
    if A or S:
        alone = score_links(pack(found), pack(sure))
        assert alone.f1 == pytest.approx(1 - alone.error_rate)


def test_nothing_and_the_same() -> None:
    same = pack([[(0, 0)], [(2, 1)]])
    assert score_links(same, same).f1 == 1
    assert score_links(pack(NONE), pack(NONE)).f1 == 1
    assert score_links(pack(NONE), same).f1 == 0
    twice = pack([[(0, 0), (0, 0)], [(2, 1)]])
    assert score_links(twice, same).f1 == 1
