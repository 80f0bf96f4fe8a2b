"""Kernels that format and parse the entries of ARPA files: `log10 p<TAB>word word ...[<TAB>back-off]`.

The parser covers the regular form, which nearly all entries have, and stops at any other line; then
`rnnkit.ngrams.arpa_reader.parse_entry` parses or rejects that line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnnkit.kernels.compiler import Compiler, Float32Array, Int32Array, Int64Array, UInt8Array

_compiler = Compiler(Path(__file__).parent)
kernel, inlined = _compiler.kernel, _compiler.inlined

MAX_NUMBER_BYTES = 24
"""Maximum size of a formatted number."""

MAX_DIGITS = 9
"""Significant digits that identify any float32 uniquely."""

_TAB, _LF, _CR, _SPACE, _POINT, _PLUS, _MINUS, _ZERO, _NINE, _E = 9, 10, 13, 32, 46, 43, 45, 48, 57, 101
_MIN_DIGITS = 6
_MAX_EXACT_POWER = 22  # the largest power of ten that a float64 represents exactly
_MAX_DECIMALS = 15  # numbers that need more are written with an exponent
_FNV_OFFSET, _FNV_PRIME = np.int64(0xCBF29CE484222325 - (1 << 64)), np.int64(0x100000001B3)


@inlined
def write_digits(buffer: UInt8Array, at: int, number: int, min_digits: int) -> int:
    """Write an integer, padded with zeros to `min_digits`; return the offset of its end."""
    digits, rest = 1, number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    digits = max(digits, min_digits)
    for index in range(at + digits - 1, at - 1, -1):
        buffer[index] = _ZERO + number % 10
        number //= 10
    return at + digits


@inlined
def write_number(buffer: UInt8Array, at: int, value: float) -> int:
    """Write a finite float32; return the offset of its end.

    Six digits, or as many more as it takes for the text to parse as the same float32.
    """
    if value == 0:
        buffer[at] = _ZERO
        return at + 1
    if value < 0:
        buffer[at] = _MINUS
        at += 1
    size = abs(value)
    exponent = int(np.floor(np.log10(size)))
    mantissa, decimals = 0, 0
    for digits in range(_MIN_DIGITS, MAX_DIGITS + 1):
        decimals = max(0, digits - 1 - exponent)
        power, beyond = 10.0 ** min(decimals, _MAX_EXACT_POWER), 10.0 ** max(0, decimals - _MAX_EXACT_POWER)
        mantissa = int(np.rint(size * power * beyond))
        if np.float32(mantissa / power / beyond) == np.float32(size):
            break
    while decimals > 0 and mantissa % 10 == 0:
        mantissa //= 10
        decimals -= 1
    if decimals > _MAX_DECIMALS:
        at = write_digits(buffer, at, mantissa, 1)
        buffer[at], buffer[at + 1] = _E, _MINUS
        return write_digits(buffer, at + 2, decimals, 1)
    end = write_digits(buffer, at, mantissa, decimals + 1)
    if decimals == 0:
        return end
    point = end - decimals
    for index in range(end, point, -1):
        buffer[index] = buffer[index - 1]
    buffer[point] = _POINT
    return end + 1


@kernel
def format_entries(
    words_MK: Int32Array,
    log10_M: Float32Array,
    backoff_M: Float32Array,
    word_bytes: UInt8Array,
    word_offsets: Int64Array,
    buffer: UInt8Array,
) -> int:
    """Write entries.

    Args:
        words_MK: Words of each n-gram.
        log10_M: Base-10 log-probabilities.
        backoff_M: Base-10 log back-off weights; NaN writes none.
        word_bytes: Bytes of all words, concatenated.
        word_offsets: Offset of each word in `word_bytes`, and the total.
        buffer: Output, filled from the start; must be large enough.

    Returns:
        The number of bytes written.
    """
    at = 0
    for entry in range(len(words_MK)):
        at = write_number(buffer, at, float(log10_M[entry]))
        for column in range(words_MK.shape[1]):
            buffer[at] = _TAB if column == 0 else _SPACE
            at += 1
            word = words_MK[entry, column]
            for index in range(word_offsets[word], word_offsets[word + 1]):
                buffer[at] = word_bytes[index]
                at += 1
        if backoff_M[entry] == backoff_M[entry]:  # not NaN
            buffer[at] = _TAB
            at = write_number(buffer, at + 1, float(backoff_M[entry]))
        buffer[at] = _LF
        at += 1
    return at


@inlined
def parse_number(text: UInt8Array, at: int) -> tuple[float, int]:
    """Parse a decimal number; return it and the offset of its end, or an offset of -1 if there is none."""
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += 1
    mantissa, decimals, digits = np.int64(0), np.int64(0), 0
    fraction = False
    while True:
        if _ZERO <= text[at] <= _NINE:
            digits += 1
            if digits > 18:  # would overflow 64 bits
                return 0.0, -1
            mantissa = 10 * mantissa + np.int64(text[at]) - _ZERO
            decimals += fraction
        elif text[at] == _POINT and not fraction:
            fraction = True
        else:
            break
        at += 1
    if digits == 0:
        return 0.0, -1
    if text[at] == _E or text[at] == _E - 32:
        at += 1
        minus = text[at] == _MINUS
        if minus or text[at] == _PLUS:
            at += 1
        power, first = np.int64(0), at
        while _ZERO <= text[at] <= _NINE and at < first + 3:
            power = 10 * power + np.int64(text[at]) - _ZERO
            at += 1
        if at == first:
            return 0.0, -1
        decimals += power if minus else -power
    if not 0 <= decimals <= 2 * _MAX_EXACT_POWER:
        return 0.0, -1
    exact = min(int(decimals), _MAX_EXACT_POWER)
    value = float(mantissa) / 10.0**exact / 10.0 ** (int(decimals) - exact)
    return -value if negative else value, at


@inlined
def hash_bytes(text: UInt8Array, begin: int, end: int) -> np.int64:
    """Hash bytes with 64-bit FNV-1a; the upper half is folded into the lower, which indexes the table."""
    value = _FNV_OFFSET
    for index in range(begin, end):
        value = (value ^ np.int64(text[index])) * _FNV_PRIME
    return value ^ (value >> 32)


@inlined
def find_word(
    text: UInt8Array, begin: int, end: int, word_bytes: UInt8Array, word_offsets: Int64Array, table: Int32Array
) -> int:
    """Find a word in the hash table; return its index, or -1 if it is unknown."""
    slot = hash_bytes(text, begin, end) & (len(table) - 1)
    while table[slot] >= 0:
        word = table[slot]
        first = word_offsets[word]
        if word_offsets[word + 1] - first == end - begin:
            same = True
            for index in range(end - begin):
                if word_bytes[first + index] != text[begin + index]:
                    same = False
                    break
            if same:
                return int(word)
        slot = (slot + 1) & (len(table) - 1)
    return -1


@kernel
def build_hash_table(word_bytes: UInt8Array, word_offsets: Int64Array, capacity: int) -> Int32Array:
    """Build the hash table of words for `find_word`, with open addressing.

    Args:
        word_bytes: Bytes of all words, concatenated.
        word_offsets: Offset of each word in `word_bytes`, and the total.
        capacity: Length of the table: a power of two, larger than the number of words.
    """
    table = np.full(capacity, -1, dtype=np.int32)
    for word in range(len(word_offsets) - 1):
        hashed = hash_bytes(word_bytes, word_offsets[word], word_offsets[word + 1])
        slot = hashed & (capacity - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (capacity - 1)
        table[slot] = word
    return table


@kernel
def parse_entries(
    text: UInt8Array,
    words: tuple[UInt8Array, Int64Array, Int32Array],
    highest_order: bool,
    words_MK: Int32Array,
    log10_M: Float32Array,
    backoff_M: Float32Array,
) -> tuple[int, int]:
    """Parse entries until the text ends, the arrays are full, or a line is irregular.

    Args:
        text: Complete lines, each ending with LF or CR LF.
        words: Bytes of all known words, concatenated; offset of each word in them, and the total; hash table from
            `build_hash_table`.
        highest_order: Whether these n-grams have the highest order, and thus no back-off weight.
        words_MK: Output: words of each entry.
        log10_M: Output: base-10 log-probabilities.
        backoff_M: Output: base-10 log back-off weights, 0 where an entry has none.

    Returns:
        The number of entries parsed, and their size in bytes.
    """
    word_bytes, word_offsets, table = words
    at, entry = 0, 0
    while at < len(text) and entry < len(words_MK):
        value, end = parse_number(text, at)
        if end < 0 or value > 0 or text[end] != _TAB:
            break
        log10_M[entry], backoff_M[entry] = value, 0.0
        known = True
        for column in range(words_MK.shape[1]):
            begin = end + 1
            end = begin
            while text[end] != _SPACE and text[end] != _TAB and text[end] != _LF and text[end] != _CR:
                end += 1
            word = find_word(text, begin, end, word_bytes, word_offsets, table)
            known = word >= 0 and (text[end] == _SPACE) == (column < words_MK.shape[1] - 1)
            if not known:
                break
            words_MK[entry, column] = word
        if not known:
            break
        if text[end] == _TAB and not highest_order:
            value, end = parse_number(text, end + 1)
            if end < 0:
                break
            backoff_M[entry] = value
        if text[end] == _CR:
            end += 1
        if text[end] != _LF:
            break
        at = end + 1
        entry += 1
    return entry, at
