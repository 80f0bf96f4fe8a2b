"""The words of an ARPA file: their form in a row, their ids, and the trie that begins with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np

from rnnkit.errors import FormatError
from rnnkit.events import Listener, WarningEvent
from rnnkit.ngrams.trie import Trie
from rnnkit.text import special_tokens

COUNT: Final = re.compile(rb"ngram[ \t]+(\d{1,9})[ \t]*=[ \t]*(\d{1,18})[ \t]*")
"""A line of the header: an order, and how many n-grams it has."""

MISSING_UNKNOWN: Final = -100.0
"""KenLM's logarithm for the unknown word where a file has none."""

Weights = tuple[float, float]
"""The logarithms of a probability and of a back-off weight."""

_NOTHING: Final[Mapping[bytes, str]] = MappingProxyType({})


@cache
def row_form(order: int) -> re.Pattern[bytes]:
    """What stands behind the first tab of a row: words, and the back-off behind another tab."""
    return re.compile(rb"((?:[^ \t\r]+[ \t]+){%d}[^ \t\r]+)(?:\t([^ \t\r]+))?" % (order - 1))


def number_words(
    weights: Mapping[bytes, Weights], name: str, listen: Listener, spelled: Mapping[bytes, str] = _NOTHING
) -> tuple[list[str], dict[bytes, int]]:
    """The tokens by id, and the ids of the file's words.

    Args:
        weights: The words in the order of the file.
        name: What stands for the file in messages.
        listen: Warned where the file has no `<unk>`.
        spelled: Text of the words that are not UTF-8.

    Raises:
        FormatError: A marker of the beginning or the end of a line is missing.
    """
    unknown, start, end = (name.encode() for name in special_tokens.NAMES[special_tokens.UNK :])
    for marker in (start, end):
        if marker not in weights:
            raise FormatError(
                f"{name} has no 1-gram {marker.decode()}",
                "without it no line can be scored",
                hint="what made the model must mark where sentences begin and end",
            )
    row_of = {start: special_tokens.BOS, end: special_tokens.EOS}
    if unknown in weights or b"<UNK>" not in weights:
        row_of[unknown] = special_tokens.UNK
    else:
        row_of[b"<UNK>"] = special_tokens.UNK
    if not weights.keys() & {unknown, b"<UNK>"}:
        listen(
            WarningEvent(f"{name} has no <unk>: the logarithm of an unknown word is taken to be {MISSING_UNKNOWN:g}")
        )
    ordinary = [word for word in weights if word not in row_of]
    row_of.update((word, row) for row, word in enumerate(ordinary, start=len(special_tokens.NAMES)))
    return [*special_tokens.NAMES, *(spelled.get(word) or word.decode() for word in ordinary)], row_of


def plant(weights: Mapping[bytes, Weights], row_of: Mapping[bytes, int], size: int) -> Trie:
    """The trie of the words alone."""
    log10_V = np.full(size, MISSING_UNKNOWN, dtype=np.float32)
    backoff_V = np.zeros(size, dtype=np.float32)
    rows = np.array([row_of[word] for word in weights])
    log10_V[rows], backoff_V[rows] = np.array(list(weights.values()), dtype=np.float32).T
    log10_V[
        [special_tokens.PAD, special_tokens.BOS]
    ] = -np.inf  # what is never predicted, whatever the file says of <s>
    return Trie(log10_V, backoff_V)
