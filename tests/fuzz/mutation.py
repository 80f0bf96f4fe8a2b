"""Mutations of a valid file that find faults in readers: wrong sizes, extreme values, truncation."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"999999999", b"999999999999999999", b"1e999", b"NaN")
WORDS = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"\t", b" ", b"\r\n", b'"', b"{", b"[", b"[" * 2000, b"../",
    b"/etc/hostname", b"\\ud800", b"\\u0000", b"null", b"true", b"[]", b"{}", b'""', b"<f4", b"|O",
    b"inf", b"\x1f\x8b", b"\x93NUMPY",
)  # fmt: skip
WIDTHS = (1, 2, 4, 8)
EXTREMES = (0, 1, -1, 1 << 7, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 62)


def mutate(content: bytes, dice: random.Random) -> bytes:
    """One to four changes."""
    for _ in range(dice.randint(1, 4)):
        content = dice.choice(CHANGES)(content, dice)
    return content


def _flip(content: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(content) + 1)
    return content[:place] + bytes([dice.randrange(256)]) + content[place + 1 :]


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _leave_out(content: bytes, dice: random.Random) -> bytes:
    start, end = sorted((dice.randrange(len(content) + 1), dice.randrange(len(content) + 1)))
    return content[:start] + content[min(end, start + 64) :]


def _repeat(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content) + 1)
    part = content[start : start + dice.randint(1, 64)]
    return content[:start] + part * dice.randint(2, 50) + content[start:]


def _number(content: bytes, dice: random.Random) -> bytes:
    """Another number in place of one written in digits."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return content
    start, end = dice.choice(found).span()
    return content[:start] + dice.choice(NUMBERS) + content[end:]


def _binary_number(content: bytes, dice: random.Random) -> bytes:
    """An extreme number in place of some bytes, near the start as often as anywhere: headers are there."""
    width, place = dice.choice(WIDTHS), dice.randrange(min(len(content), dice.choice((64, 1 << 30))) + 1)
    value = dice.choice(EXTREMES) % (1 << 8 * width)
    return content[:place] + value.to_bytes(width, dice.choice(("little", "big"))) + content[place + width :]


def _insert(content: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(content) + 1)
    return content[:place] + dice.choice(WORDS) + content[place + dice.choice((0, 0, 1, 4)) :]


def _value(content: bytes, dice: random.Random) -> bytes:
    """Something else in place of a quoted text or a word."""
    found = list(re.finditer(rb'"[^"\n]*"|\w+', content))
    if not found:
        return content
    start, end = dice.choice(found).span()
    return content[:start] + dice.choice((*WORDS, *NUMBERS, b'"../../x"')) + content[end:]


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _cut, _leave_out, _repeat, _number, _binary_number, _insert, _value,
)  # fmt: skip
