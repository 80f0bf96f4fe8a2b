"""Hashes of character n-grams, as fastText computes them: 32-bit FNV-1a of UTF-8 bytes, each sign-extended first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word_vector_compiler import kernel

_FNV_BASIS, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
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
def _hash_all(text: Any, ends: Any, bounds: tuple[int, int], starts: Any, hashes: Any, lengths: Any) -> int:
    min_length, max_length = bounds
    count = 0
    for word in range(len(ends) - 1):
        first, last = ends[word], ends[word + 1]
        for begin in range(first, last):
            if text[begin] & _CONTINUATION_MASK == _CONTINUATION:
                continue
            hashed, end, length = _FNV_BASIS, begin, 0
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


@kernel
def _hash_byte(hashed: np.uint32, byte: np.uint8) -> np.uint32:
    """Extend a hash by one byte."""
    return np.uint32((hashed ^ np.uint32(np.int32(np.int8(byte)))) * _FNV_PRIME)
