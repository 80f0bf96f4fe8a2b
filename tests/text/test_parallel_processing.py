"""Shards: each line is in exactly one, and all are found for the merge."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.text.parallel_processing import Shard, find_shards, parse_shard


@given(st.integers(0, 50), st.integers(1, 9))
def test_every_line_is_in_one_shard(lines: int, count: int) -> None:
    spans = [Shard(number, count).line_range(lines) for number in range(1, count + 1)]
    assert [line for start, stop in spans for line in range(start, stop)] == list(range(lines))
    sizes = [stop - start for start, stop in spans]
    assert max(sizes) - min(sizes) <= 1


def test_shard_option() -> None:
    assert parse_shard("2/8", False) == Shard(2, 8)
    assert parse_shard(None, True) is None
    assert str(Shard(2, 8)) == "2-of-8"
    for wrong in ("0/3", "4/3", "2", "a/b", "1/2/3", "-1/3", ""):
        with raises(UsageError, "I/N", repr(wrong), option="--shard"):
            parse_shard(wrong, False)
    with raises(UsageError, "--merge", option="--shard"):
        parse_shard("1/2", True)


def test_shard_paths(tmp_path: Path) -> None:
    assert Shard(2, 8).path_of(tmp_path / "vocab.de.tsv") == tmp_path / "vocab.de.2-of-8.tsv"
    assert Shard(2, 8).path_of(tmp_path / "data") == tmp_path / "data.2-of-8"


def test_shards_are_found_in_order(tmp_path: Path) -> None:
    whole = tmp_path / "vocab.tsv"
    with pytest.raises(DataError) as caught:
        find_shards(whole)
    assert str(caught.value).splitlines()[0] == f"there are no shards of {whole}"
    wanted = [Shard(number, 11).path_of(whole) for number in range(1, 12)]
    for path in wanted:
        path.touch()
    Shard(1, 2).path_of(tmp_path / "vocab.de.tsv").touch()
    assert find_shards(whole) == wanted
    wanted[2].unlink()
    wanted[4].unlink()
    with raises(DataError, wanted[2], "9 of 11", "--shard 3/11", path=wanted[2]):
        find_shards(whole)
    Shard(1, 2).path_of(whole).touch()
    with pytest.raises(ArtefactError, match="of 2 and of 11"):
        find_shards(whole)
