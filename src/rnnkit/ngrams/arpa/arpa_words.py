"""Words of an ARPA file: their ids, the unigram trie, and the form of an entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np

from rnnkit.errors import FormatError
from rnnkit.events import Listener, WarningEvent
from rnnkit.kernels.arpa_entries import build_hash_table
from rnnkit.kernels.compiler import Int32Array, Int64Array, UInt8Array
from rnnkit.ngrams.arpa.arpa_text import ArpaLines
from rnnkit.ngrams.trie_builder import TrieBuilder
from rnnkit.text import special_tokens

COUNT_LINE: Final = re.compile(rb"ngram[ \t]+(\d{1,9})[ \t]*=[ \t]*(\d{1,18})[ \t]*")
"""A line of the header: an order and its number of n-grams."""

LOG10_ZERO: Final = -99.0
"""Stands for the logarithm of 0, as these files have no minus infinity."""

DEFAULT_UNKNOWN_LOG10: Final = -100.0
"""Log-probability of the unknown word in files without `<unk>`, as in KenLM."""

Weights = tuple[float, float]
"""Base-10 log-probability and log back-off weight."""

_EMPTY: Final[Mapping[bytes, str]] = MappingProxyType({})


@cache
def entry_pattern(order: int) -> re.Pattern[bytes]:
    """Return the pattern of what follows the first tab of an entry: words and, after another tab, the back-off."""
    return re.compile(rb"((?:[^ \t\r]+[ \t]+){%d}[^ \t\r]+)(?:\t([^ \t\r]+))?" % (order - 1))


def assign_ids(
    weights: Mapping[bytes, Weights], lines: ArpaLines, listen: Listener, decoded: Mapping[bytes, str] = _EMPTY
) -> tuple[list[str], dict[bytes, int]]:
    """Assign ids to the words of a file: special symbols first, then the other words in the order of the file.

    Args:
        weights: The unigrams in the order of the file.
        lines: The file, for messages.
        listen: WarningEvent if the file has no `<unk>`.
        decoded: Text of the words that are not valid UTF-8.

    Returns:
        The tokens by id, and the id of each word of the file.

    Raises:
        FormatError: `<s>` or `</s>` is missing.
    """
    unknown, start, end = (name.encode() for name in special_tokens.NAMES[special_tokens.UNK :])
    for marker in (start, end):
        if marker not in weights:
            raise FormatError(
                f"{lines.name} has no unigram {marker.decode()}",
                "no sentence can be scored without it",
                hint="train the model with sentence boundaries",
                path=lines.path,
            )
    id_of = {start: special_tokens.BOS, end: special_tokens.EOS}
    if unknown in weights or b"<UNK>" not in weights:
        id_of[unknown] = special_tokens.UNK
    else:
        id_of[b"<UNK>"] = special_tokens.UNK
    if not weights.keys() & {unknown, b"<UNK>"}:
        listen(WarningEvent(f"{lines.name} has no <unk>: using {DEFAULT_UNKNOWN_LOG10:g} as its log10 probability"))
    ordinary = [word for word in weights if word not in id_of]
    id_of.update((word, id_) for id_, word in enumerate(ordinary, start=len(special_tokens.NAMES)))
    return [*special_tokens.NAMES, *(decoded.get(word) or word.decode() for word in ordinary)], id_of


def make_unigram_trie(weights: Mapping[bytes, Weights], id_of: Mapping[bytes, int], size: int) -> TrieBuilder:
    """Start a trie with the unigrams of a file."""
    log10_V = np.full(size, DEFAULT_UNKNOWN_LOG10, dtype=np.float32)
    backoff_V = np.zeros(size, dtype=np.float32)
    ids = np.array([id_of[word] for word in weights])
    log10_V[ids], backoff_V[ids] = np.array(list(weights.values()), dtype=np.float32).T
    log10_V[
        [special_tokens.PAD, special_tokens.BOS]
    ] = -np.inf  # never predicted, whatever probability the file has for <s>
    return TrieBuilder(log10_V, backoff_V)


def concatenate_words(words: Sequence[bytes]) -> tuple[UInt8Array, Int64Array]:
    """Concatenate words; return the bytes, and the offset of each word and the total."""
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return np.frombuffer(b"".join(words) + b"\0", dtype=np.uint8), offsets


def make_word_index(words: Sequence[bytes]) -> tuple[UInt8Array, Int64Array, Int32Array]:
    """Concatenate words and build the hash table in which `parse_entries` looks them up."""
    word_bytes, offsets = concatenate_words(words)
    return word_bytes, offsets, build_hash_table(word_bytes, offsets, 2 << len(words).bit_length())
