"""Pharaoh format: round trips, and rejection of malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.alignment.pharaoh import KIND, VERSION, WordAlignments, check_links_match_data, read_links, write_links
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest

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
