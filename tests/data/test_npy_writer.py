"""`.npy` files written before their length is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import FormatError
from rnnkit.io.npy import NpyWriter, iterate_blocks, open_array


def made(path: Path, *parts: list[int]) -> Path:
    array = NpyWriter(path, np.uint16)
    for part in parts:
        array.append(np.array(part, dtype=np.int64))
    array.close()
    return path


@given(st.lists(st.lists(st.integers(0, 65535))))
def test_appended_and_read_are_equal(tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]) -> None:
    path = made(tmp_path_factory.mktemp("arrays") / "ids.npy", *parts)
    flat = [value for part in parts for value in part]
    array = open_array(path, (np.uint16,))
    assert array.tolist() == flat
    assert np.load(path, allow_pickle=False).tolist() == flat
    assert [value for block in iterate_blocks(path, array) for value in block] == flat


def test_large_files_come_in_blocks(tmp_path: Path) -> None:
    path = made(tmp_path / "ids.npy", list(range(60_000)) * 10)
    array = open_array(path, (np.uint16,))
    found = list(iterate_blocks(path, array))
    assert len(found) > 1
    assert np.array_equal(np.concatenate(found), array)


def test_a_mapped_array_is_read_only(tmp_path: Path) -> None:
    array = open_array(made(tmp_path / "ids.npy", [1, 2]), (np.uint16,))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 3


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    array = NpyWriter(tmp_path / "ids.npy", np.int64)
    array.close()
    array.close()
    assert len(open_array(tmp_path / "ids.npy", (np.int64,))) == 0


def test_missing_truncated_and_longer_files(tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    with raises(FormatError, "rnnkit align", "--overwrite", path=path):
        open_array(path, (np.uint16,))
    content = made(path, [1, 2, 3]).read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError, match="is damaged or truncated"):
            open_array(path, (np.uint16,))
    path.write_bytes(content + b"ab")
    with pytest.raises(FormatError, match=r"is damaged or truncated\n  8 bytes of values, expected 6 "):
        open_array(path, (np.uint16,))


def test_arrays_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.zeros((2, 3), dtype=np.uint16))
    with raises(FormatError, "2-dimensional uint16", "1-dimensional", "uint16 or int32", path=path):
        open_array(path, (np.uint16, np.int32))
    np.save(path, np.zeros(3))
    with pytest.raises(FormatError, match="1-dimensional float64 array"):
        open_array(path, (np.uint16,))
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(FormatError, match="is damaged or truncated"):
        open_array(path, (np.uint16,))
    with path.open("wb") as file:
        np.savez(file, ids=np.zeros(3, dtype=np.uint16))
    with pytest.raises(FormatError, match="does not begin like a NumPy array"):
        open_array(path, (np.uint16,))
