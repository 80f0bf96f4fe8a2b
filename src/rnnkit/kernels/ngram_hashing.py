"""Hashes of character n-grams, as fastText computes them: 32-bit FNV-1a over UTF-8 bytes, each sign-extended first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word_vector_compiler import kernel

_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # of FNV with 32 bits
_CONTINUES, _MARK = 0xC0, 0x80  # a UTF-8 byte that continues a character is 10xxxxxx


def hash_ngrams(
    words: Sequence[str | bytes], min_length: int, max_length: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int32]]:
    """The hash of each n-gram of each word.

    Returns:
        Where each word's hashes begin, (words + 1,); the hashes of all, one word after the other; the characters of
        each n-gram.
    """
    encoded = [b"<%b>" % (word.encode() if isinstance(word, str) else word) for word in words]
    ends = np.cumsum([0, *(len(word) for word in encoded)])
    text = np.frombuffer(b"".join(encoded), np.uint8)
    starts = np.zeros(len(encoded) + 1, np.int64)
    sizes = np.diff(ends)  # bytes of each word: no more n-grams begin at a place than there are bytes behind it
    most = int((sizes * np.minimum(sizes, max(0, max_length - min_length + 1))).sum())
    hashes, lengths = np.empty(most, np.uint32), np.empty(most, np.int32)
    count = _hash_all(text, ends, min_length, max_length, starts, hashes, lengths)
    return starts, hashes[:count].copy(), lengths[:count].copy()


@kernel
def _hash_all(text: Any, ends: Any, min_length: int, max_length: int, starts: Any, hashes: Any, lengths: Any) -> int:
    count = 0
    for word in range(len(ends) - 1):
        first, last = ends[word], ends[word + 1]
        for begin in range(first, last):
            if text[begin] & _CONTINUES == _MARK:
                continue
            hashed, end, length = _BASIS, begin, 0
            while end < last and length < max_length:
                hashed = _extend(hashed, text[end])
                end += 1
                while end < last and text[end] & _CONTINUES == _MARK:
                    hashed = _extend(hashed, text[end])
                    end += 1
                length += 1
                alone = length == 1 and (begin == first or end == last)  # `<` or `>` says nothing
                if length >= min_length and not alone:
                    hashes[count], lengths[count] = hashed, length
                    count += 1
        starts[word + 1] = count
    return count


@kernel
def _extend(hashed: np.uint32, byte: np.uint8) -> np.uint32:
    """One more byte of FNV-1a."""
    return np.uint32((hashed ^ np.uint32(np.int32(np.int8(byte)))) * _PRIME)
