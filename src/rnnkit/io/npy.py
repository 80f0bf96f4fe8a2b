"""`.npy` files: memory-mapped with a validated header, and written before their length is known.

NumPy's reader trusts the sizes in a header and evaluates its text; here no array is larger than its file. The files are
plain NumPy files, so `numpy.load(path, mmap_mode="r", allow_pickle=False)` reads them.
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

IntArray = NDArray[np.integer[Any]]
IntType = type[np.integer[Any]]

MAGIC = b"\x93NUMPY"

_MAX_HEADER_BYTES = 10_000
_MAX_DIMENSION = 1 << 48
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}

# Fixed size of the headers written here, enough for any length; a multiple of 64, as the format requires.
_HEADER_BYTES = 128
_BLOCK_VALUES = 1 << 18
_RECREATE_HINT = "create it again: aligned data with `rnnkit align`, a run with --overwrite"


class NpyHeader(NamedTuple):
    """Header of a `.npy` file.

    Attributes:
        dtype: Type of the values.
        shape: Shape of the array.
        fortran: Whether the order is column-major.
        start: Byte offset of the first value.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def bytes(self) -> int:
        """Size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> NpyHeader:
    """Read the header of a `.npy` file. Raises ValueError if it is malformed."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin like a NumPy array")
    version = file.read(2)
    if version not in _LENGTH_BYTES:
        raise ValueError(f"its format version is {'.'.join(map(str, version))}")
    width = _LENGTH_BYTES[version]
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"the header length {length:,} exceeds the maximum, {_MAX_HEADER_BYTES:,} bytes")
    text = file.read(length)
    if len(text) < length:
        raise ValueError(f"its header has {len(text):,} of {length:,} bytes")
    return NpyHeader(*_parse(text), len(MAGIC) + 2 + width + length)


def map_npy(path: Path) -> NDArray[Any]:
    """Memory-map an array, read-only.

    Raises:
        OSError: The file is unreadable.
        ValueError: It is damaged, contains objects, or its size differs from its header.
    """
    with open_regular(path) as file:
        header = read_header(file)
        if header.dtype.hasobject:
            raise ValueError("it contains pickled objects, which could run code")
        size = os.fstat(file.fileno()).st_size - header.start
        if size != header.bytes:
            raise ValueError(f"{size:,} bytes of values, expected {header.bytes:,} from its header")
        order = "F" if header.fortran else "C"
        return np.memmap(file, header.dtype, "r", header.start, header.shape, order).view(np.ndarray)  # type: ignore[call-overload, no-any-return]


def _parse(text: bytes) -> tuple[np.dtype[np.generic], tuple[int, ...], bool]:
    """Return dtype, shape and order of a header. Raises ValueError."""
    try:
        with warnings.catch_warnings():  # Python warns about text that is almost Python
            warnings.simplefilter("ignore", SyntaxWarning)
            facts = ast.literal_eval(text.decode("latin-1").strip())
        dtype = np.dtype(facts["descr"]) if isinstance(facts["descr"], str) else None
        shape, fortran = facts["shape"], facts["fortran_order"]
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise ValueError(f"its header is malformed: {type(error).__name__}") from error
    valid = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < _MAX_DIMENSION for size in shape)
    if dtype is None or not dtype.itemsize or not valid or type(fortran) is not bool:
        raise ValueError(f"its header is invalid: {text[:80]!r}")
    return dtype, shape, fortran


class NpyWriter:
    """A one-dimensional `.npy` file that values are appended to; closing it writes the length to the header.

    Args:
        path: The file to create.
        dtype: Type of the values, stored in little-endian order.
    """

    def __init__(self, path: Path, dtype: type[np.number[Any]]) -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.length = 0
        self._file: IO[bytes] = path.open("wb")
        self._file.write(_header(self.dtype, 0))

    def append(self, values: NDArray[np.number[Any]]) -> None:
        """Append values of any shape, in order."""
        self._file.write(values.astype(self.dtype, copy=False).tobytes())
        self.length += values.size

    def close(self) -> None:
        """Write the length to the header and close the file. Closing twice is allowed."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._file.write(_header(self.dtype, self.length))
        self._file.close()


def open_array(path: Path, dtypes: tuple[IntType, ...]) -> IntArray:
    """Memory-map a one-dimensional `.npy` file of integers, read-only.

    Args:
        path: The file.
        dtypes: Accepted types.

    Raises:
        FormatError: The file is missing, its size differs from its header, or its type or shape is not accepted.
    """
    return _open(path, dtypes)


def open_float_array(path: Path) -> NDArray[np.float32]:
    """Memory-map a one-dimensional `.npy` file of float32, read-only. Raises FormatError as `open_array`."""
    return _open(path, (np.float32,))


def _open(path: Path, dtypes: tuple[type[np.number[Any]], ...]) -> NDArray[Any]:
    try:
        array = map_npy(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing", hint=_RECREATE_HINT, path=path) from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged or truncated", str(error), hint=_RECREATE_HINT, path=path) from error
    if array.ndim != 1 or array.dtype.type not in dtypes:
        found = f"{array.ndim}-dimensional {array.dtype}"
        expected = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise FormatError(
            f"{path} contains a {found} array", f"expected a 1-dimensional array of {expected}", path=path
        )
    return array


def iterate_blocks(path: Path, array: IntArray) -> Iterator[IntArray]:
    """Yield the values of a mapped file in blocks that are read from disk, in constant memory."""
    with path.open("rb") as file:
        file.seek(path.stat().st_size - array.nbytes)
        while len(block := np.fromfile(file, dtype=array.dtype, count=_BLOCK_VALUES)):
            yield block


def _header(dtype: np.dtype[np.generic], length: int) -> bytes:
    """Return a version 1.0 header of fixed size (numpy.lib.format)."""
    start = MAGIC + b"\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    facts = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({length},), }}"
    return start + facts.encode("ascii").ljust(_HEADER_BYTES - 11) + b"\n"
