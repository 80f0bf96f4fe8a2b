"""`.npy` files mapped into memory, their headers held against the files' sizes before anything is taken for them.

NumPy's own reader believes a header's length and shape, and evaluates its text; here nothing is larger than the file.
"""

from __future__ import annotations

import ast
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError
from rnnkit.io.safe_reading import open_regular

MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000
_LARGEST = 1 << 48
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}


class NpyHeader(NamedTuple):
    """What stands before the values.

    Attributes:
        dtype: Their type.
        shape: Their shape.
        fortran: Whether the first index runs fastest.
        start: Byte of the first value.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def bytes(self) -> int:
        """Bytes that the values take."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> NpyHeader:
    """Read what stands before the values. Raises ValueError where it is no such header."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin as a NumPy array does")
    version = file.read(2)
    if version not in _LENGTH_BYTES:
        raise ValueError(f"its format version is {'.'.join(map(str, version))}")
    width = _LENGTH_BYTES[version]
    length = int.from_bytes(file.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header would have {length:,} bytes, {_LONGEST_HEADER:,} is the most")
    text = file.read(length)
    if len(text) < length:
        raise ValueError(f"its header has {len(text):,} of {length:,} bytes")
    return NpyHeader(*_parse(text), len(MAGIC) + 2 + width + length)


def map_npy(path: Path) -> NDArray[Any]:
    """Map an array into memory, read-only.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, holds objects, or is not as long as its header says.
    """
    with open_regular(path) as file:
        header = read_header(file)
        if header.dtype.hasobject:
            raise ValueError("it holds pickled objects, which could run code")
        there = os.fstat(file.fileno()).st_size - header.start
        if there != header.bytes:
            raise ValueError(f"{there:,} bytes of values, its header says {header.bytes:,}")
        order = "F" if header.fortran else "C"
        return np.memmap(file, header.dtype, "r", header.start, header.shape, order).view(np.ndarray)  # type: ignore[call-overload, no-any-return]


def _parse(text: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Type, shape and order. Raises ValueError."""
    try:
        with warnings.catch_warnings():  # Python has opinions about text that is nearly Python
            warnings.simplefilter("ignore", SyntaxWarning)
            facts = ast.literal_eval(text.decode("latin-1").strip())
        dtype = np.dtype(facts["descr"]) if isinstance(facts["descr"], str) else None
        shape, fortran = facts["shape"], facts["fortran_order"]
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise ValueError(f"its header is none: {type(error).__name__}") from error
    whole = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < _LARGEST for size in shape)
    if dtype is None or not dtype.itemsize or not whole or type(fortran) is not bool:
        raise ValueError(f"its header says {text[:80]!r}")
    return dtype, shape, fortran


IntArray = NDArray[np.integer[Any]]

# Room for the longest header there can be; a multiple of 64, as the format wants it.
_HEADER_BYTES = 128
_BLOCK = 1 << 18
_AGAIN = "make it again: aligned data with `rnnkit align`, a run with --overwrite"


class NpyWriter:
    """A `.npy` file that values are appended to; its header gets the length when it is closed.

    Args:
        path: The file to make.
        dtype: Type of the values; stored in little-endian order.
    """

    def __init__(self, path: Path, dtype: type[np.integer[Any]]) -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.length = 0
        self._file: IO[bytes] = path.open("wb")
        self._file.write(_header(self.dtype, 0))

    def append(self, values: IntArray) -> None:
        """Add values (any shape) at the end, in order."""
        self._file.write(values.astype(self.dtype, copy=False).tobytes())
        self.length += values.size

    def close(self) -> None:
        """Write the length into the header; nothing can be appended any more. Closing twice does no harm."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._file.write(_header(self.dtype, self.length))
        self._file.close()


def open_array(path: Path, kinds: tuple[type[np.integer[Any]], ...]) -> IntArray:
    """Map a one-dimensional `.npy` file into memory, read-only.

    Args:
        path: The file.
        kinds: The types it may hold.

    Raises:
        FormatError: It is missing, truncated, longer than its header says, or holds something else.
    """
    try:
        array = map_npy(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing", hint=_AGAIN) from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged or truncated", str(error), hint=_AGAIN) from error
    if array.ndim != 1 or array.dtype.type not in kinds:
        found = f"{array.ndim}-dimensional {array.dtype}"
        wanted = " or ".join(np.dtype(kind).name for kind in kinds)
        raise FormatError(f"{path} holds a {found} array", f"a 1-dimensional array of {wanted} is wanted")
    return array


def iterate_blocks(path: Path, array: IntArray) -> Iterator[IntArray]:
    """The values of a mapped file, in blocks read from the disk: looking at all of them takes no memory."""
    with path.open("rb") as file:
        file.seek(path.stat().st_size - array.nbytes)
        while len(block := np.fromfile(file, dtype=array.dtype, count=_BLOCK)):
            yield block


def _header(dtype: np.dtype[Any], length: int) -> bytes:
    """A version 1.0 header of fixed size (numpy.lib.format)."""
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    facts = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({length},), }}"
    return start + facts.encode("ascii").ljust(_HEADER_BYTES - 11) + b"\n"
