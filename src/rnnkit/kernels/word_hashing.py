"""Hashing of words: a hash table that numbers words at the speed of reading, and hashes of n-grams.

Words receive consecutive ids in order of first occurrence, and are counted. Open addressing with linear probing; the
table is at most half full. N-grams are hashed as fastText does. Of characters: 32-bit FNV-1a of UTF-8 bytes, each
sign-extended first. Of words, with the hashes h_i of the words as signed numbers: h = 116049371 h + h_i for each word
after the first, modulo 2^64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.compiler import BoolArray, Int32Array, Int64Array, UInt8Array
from rnnkit.kernels.word_vector_simd import inlined, kernel

_FNV32_BASIS, _FNV32_PRIME = np.uint32(2166136261), np.uint32(16777619)
_WORD_MULTIPLIER = np.uint64(116049371)
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80  # a UTF-8 byte that continues a character is 10xxxxxx


def hash_ngrams(
    words: Sequence[str | bytes], min_length: int, max_length: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int32]]:
    """Hash the n-grams of `<word>` for each word.

    Args:
        words: As text, or as UTF-8 bytes, which need not be valid.
        min_length: Characters of the shortest n-gram, `<` and `>` included.
        max_length: Characters of the longest n-gram.

    Returns:
        Where the hashes of each word begin, (words + 1,); all hashes, word by word; the characters of each n-gram.
    """
    encoded = [b"<%b>" % (word.encode() if isinstance(word, str) else word) for word in words]
    ends = np.cumsum([0, *(len(word) for word in encoded)])
    text = np.frombuffer(b"".join(encoded), np.uint8)
    starts = np.zeros(len(encoded) + 1, np.int64)
    sizes = np.diff(ends)  # in bytes, which bounds the number of n-grams that begin at each byte
    most = int((sizes * np.minimum(sizes, max(0, max_length - min_length + 1))).sum())
    hashes, lengths = np.empty(most, np.uint32), np.empty(most, np.int32)
    count = _hash_all(text, ends, (min_length, max_length), starts, hashes, lengths)
    return starts, hashes[:count].copy(), lengths[:count].copy()


@kernel
def _hash_all(
    text: UInt8Array,
    ends: Int64Array,
    bounds: tuple[int, int],
    starts: Int64Array,
    hashes: NDArray[np.uint32],
    lengths: Int32Array,
) -> int:
    min_length, max_length = bounds
    count = 0
    for word in range(len(ends) - 1):
        first, last = ends[word], ends[word + 1]
        for begin in range(first, last):
            if text[begin] & _CONTINUATION_MASK == _CONTINUATION:
                continue
            hashed, end, length = _FNV32_BASIS, begin, 0
            while end < last and length < max_length:
                hashed = _hash_byte(hashed, text[end])
                end += 1
                while end < last and text[end] & _CONTINUATION_MASK == _CONTINUATION:
                    hashed = _hash_byte(hashed, text[end])
                    end += 1
                length += 1
                is_boundary = length == 1 and (begin == first or end == last)  # `<` or `>` alone
                if length >= min_length and not is_boundary:
                    hashes[count], lengths[count] = hashed, length
                    count += 1
        starts[word + 1] = count
    return count


def hash_words(words: Sequence[str]) -> NDArray[np.uint32]:
    """Hash whole words."""
    encoded = [word.encode() for word in words]
    hashes = np.empty(len(encoded), np.uint32)
    ends = np.cumsum([0, *(len(word) for word in encoded)])
    _hash_words(np.frombuffer(b"".join(encoded), np.uint8), ends, hashes)
    return hashes


@kernel
def _hash_words(text: UInt8Array, ends: Int64Array, hashes: NDArray[np.uint32]) -> None:
    for word in range(len(hashes)):
        hashed = _FNV32_BASIS
        for at in range(ends[word], ends[word + 1]):
            hashed = _hash_byte(hashed, text[at])
        hashes[word] = hashed


def hash_word_ngrams(
    ids: Int32Array, starts: Int64Array, words: Sequence[str], max_words: int, buckets: int
) -> NDArray[np.int32]:
    """Compute the bucket of each word n-gram: two or more successive words of one text.

    Args:
        ids: Words of all texts, as indices in `words`.
        starts: Start of each text in `ids`, and the end of the last one.
        words: The distinct words; no n-gram contains the empty one.
        max_words: Words of the longest n-gram.
        buckets: Number of buckets.

    Returns:
        The buckets (max_words - 1, len(ids)): row n - 2 for n words, at the first of them; -1 if there is no n-gram.
    """
    found = np.full((max(0, max_words - 1), len(ids)), -1, np.int32)
    is_word = np.array([bool(word) for word in words], np.bool_)
    _hash_word_ngrams(ids, starts, hash_words(words), is_word, buckets, found)
    return found


@kernel
def _hash_word_ngrams(
    ids: Int32Array,
    starts: Int64Array,
    hashes: NDArray[np.uint32],
    is_word: BoolArray,
    buckets: int,
    found: NDArray[np.int32],
) -> None:
    for text in range(len(starts) - 1):
        for first in range(starts[text], starts[text + 1]):
            hashed = np.uint64(np.int64(np.int32(hashes[ids[first]])))
            after = first + 1
            while after < min(starts[text + 1], first + 1 + len(found)) and is_word[ids[first]] and is_word[ids[after]]:
                hashed = hashed * _WORD_MULTIPLIER + np.uint64(np.int64(np.int32(hashes[ids[after]])))
                found[after - first - 1, first] = np.int32(hashed % np.uint64(buckets))
                after += 1


@kernel
def _hash_byte(hashed: np.uint32, byte: np.uint8) -> np.uint32:
    """Extend a hash by one byte."""
    return np.uint32((hashed ^ np.uint32(np.int32(np.int8(byte)))) * _FNV32_PRIME)


_EMPTY = np.int32(-1)
_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a with 64 bits
_FOLD = np.uint64(32)
_NEWLINE: Final = 10

S = TypeVar("S", bound=np.generic)

# Indices of the sizes that compiled code and Python share: words, bytes of text, words in the current segment.
_WORDS, _BYTES, _RUN = range(3)


class _Arrays(NamedTuple):
    """The arrays of the table.

    Attributes:
        sizes: Used sizes, by the indices above.
        slots: The id of the word in each slot, or _EMPTY.
        hashes: The hash of each word.
        counts: Occurrences of each word.
        ends: The end of each word in `text`.
        text: The words in UTF-8, one after the other.
    """

    sizes: NDArray[np.int64]
    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]
    ends: NDArray[np.int64]
    text: NDArray[np.uint8]


class WordHashTable:
    """All words so far, with their counts.

    Args:
        max_segment: Maximum words in a segment; longer lines are split.
        separators: The bytes between words. A line feed ends a segment, too.
    """

    def __init__(self, max_segment: int, separators: bytes) -> None:
        self._max_segment = max_segment
        self._is_separator = np.isin(np.arange(256), list(separators))
        self._arrays = _Arrays(
            sizes=np.zeros(3, np.int64),
            slots=np.full(1, _EMPTY),
            hashes=np.empty(0, np.uint64),
            counts=np.empty(0, np.int64),
            ends=np.empty(0, np.int64),
            text=np.empty(0, np.uint8),
        )

    def __len__(self) -> int:
        return int(self._arrays.sizes[_WORDS])

    def encode(self, block: bytes) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Convert a block of text to ids.

        Args:
            block: Whole words between separators; a segment may continue in the next block.

        Returns:
            The id of each word, and after how many of them a segment ends.
        """
        max_words = len(block) // 2 + 1
        self._reserve(max_words, len(block))
        ids, ends = np.empty(max_words, np.int32), np.empty(max_words, np.int64)
        text = np.frombuffer(block, np.uint8)
        words, segments = _encode(self._arrays, text, self._is_separator, self._max_segment, ids, ends)
        return ids[:words], ends[:segments]

    def end_segment(self) -> bool:
        """End the current segment; returns whether it had any words."""
        has_words = bool(self._arrays.sizes[_RUN])
        self._arrays.sizes[_RUN] = 0
        return has_words

    @property
    def counts(self) -> NDArray[np.int64]:
        """Occurrences of each word, by id."""
        return self._arrays.counts[: len(self)]

    def word(self, id: int) -> bytes:
        """Return a word in UTF-8."""
        start = int(self._arrays.ends[id - 1]) if id else 0
        return self._arrays.text[start : int(self._arrays.ends[id])].tobytes()

    def _reserve(self, words: int, size: int) -> None:
        """Make room for `words` new words of `size` bytes in total."""
        arrays = self._arrays
        words, size = words + len(self), size + int(arrays.sizes[_BYTES])
        if words > len(arrays.ends):
            arrays = arrays._replace(
                hashes=_grown(arrays.hashes, 2 * words),
                counts=_grown(arrays.counts, 2 * words),
                ends=_grown(arrays.ends, 2 * words),
            )
        if size > len(arrays.text):
            arrays = arrays._replace(text=_grown(arrays.text, 2 * size))
        if 2 * words > len(arrays.slots):
            arrays = arrays._replace(slots=np.full(1 << (4 * words).bit_length(), _EMPTY))
            _rehash(arrays.slots, arrays.hashes, len(self))
        self._arrays = arrays


