"""Memory-mapped arrays against NumPy, and malformed headers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rnnkit.io.npy import MAGIC, map_npy, read_header

TYPES = st.sampled_from(["<f4", "<f8", "<i8", "<u2", ">i4", "|b1"])


@given(data=st.data(), fortran=st.booleans())
def test_arrays_are_those_that_numpy_wrote(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, fortran: bool
) -> None:
    array = data.draw(arrays.arrays(data.draw(TYPES), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
    path = tmp_path_factory.getbasetemp() / "array.npy"
    np.save(path, np.array(array, order="F" if fortran else "C"))
    found = map_npy(path)
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert not found.flags.writeable


def _file(header: str, values: bytes = b"", length: int | None = None) -> bytes:
    text = header.encode()
    return MAGIC + b"\x02\x00" + (len(text) if length is None else length).to_bytes(4, "little") + text + values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin like a NumPy array"),
        (MAGIC + b"\x09\x00", "its format version is 9.0"),
        (_file("{}", length=4_000_000_000), "4,000,000,000 exceeds the maximum, 10,000"),
        (_file("{}", length=9), "its header has 2 of 9 bytes"),
        (_file("{"), "its header is malformed: SyntaxError"),
        (_file("(" * 9000), "its header is malformed"),
        (_file("{'shape': (1in 2,)}"), "its header is malformed"),
        (_file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "its header is invalid"),
        (_file("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"), "its header is invalid"),
        (_file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), "its header is invalid"),
        (_file("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}"), "its header is invalid"),
        (_file("{'descr': 'no', 'fortran_order': False, 'shape': (1,)}"), "its header is malformed: TypeError"),
    ],
)
def test_malformed_headers_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_header(io.BytesIO(content))


@pytest.mark.parametrize(
    ("shape", "message"),
    [("(3,)", "8 bytes of values, expected 12 "), ("(1,)", "8 bytes of values, expected 4 ")],
)
def test_wrong_sizes_are_refused(tmp_path: Path, shape: str, message: str) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    (tmp_path / "a.npy").write_bytes(_file(header, bytes(8)))
    with pytest.raises(ValueError, match=message):
        map_npy(tmp_path / "a.npy")


def test_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="it contains pickled objects, which could run code"):
        map_npy(tmp_path / "a.npy")
