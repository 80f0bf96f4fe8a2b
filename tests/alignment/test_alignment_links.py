"""Word alignments: Pharaoh format, symmetrization equal to the reference, and scores by their definitions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.alignment import alignment_reference
from rnnkit.alignment.alignment_links import (
    GROW_DIAG,
    GROW_DIAG_FINAL_AND,
    INTERSECTION,
    KIND,
    METHODS,
    UNION,
    VERSION,
    WordAlignments,
    check_links_match_data,
    read_links,
    score_links,
    single_direction_links,
    symmetrize,
    write_links,
)
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest

from .samples import Pairs, bitext_of

Points = list[list[tuple[int, int]]]

SEVEN = np.array([7], dtype=np.int64)


def pack(points: Points) -> WordAlignments:
    flat = np.array([link for pair in points for link in pair], dtype=np.int32).reshape(-1, 2)
    return WordAlignments(np.cumsum([0, *map(len, points)], dtype=np.int64), flat[:, 0], flat[:, 1])


def unpack(links: WordAlignments) -> Points:
    return [list(zip(*(positions.tolist() for positions in links[pair]), strict=True)) for pair in range(len(links))]


def positions() -> st.SearchStrategy[int]:
    return st.integers(0, 400)


@given(points=st.lists(st.lists(st.tuples(positions(), positions()), max_size=5), max_size=7))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, points: Points) -> None:
    path = tmp_path_factory.mktemp("links") / "links"
    write_links(pack(points), path)
    lengths = np.full(len(points), 401)
    assert unpack(read_links(path, lengths, lengths)) == points


def test_text(tmp_path: Path) -> None:
    links = pack([[(0, 0), (1, 2)], [], [(10, 3)]])
    assert list(links.format_lines()) == ["0-0 1-2", "", "10-3"]
    write_links(links, tmp_path / "links")
    assert (tmp_path / "links").read_bytes() == b"0-0 1-2\n\n10-3\n"


def test_many_lines_are_written_in_blocks() -> None:
    points = [[(pair % 7, pair % 5)] * (pair % 3) for pair in range(10_001)]
    assert list(pack(points).format_lines()) == [" ".join(f"{s}-{t}" for s, t in pair) for pair in points]


@given(
    points=st.lists(st.lists(st.tuples(positions(), positions()), max_size=4), min_size=1, max_size=7), data=st.data()
)
def test_links_of_a_batch(points: Points, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.integers(0, len(points) - 1), max_size=5))
    rows, sources, targets = pack(points).gather(np.array(pairs, dtype=np.int64))
    found = list(zip(rows.tolist(), sources.tolist(), targets.tolist(), strict=True))
    assert found == [(row, *link) for row, pair in enumerate(pairs) for link in points[pair]]


def test_pair_index_out_of_range() -> None:
    with pytest.raises(IndexError, match="pair 2 of 2"):
        pack([[], []])[2]
    with pytest.raises(IndexError):
        pack([[], []])[-1]


def test_possible_links(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_text("0-0 1?2  2-1\n")
    assert unpack(read_links(path, SEVEN, SEVEN)) == [[(0, 0), (2, 1)]]
    assert unpack(read_links(path, SEVEN, SEVEN, possible=True)) == [[(0, 0), (1, 2), (2, 1)]]


@pytest.mark.parametrize("word", ["0", "0-", "-1", "0-1-2", "a-b", "0_1", "0-1.5", "1-9999999999", "٠-٠"])
def test_malformed(tmp_path: Path, word: str) -> None:
    path = tmp_path / "links"
    path.write_text(f"0-0\n1-1 {word} 2-2\n", encoding="utf-8")
    lengths = np.array([7, 7])
    with raises(DataError, f"{path}:2", repr(word), path=path, line=2):
        read_links(path, lengths, lengths)


@pytest.mark.parametrize("word", ["5-0", "0-3", "5-3"])
def test_out_of_range(tmp_path: Path, word: str) -> None:
    path = tmp_path / "links"
    path.write_text(f"4-2 {word}\n")
    with raises(DataError, f"{path}:1", word, "5 and 3 words", path=path, line=1):
        read_links(path, np.array([5]), np.array([3]))


@pytest.mark.parametrize(("text", "found"), [("0-0\n", "1"), ("", "0"), ("0-0\n" * 4, "more than 3")])
def test_wrong_number_of_lines(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "links"
    path.write_text(text)
    lengths = np.array([1, 1, 1])
    with raises(DataError, f"{found} lines", "3 sentence pairs", "rnnkit align", path=path):
        read_links(path, lengths, lengths)


def test_no_file(tmp_path: Path) -> None:
    with raises(DataError, tmp_path / "none"):
        read_links(tmp_path / "none", SEVEN, SEVEN)


def seal(path: Path, data: Path) -> None:
    inputs = {"data": manifest.sha256(data / manifest.NAME)}
    files = manifest.describe_files(path.parent, [path.name])
    manifest.write(manifest.manifest_path(path), manifest.Manifest(KIND, VERSION, {}, inputs, files))


def test_links_of_other_data_are_rejected(tmp_path: Path) -> None:
    path, data = tmp_path / "links", tmp_path / "data"
    data.mkdir()
    (data / manifest.NAME).write_text("{}")
    path.write_text("0-0\n")
    check_links_match_data(path, data)  # without a manifest
    seal(path, data)
    check_links_match_data(path, data)
    (data / manifest.NAME).write_text("{ }")
    with raises(ArtefactError, data, "sha256", "rnnkit align-words", path=path):
        check_links_match_data(path, data)
    seal(path, data)
    path.write_text("0-1\n")
    with raises(ArtefactError, "modified", path=path):
        check_links_match_data(path, data)
    manifest.manifest_path(path).write_text("{")
    with raises(FormatError, "damaged"):
        check_links_match_data(path, data)


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


def link_positions(links: WordAlignments, pair: int) -> list[tuple[int, int]]:
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
        assert link_positions(links, number) == sorted(alignment_reference.symmetrize(one, other, method))


@given(some=st.lists(directions(), min_size=1, max_size=3))
def test_methods_are_nested(some: list[Directions]) -> None:
    pairs, forward_T, backward_S = arrays(some)
    found = {method: symmetrize(bitext_of(pairs), forward_T, backward_S, method) for method in METHODS}
    for number in range(len(some)):
        rising = [
            set(link_positions(found[method], number))
            for method in (INTERSECTION, GROW_DIAG, GROW_DIAG_FINAL_AND, UNION)
        ]
        assert all(small <= large for small, large in pairwise(rising))


def test_a_known_example() -> None:
    pairs, forward_T, backward_S = arrays([([0, 1, 1, -1, 4], [0, 1, 4, -1, -1])])
    methods = {
        method: link_positions(symmetrize(bitext_of(pairs), forward_T, backward_S, method), 0) for method in METHODS
    }
    assert methods == {
        INTERSECTION: [(0, 0), (1, 1)],
        UNION: [(0, 0), (1, 1), (1, 2), (2, 4), (4, 4)],
        GROW_DIAG: [(0, 0), (1, 1), (1, 2)],
        GROW_DIAG_FINAL_AND: [(0, 0), (1, 1), (1, 2), (4, 4)],
    }


def test_one_direction() -> None:
    pairs, forward_T, backward_S = arrays([([0, -1], [1, 0, 0]), ([], [-1]), ([0], [-1])])
    text = bitext_of(pairs)
    assert [link_positions(single_direction_links(text, forward_T), pair) for pair in range(3)] == [
        [(0, 0)],
        [],
        [(0, 0)],
    ]
    backward = single_direction_links(text, backward_S, backward=True)
    assert [link_positions(backward, pair) for pair in range(3)] == [[(0, 1), (1, 0), (2, 0)], [], []]


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
