"""The words of an ARPA file as bytes: one after the other, and a table to find them in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnkit.ngrams.arpa_kernels import Octets, make_table
from rnnkit.ngrams.counts import Ints
from rnnkit.ngrams.walk import Longs


def join(words: Sequence[bytes]) -> tuple[Octets, Longs]:
    """All words' bytes, and where each word begins with the end of the last."""
    begins = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return np.frombuffer(b"".join(words) + b"\0", dtype=np.uint8), begins


def tabulate(words: Sequence[bytes]) -> tuple[Octets, Longs, Ints]:
    """The same, and the hash table that `arpa_kernels.parse_rows` looks words up in."""
    spelled, begins = join(words)
    return spelled, begins, make_table(spelled, begins, 2 << len(words).bit_length())
