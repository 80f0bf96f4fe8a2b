"""Kernels that write and read the rows of ARPA files: `logarithm<TAB>word word ...[<TAB>back-off]`.

Reading takes what nearly every row looks like. It stops at any other, which `arpa_reader.check_row` reads or refuses.
"""

from __future__ import annotations

import numpy as np

from rnnkit.kernels.array_types import Float32Array, Int32Array, Int64Array
from rnnkit.ngrams.compiled import inlined, kernel

MAX_NUMBER_BYTES = 24
"""Bytes that a formatted number takes at most."""

MAX_DIGITS = 9
"""Significant digits that tell any two float32 apart."""

_TAB, _LF, _CR, _SPACE, _POINT, _PLUS, _MINUS, _ZERO, _NINE, _E = 9, 10, 13, 32, 46, 43, 45, 48, 57, 101
_FEWEST_DIGITS = 6
_EXACT_POWER = 22  # the greatest power of ten that is a float64
_LONGEST_FRACTION = 15  # numbers that need more decimals are written with an exponent
_HASH_START, _HASH_PRIME = np.int64(0xCBF29CE484222325 - (1 << 64)), np.int64(0x100000001B3)


@inlined
def write_digits(buffer: UInt8Array, at: int, number: int, least: int) -> int:
    """Write a whole number with at least so many digits; returns the place behind it."""
    digits, rest = 1, number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    digits = max(digits, least)
    for place in range(at + digits - 1, at - 1, -1):
        buffer[place] = _ZERO + number % 10
        number //= 10
    return at + digits


