"""`.npy` files mapped into memory, their headers held against the files' sizes before anything is taken for them.

NumPy's own reader believes a header's length and shape, and evaluates its text; here nothing is larger than the file.
"""

from __future__ import annotations

import ast
import math
import os
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.io.regular import open_regular

MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000
_LARGEST = 1 << 48
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}


class Header(NamedTuple):
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


def read_header(file: IO[bytes]) -> Header:
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
    return Header(*_parse(text), len(MAGIC) + 2 + width + length)


def map_array(path: Path) -> NDArray[Any]:
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
