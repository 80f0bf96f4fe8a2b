"""A random sample of the lines of a text, in memory that does not grow with the text."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """Lines drawn from a text.

    Attributes:
        lines: In the order in which they stood.
        seen: How many there were to draw from.
    """

    lines: list[str]
    seen: int


def sample_lines(lines: Iterable[str], limit: int, seed: int) -> Sample:
    """Draw lines until they fill the limit; all of them, where they fit.

    Each line gets a random number and those with the smallest are kept, so a line's chance depends neither on its
    place nor on what stands around it. The largest go when the limit is passed; one line always stays.

    Args:
        lines: The text.
        limit: Bytes of UTF-8 to keep, line ends counted.
        seed: The same seed and text give the same sample.
    """
    generator = random.Random(seed)
    kept: list[tuple[float, int, str, int]] = []  # the negated random number, so that the largest leaves first
    size, seen = 0, 0
    largest = 1.0
    for seen, line in enumerate(lines, start=1):
        number = generator.random()
        if number >= largest:
            continue
        bytes_used = len(line.encode("utf-8")) + 1
        heapq.heappush(kept, (-number, seen, line, bytes_used))
        size += bytes_used
        while size > limit and len(kept) > 1:
            dropped = heapq.heappop(kept)
            size -= dropped[3]
            # Nothing above this number can come back, or the sample would prefer short lines.
            largest = -dropped[0]
    kept.sort(key=lambda entry: entry[1])
    return Sample([entry[2] for entry in kept], seen)