@inlined
def write_number(buffer: UInt8Array, at: int, value: float) -> int:
    """Write a finite float32; returns the place behind it.

    It has the fewest digits, counted from six on, that are read as the same float32.
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
    for digits in range(_FEWEST_DIGITS, MAX_DIGITS + 1):
        decimals = max(0, digits - 1 - exponent)
        power, beyond = 10.0 ** min(decimals, _EXACT_POWER), 10.0 ** max(0, decimals - _EXACT_POWER)
        mantissa = int(np.rint(size * power * beyond))
        if np.float32(mantissa / power / beyond) == np.float32(size):
            break
    while decimals > 0 and mantissa % 10 == 0:
        mantissa //= 10
        decimals -= 1
    if decimals > _LONGEST_FRACTION:
        at = write_digits(buffer, at, mantissa, 1)
        buffer[at], buffer[at + 1] = _E, _MINUS
        return write_digits(buffer, at + 2, decimals, 1)
    end = write_digits(buffer, at, mantissa, decimals + 1)
    if decimals == 0:
        return end
    point = end - decimals
    for place in range(end, point, -1):
        buffer[place] = buffer[place - 1]
    buffer[point] = _POINT
    return end + 1


@kernel
def format_entries(
    words_MK: Int32Array,
    log10_M: Float32Array,
    backoff_M: Float32Array,
    spelled: UInt8Array,
    spelled_begins: Int64Array,
    buffer: UInt8Array,
) -> int:
    """Write rows.

    Args:
        words_MK: Words of each n-gram.
        log10_M: Their logarithms.
        backoff_M: Their back-off weights; none is written where it is NaN.
        spelled: All words' bytes, one after the other.
        spelled_begins: Where each begins, and the end of the last.
        buffer: Filled from its start; large enough.

    Returns:
        Bytes written.
    """
    at = 0
    for row in range(len(words_MK)):
        at = write_number(buffer, at, float(log10_M[row]))
        for column in range(words_MK.shape[1]):
            buffer[at] = _TAB if column == 0 else _SPACE
            at += 1
            word = words_MK[row, column]
            for place in range(spelled_begins[word], spelled_begins[word + 1]):
                buffer[at] = spelled[place]
                at += 1
        if backoff_M[row] == backoff_M[row]:
            buffer[at] = _TAB
            at = write_number(buffer, at + 1, float(backoff_M[row]))
        buffer[at] = _LF
        at += 1
    return at


@inlined
def parse_number(text: UInt8Array, at: int) -> tuple[float, int]:
    """Read a decimal number; returns it and the place behind it, or a place of -1 where there is none."""
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += 1
    mantissa, decimals, digits = np.int64(0), np.int64(0), 0
    fraction = False
    while True:
        if _ZERO <= text[at] <= _NINE:
            digits += 1
            if digits > 18:  # more than a number of 64 bits holds
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
    if not 0 <= decimals <= 2 * _EXACT_POWER:
        return 0.0, -1
    exact = min(int(decimals), _EXACT_POWER)
    value = float(mantissa) / 10.0**exact / 10.0 ** (int(decimals) - exact)
    return -value if negative else value, at


@inlined
def hash_bytes(text: UInt8Array, begin: int, end: int) -> np.int64:
    """FNV-1a of some bytes, in 64 bits that wrap around, its upper half mixed into the lower."""
    value = _HASH_START
    for place in range(begin, end):
        value = (value ^ np.int64(text[place])) * _HASH_PRIME
    return value ^ (value >> 32)


@inlined
def find_word(
    text: UInt8Array, begin: int, end: int, spelled: UInt8Array, spelled_begins: Int64Array, table: Int32Array
) -> int:
    """The number of a word, or -1."""
    slot = hash_bytes(text, begin, end) & (len(table) - 1)
    while table[slot] >= 0:
        word = table[slot]
        first = spelled_begins[word]
        if spelled_begins[word + 1] - first == end - begin:
            same = True
            for place in range(end - begin):
                if spelled[first + place] != text[begin + place]:
                    same = False
                    break
            if same:
                return int(word)
        slot = (slot + 1) & (len(table) - 1)
    return -1


@kernel
def build_hash_table(spelled: UInt8Array, spelled_begins: Int64Array, rows: int) -> Int32Array:
    """A hash table of words for `look_up`, with open addressing.

    Args:
        spelled: All words' bytes, one after the other.
        spelled_begins: Where each begins, and the end of the last.
        rows: Length of the table: a power of two, larger than the number of words.
    """
    table = np.full(rows, -1, dtype=np.int32)
    for word in range(len(spelled_begins) - 1):
        hashed = hash_bytes(spelled, spelled_begins[word], spelled_begins[word + 1])
        slot = hashed & (rows - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (rows - 1)
        table[slot] = word
    return table


@kernel
def parse_entries(
    text: UInt8Array,
    spelled: UInt8Array,
    spelled_begins: Int64Array,
    table: Int32Array,
    longest: bool,
    words_MK: Int32Array,
    log10_M: Float32Array,
    backoff_M: Float32Array,
) -> tuple[int, int]:
    """Read rows until the text ends, the arrays are full, or a row is not as expected.

    Args:
        text: Whole lines, each with its LF, or CR and LF.
        spelled: The known words' bytes, one after the other.
        spelled_begins: Where each begins, and the end of the last.
        table: From `make_table`.
        longest: Whether these are the longest n-grams, which have no back-off.
        words_MK: Filled with the words of each row.
        log10_M: Filled with the logarithms.
        backoff_M: Filled with the back-off weights, 0 where a row has none.

    Returns:
        Rows read, and the bytes they take.
    """
    at, row = 0, 0
    while at < len(text) and row < len(words_MK):
        value, place = parse_number(text, at)
        if place < 0 or value > 0 or text[place] != _TAB:
            break
        log10_M[row], backoff_M[row] = value, 0.0
        known = True
        for column in range(words_MK.shape[1]):
            begin = place + 1
            place = begin
            while text[place] != _SPACE and text[place] != _TAB and text[place] != _LF and text[place] != _CR:
                place += 1
            word = find_word(text, begin, place, spelled, spelled_begins, table)
            known = word >= 0 and (text[place] == _SPACE) == (column < words_MK.shape[1] - 1)
            if not known:
                break
            words_MK[row, column] = word
        if not known:
            break
        if text[place] == _TAB and not longest:
            value, place = parse_number(text, place + 1)
            if place < 0:
                break
            backoff_M[row] = value
        if text[place] == _CR:
            place += 1
        if text[place] != _LF:
            break
        at = place + 1
        row += 1
    return row, at
