"""Two rows of a vocabulary made one: what an ordinary row spelt `<unk>` needs before it goes into an ARPA file.

Benchmarks such as Penn Treebank spell rare words `<unk>`. That text is an ordinary row of a vocabulary, as no text can
stand for a special symbol; an ARPA file has one `<unk>` only. As outcomes the two add up:

    p(either | h) = p(one | h) + p(other | h)

and where one of them has no n-grams, the other's n-grams hold all there is to say about both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnkit.errors import DataError
from rnnkit.ngrams.model import ROOT, NgramModel


def merge(model: NgramModel, row: int, other: int) -> tuple[NgramModel, int]:
    """Give one of two words the probability of both.

    Args:
        model: The model.
        row: A word.
        other: Another.

    Returns:
        The model, in which one of the two is impossible now, and which one: one that has no n-grams.

    Raises:
        DataError: Both have n-grams.
    """
    without = [word for word in (row, other) if not _has_ngrams(model, word)]
    if not without:
        raise DataError(
            f"rows {row} and {other} of the vocabulary cannot be made one: both have n-grams",
            hint="make them one in the text, and train again",
        )
    absent = without[0]
    present = other if absent == row else row
    node_M = np.flatnonzero(model.word_A == present)
    node_M = node_M[node_M != ROOT]
    context_M = np.searchsorted(model.begins_I1, node_M, side="right") - 1
    log10_M = np.full(len(node_M), model.log10_A[1 + absent], dtype=np.float64)
    while (on_the_way := context_M != ROOT).any():
        log10_M[on_the_way] += model.backoff_I[context_M[on_the_way]]
        context_M[on_the_way] = model.suffix_A[context_M[on_the_way]]
    log10_A = model.log10_A.copy()
    with np.errstate(divide="ignore"):
        log10_A[node_M] = np.minimum(np.log10(10.0 ** model.log10_A[node_M].astype(float) + 10.0**log10_M), 0.0)
    log10_A[1 + absent] = -np.inf
    return replace(model, log10_A=log10_A), absent


def _has_ngrams(model: NgramModel, word: int) -> bool:
    """Whether a word stands in any n-gram of two words or more."""
    return bool(np.any(model.word_A[1 + model.vocabulary_size :] == word)) or (
        model.order > 1 and model.begins_I1[1 + word] < model.begins_I1[2 + word]
    )