def _grown(array: NDArray[S], size: int) -> NDArray[S]:
    """Return a copy extended with zeros, which counts start from; the system commits their memory only when used."""
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _encode(
    table: _Arrays, block: UInt8Array, is_separator: BoolArray, max_segment: int, ids: Int32Array, segments: Int64Array
) -> tuple[int, int]:
    words = finished = at = 0
    run = table.sizes[_RUN]
    while at < len(block):
        if is_separator[block[at]]:
            if (block[at] == _NEWLINE and run) or run == max_segment:
                segments[finished] = words
                finished += 1
                run = 0
            at += 1
            continue
        start, hashed = at, _FNV_BASIS
        while at < len(block) and not is_separator[block[at]]:
            hashed = (hashed ^ np.uint64(block[at])) * _FNV_PRIME
            at += 1
        word = _find(table, block, start, at, hashed)
        table.counts[word] += 1
        ids[words] = word
        words += 1
        run += 1
    table.sizes[_RUN] = run
    return words, finished


@inlined
def _find(table: _Arrays, block: UInt8Array, start: int, stop: int, hashed: np.uint64) -> int:
    """Return the id of a word, which is added if it is new."""
    slots, sizes = table.slots, table.sizes
    slot = _first_slot(hashed, slots)
    while slots[slot] != _EMPTY:
        word = slots[slot]
        if table.hashes[word] == hashed and _is_equal(table, word, block, start, stop):
            return int(word)
        slot = (slot + 1) & (len(slots) - 1)
    new, filled = int(sizes[_WORDS]), sizes[_BYTES]
    for at in range(start, stop):
        table.text[filled + at - start] = block[at]
    sizes[_WORDS], sizes[_BYTES] = new + 1, filled + stop - start
    slots[slot], table.hashes[new], table.ends[new] = new, hashed, sizes[_BYTES]
    return new


@inlined
def _is_equal(table: _Arrays, word: int, block: UInt8Array, start: int, stop: int) -> bool:
    first = table.ends[word - 1] if word else 0
    if table.ends[word] - first != stop - start:
        return False
    for i in range(stop - start):  # noqa: SIM110 - compiled
        if table.text[first + i] != block[start + i]:
            return False
    return True


@inlined
def _first_slot(hashed: np.uint64, slots: Int32Array) -> np.int64:
    """Return the slot where the search for a word begins."""
    return np.int64((hashed ^ (hashed >> _FOLD)) & np.uint64(len(slots) - 1))


@kernel
def _rehash(slots: Int32Array, hashes: NDArray[np.uint64], words: int) -> None:
    """Insert all words into empty slots."""
    for word in range(words):
        slot = _first_slot(hashes[word], slots)
        while slots[slot] != _EMPTY:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = word
