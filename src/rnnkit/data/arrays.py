"""One-dimensional `.npy` files: written before their length is known, read through the memory map.

The files are plain numpy files, so `numpy.load(path, mmap_mode="r", allow_pickle=False)` reads them anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError
from rnnkit.io.npy import map_array

IntArray = NDArray[np.integer[Any]]

# Room for the longest header there can be; a multiple of 64, as the format wants it.
_HEADER_BYTES = 128
_BLOCK = 1 << 18
_AGAIN = "make it again: aligned data with `rnnkit align`, a run with --overwrite"


class GrowingArray:
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
        array = map_array(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing", hint=_AGAIN) from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged or truncated", str(error), hint=_AGAIN) from error
    if array.ndim != 1 or array.dtype.type not in kinds:
        found = f"{array.ndim}-dimensional {array.dtype}"
        wanted = " or ".join(np.dtype(kind).name for kind in kinds)
        raise FormatError(f"{path} holds a {found} array", f"a 1-dimensional array of {wanted} is wanted")
    return array


def blocks(path: Path, array: IntArray) -> Iterator[IntArray]:
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
