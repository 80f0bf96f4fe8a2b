"""Words to numbers at the speed of reading: a hash table of the words met, in compiled code.

Words get numbers in the order in which they are first met; each is counted. Open addressing with linear probing;
the table is never more than half full.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.compiled import inlined, kernel
from rnnkit.text.blocks import ASCII_SPACES

_EMPTY = np.int32(-1)
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of FNV-1a with 64 bits
_FOLD = np.uint64(32)
_NEWLINE: Final = 10
_IS_SPACE = np.isin(np.arange(256), list(ASCII_SPACES))

# Places in the array of sizes that compiled code and Python share.
_WORDS, _BYTES, _RUN = range(3)


class WordTable:
    """Every word met so far, with its count.

    Args:
        longest: Most words in a segment; longer lines are cut into several.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._sizes = np.zeros(3, np.int64)
        self._slots: NDArray[np.int32] = np.full(1, _EMPTY)
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._ends: NDArray[np.int64] = np.empty(0, np.int64)
        self._text: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __len__(self) -> int:
        return int(self._sizes[_WORDS])

    def encode(self, block: bytes) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number the words of a block of text.

        Args:
            block: Whole words between `ASCII_SPACES`; what was begun in a segment goes on in the next block.

        Returns:
            The number of each word, and after how many of them a segment ends.
        """
        most = len(block) // 2 + 1
        self._make_room(most, len(block))
        ids, ends = np.empty(most, np.int32), np.empty(most, np.int64)
        words, segments = _encode(
            np.frombuffer(block, np.uint8), _IS_SPACE, self._longest, self._sizes, self._slots, self._hashes,
            self._counts, self._ends, self._text, ids, ends,
        )  # fmt: skip
        return ids[:words], ends[:segments]

    def end_segment(self) -> bool:
        """Let the next word begin a segment; returns whether there was one to end."""
        begun = bool(self._sizes[_RUN])
        self._sizes[_RUN] = 0
        return begun

    @property
    def counts(self) -> NDArray[np.int64]:
        """Occurrences of each word."""
        return self._counts[: len(self)]

    def word(self, number: int) -> bytes:
        """A word, in UTF-8."""
        start = int(self._ends[number - 1]) if number else 0
        return self._text[start : int(self._ends[number])].tobytes()

    def _make_room(self, words: int, size: int) -> None:
        """For so many new words of so many bytes."""
        words, size = words + len(self), size + int(self._sizes[_BYTES])
        if words > len(self._ends):
            self._hashes, self._counts, self._ends = (
                _grown(array, 2 * words) for array in (self._hashes, self._counts, self._ends)
            )
        if size > len(self._text):
            self._text = _grown(self._text, 2 * size)
        if 2 * words > len(self._slots):
            self._slots = np.full(1 << (4 * words).bit_length(), _EMPTY)
            _refill(self._slots, self._hashes, len(self))


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A copy with room for more, which is zeros: counts begin there. Large room is not touched for that."""
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _encode(
    block: Any, is_space: Any, longest: int, sizes: Any, slots: Any, hashes: Any, counts: Any, ends: Any, text: Any,
    ids: Any, segments: Any,
) -> tuple[int, int]:  # fmt: skip
    written = finished = place = 0
    run = sizes[_RUN]
    while place < len(block):
        if is_space[block[place]]:
            if (block[place] == _NEWLINE and run) or run == longest:
                segments[finished] = written
                finished += 1
                run = 0
            place += 1
            continue
        start, hashed = place, _BASIS
        while place < len(block) and not is_space[block[place]]:
            hashed = (hashed ^ np.uint64(block[place])) * _PRIME
            place += 1
        word = _find(block, start, place, hashed, sizes, slots, hashes, ends, text)
        counts[word] += 1
        ids[written] = word
        written += 1
        run += 1
    sizes[_RUN] = run
    return written, finished


@inlined
def _find(
    block: Any, start: int, stop: int, hashed: np.uint64, sizes: Any, slots: Any, hashes: Any, ends: Any, text: Any
) -> int:
    """The number of a word, a new one if need be."""
    slot = _home(hashed, slots)
    while slots[slot] != _EMPTY:
        word = slots[slot]
        if hashes[word] == hashed and _same(block, start, stop, word, ends, text):
            return int(word)
        slot = (slot + 1) & (len(slots) - 1)
    number, filled = int(sizes[_WORDS]), sizes[_BYTES]
    for place in range(start, stop):
        text[filled + place - start] = block[place]
    sizes[_WORDS], sizes[_BYTES] = number + 1, filled + stop - start
    slots[slot], hashes[number], ends[number] = number, hashed, sizes[_BYTES]
    return number


@inlined
def _same(block: Any, start: int, stop: int, word: int, ends: Any, text: Any) -> bool:
    first = ends[word - 1] if word else 0
    if ends[word] - first != stop - start:
        return False
    for place in range(stop - start):  # noqa: SIM110 - compiled
        if text[first + place] != block[start + place]:
            return False
    return True


@inlined
def _home(hashed: np.uint64, slots: Any) -> np.int64:
    """The slot where the search for a word begins."""
    return np.int64((hashed ^ (hashed >> _FOLD)) & np.uint64(len(slots) - 1))


@kernel
def _refill(slots: Any, hashes: Any, words: int) -> None:
    for word in range(words):
        slot = _home(hashes[word], slots)
        while slots[slot] != _EMPTY:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = word
