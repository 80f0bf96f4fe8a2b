"""Which row of the vectors a word of a test belongs to, where case may count or not."""

from __future__ import annotations

from collections.abc import Sequence


def fold(word: str) -> str:
    """A word without its case. Upper case, as in word2vec's `compute-accuracy` and in gensim, so that counts agree."""
    return word.upper()


def first_rows(words: Sequence[str], ignore_case: bool) -> dict[str, int]:
    """The row of each word; of several that differ only in case, the first, which is the most frequent.

    Args:
        words: One a row, the most frequent first.
        ignore_case: Whether the keys are folded words.
    """
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(fold(word) if ignore_case else word, row)
    return rows
