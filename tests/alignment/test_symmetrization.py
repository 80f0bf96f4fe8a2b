"""Symmetrization: equal to the reference, and properties of the methods."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.alignment import alignment_reference
from rnnkit.alignment.pharaoh import WordAlignments
from rnnkit.alignment.symmetrization import (
    GROW_DIAG,
    GROW_DIAG_FINAL_AND,
    INTERSECTION,
    METHODS,
    UNION,
    single_direction_links,
    symmetrize,
)

from .samples import Pairs, bitext_of

Directions = tuple[list[int], list[int]]


@st.composite
def directions(draw: st.DrawFn, longest: int = 7) -> Directions:
    """Generate, for each target word, a source position or -1, and the reverse."""
    m, n = draw(st.integers(0, longest)), draw(st.integers(0, longest))
    source, target = (st.integers(-1, length - 1) for length in (m, n))
    return draw(st.lists(source, min_size=n, max_size=n)), draw(st.lists(target, min_size=m, max_size=m))


def arrays(some: list[Directions]) -> tuple[Pairs, np.ndarray, np.ndarray]:
    pairs: Pairs = [([4] * len(backward), [5] * len(forward)) for forward, backward in some]
    forward_T = np.array([position for forward, _ in some for position in forward], dtype=np.int32)
    return pairs, forward_T, np.array([position for _, backward in some for position in backward], dtype=np.int32)


def points(links: WordAlignments, pair: int) -> list[tuple[int, int]]:
    sources, targets = links[pair]
    return list(zip(sources.tolist(), targets.tolist(), strict=True))


@pytest.mark.parametrize("method", METHODS)
@given(some=st.lists(directions(), min_size=1, max_size=4))
def test_equals_reference(method: str, some: list[Directions]) -> None:
    pairs, forward_T, backward_S = arrays(some)
    links = symmetrize(bitext_of(pairs), forward_T, backward_S, method)
    for number, (forward, backward) in enumerate(some):
        one = {(source, target) for target, source in enumerate(forward) if source >= 0}
        other = {(source, target) for source, target in enumerate(backward) if target >= 0}
        assert points(links, number) == sorted(alignment_reference.symmetrize(one, other, method))


@given(some=st.lists(directions(), min_size=1, max_size=3))
def test_methods_are_nested(some: list[Directions]) -> None:
    pairs, forward_T, backward_S = arrays(some)
    found = {method: symmetrize(bitext_of(pairs), forward_T, backward_S, method) for method in METHODS}
    for number in range(len(some)):
        rising = [
            set(points(found[method], number)) for method in (INTERSECTION, GROW_DIAG, GROW_DIAG_FINAL_AND, UNION)
        ]
        assert all(small <= large for small, large in pairwise(rising))


def test_a_known_example() -> None:
    pairs, forward_T, backward_S = arrays([([0, 1, 1, -1, 4], [0, 1, 4, -1, -1])])
    methods = {method: points(symmetrize(bitext_of(pairs), forward_T, backward_S, method), 0) for method in METHODS}
    assert methods == {
        INTERSECTION: [(0, 0), (1, 1)],
        UNION: [(0, 0), (1, 1), (1, 2), (2, 4), (4, 4)],
        GROW_DIAG: [(0, 0), (1, 1), (1, 2)],
        GROW_DIAG_FINAL_AND: [(0, 0), (1, 1), (1, 2), (4, 4)],
    }


def test_one_direction() -> None:
    pairs, forward_T, backward_S = arrays([([0, -1], [1, 0, 0]), ([], [-1]), ([0], [-1])])
    text = bitext_of(pairs)
    assert [points(single_direction_links(text, forward_T), pair) for pair in range(3)] == [[(0, 0)], [], [(0, 0)]]
    backward = single_direction_links(text, backward_S, backward=True)
    assert [points(backward, pair) for pair in range(3)] == [[(0, 1), (1, 0), (2, 0)], [], []]
