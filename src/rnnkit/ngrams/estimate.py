"""From the ids of a text to a model: check, count, smooth, prune, and lay out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.ngrams import add_k, kneser_ney
from rnnkit.ngrams.counts import Flags, Floats, Ints, Level, adjust, count, select
from rnnkit.ngrams.discounts import Discounts, discounts
from rnnkit.ngrams.model import IntArray, NgramModel
from rnnkit.ngrams.options import NgramOptions
from rnnkit.ngrams.walk import Singles
from rnnkit.text import special_tokens

MOST = 2**31 - 1
"""Positions of a text, and n-grams of a model: they are numbered in 32 bits."""

_POSITION_BYTES, _NGRAM_BYTES = 24, 56


def estimate(
    ids: IntArray, offsets: IntArray, vocabulary_size: int, options: NgramOptions, listen: Listener = null_listener
) -> NgramModel:
    """Estimate a model.

    Args:
        ids: Lines one after the other, each ending with EOS; may be mapped from disk. An unknown word is UNK.
        offsets: Where each line begins, and the end of the last; an aligned data set's.
        vocabulary_size: Number of ids. All but PAD and BOS can be predicted, counted or not.
        options: What is estimated, and how.
        listen: Told the number of n-grams and the discounts of each order.

    Raises:
        ConfigError: Options are out of their range or exclude each other.
        DataError: The text is empty, too long, padded, holds ids that it may not hold, or a line does not end with EOS.
    """
    thresholds = options.thresholds()
    outcome_V = _outcomes(vocabulary_size, options.closed)
    text_P = lay_out(ids, offsets, vocabulary_size, options.closed)
    levels = list(count(text_P, vocabulary_size, options.order))
    kept = select(levels, thresholds)
    chosen: list[Discounts] = []
    if options.smoothing == "kneser-ney":
        adjusted = adjust(levels)
        chosen = choose_discounts(adjusted, options.fallback, listen)
        weights = kneser_ney.smooth(levels, adjusted, kept, chosen, outcome_V)
    elif options.smoothing == "add-k":
        weights = add_k.add_k(levels, options.add, outcome_V)
    else:
        weights = add_k.maximum_likelihood(levels)
    facts = {**asdict(options), "discounts": chosen, "tokens": len(ids), "lines": len(offsets) - 1}
    model = assemble(levels, kept, weights, vocabulary_size, facts)
    for order, (level, size) in enumerate(zip(levels, model.sizes, strict=True), start=1):
        listen(Note(_describe(order, len(level), size, chosen[order - 1] if chosen else None)))
    return model


def estimated_bytes(tokens: int, lines: int, order: int) -> int:
    """Memory that `estimate` takes when no n-gram occurs twice; a text needs about two thirds of it."""
    positions = tokens + lines
    return positions * (_POSITION_BYTES + _NGRAM_BYTES * max(1, order - 1))


def lay_out(ids: IntArray, offsets: IntArray, vocabulary_size: int, closed: bool = False) -> Ints:
    """The text with BOS before each line, checked. Arguments and errors as those of `estimate`."""
    lines = len(offsets) - 1
    if lines < 1 or not len(ids):
        raise DataError("there is no text to count n-grams in", hint="look at the training part: is it empty?")
    if len(ids) + lines > MOST:
        raise DataError(f"a text of {len(ids):,} tokens is too long to be counted", f"{MOST:,} are the most")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocabulary_size:
        wrong = low if low < 0 else high
        raise DataError(f"the text holds id {wrong}, the vocabulary has {vocabulary_size:,} rows")
    starts_L = np.asarray(offsets[:-1], dtype=np.int64)
    text_P = np.empty(len(ids) + lines, dtype=np.int32)
    word_P = np.ones(len(text_P), dtype=np.bool_)
    word_P[starts_L + np.arange(lines)] = False
    text_P[word_P] = ids
    text_P[~word_P] = special_tokens.BOS
    _check_special(text_P, word_P, closed)
    return text_P


def choose_discounts(
    adjusted: Sequence[Ints], fallback: Discounts, listen: Listener = null_listener
) -> list[Discounts]:
    """The discounts of each order; the fallback, and a warning, where the text does not tell them."""
    chosen = []
    for order, count_N in enumerate(adjusted, start=1):
        found = discounts(count_N)
        if isinstance(found, str):
            used = ", ".join(f"{discount:g}" for discount in fallback)
            listen(
                WarningEvent(f"the text is too thin for discounts of {order}-grams: {found}; {used} are used instead")
            )
        chosen.append(fallback if isinstance(found, str) else found)
    return chosen


def assemble(
    levels: Sequence[Level],
    kept: Sequence[Flags],
    weights: Iterator[tuple[Floats, Floats]],
    vocabulary_size: int,
    facts: dict[str, Any],
) -> NgramModel:
    """Put the levels behind one another, without what is pruned.

    Args:
        levels: The n-grams.
        kept: Which of them stay; with each those within it.
        weights: For each order the probabilities of its n-grams and the back-off weights of their contexts.
        vocabulary_size: Number of ids.
        facts: To be kept with the model.
    """
    sizes = [1, *(int(np.count_nonzero(kept_N)) for kept_N in kept)]
    total, inner = sum(sizes), sum(sizes[:-1])
    if total > MOST:
        raise DataError(f"the model would have {total:,} n-grams, {MOST:,} are the most", hint="prune more")
    word_A, suffix_A = np.zeros(total, np.int32), np.zeros(total, np.int32)
    log10_A, backoff_I = np.zeros(total, np.float32), np.zeros(inner, np.float32)
    begins_I1 = np.full(inner + 1, total, np.int32)
    first, first_C = 1, 0
    kept_C, number_S = np.ones(1, np.bool_), np.zeros(1, np.int32)
    for level, kept_N, (probability_N, backoff_C) in zip(levels, kept, weights, strict=True):
        before_N1 = np.zeros(len(level) + 1, np.int32)
        np.cumsum(kept_N, out=before_N1[1:])
        end = first + int(before_N1[-1])
        word_A[first:end] = level.word_N[kept_N]
        suffix_A[first:end] = number_S[level.suffix_N[kept_N]]
        log10_A[first:end] = _log10(probability_N[kept_N])
        backoff_I[first_C:first] = _log10(backoff_C[kept_C])
        begins_I1[first_C:first] = first + before_N1[level.begins_C1[:-1][kept_C]]
        before_N1 += first
        kept_C, number_S, first_C, first = kept_N, before_N1[:-1], first, end
    backoff_I[0] = 0.0  # nothing backs off from the empty context: every word stands behind it
    return NgramModel(len(levels), vocabulary_size, word_A, suffix_A, log10_A, backoff_I, begins_I1, facts)


def _outcomes(vocabulary_size: int, closed: bool) -> Flags:
    """What can be predicted."""
    outcome_V = np.ones(vocabulary_size, dtype=np.bool_)
    outcome_V[[special_tokens.PAD, special_tokens.BOS]] = False
    if closed:
        outcome_V[special_tokens.UNK] = False
    return outcome_V


def _check_special(text_P: Ints, word_P: Flags, closed: bool) -> None:
    for row, hint in (
        (special_tokens.PAD, "align the text without a fixed length"),
        (special_tokens.BOS, "<s> is put before each line by itself"),
    ):
        if found := np.count_nonzero(text_P[word_P] == row):
            raise DataError(f"the text holds {special_tokens.NAMES[row]} {found:,} times", hint=hint)
    ends_P = text_P == special_tokens.EOS
    if ends_P[0] or not ends_P[-1] or np.any(ends_P[:-1] == word_P[1:]):
        raise DataError(
            "a line does not end with </s>, or has it within",
            "each line has one, at its end, as `rnnkit align` writes it",
        )
    unknown = np.count_nonzero(text_P == special_tokens.UNK)
    if closed and unknown:
        raise DataError(
            f"the text holds {unknown:,} unknown words, and the vocabulary is said to be closed",
            hint="make the vocabulary from this text (`rnnkit vocab`), or leave it open",
        )


def _describe(order: int, counted: int, kept: int, chosen: Discounts | None) -> str:
    text = f"{order}-grams: {counted:,}"
    if kept < counted:
        text += f", {kept:,} of them kept"
    if chosen:
        text += f"; discounts {chosen[0]:.3f} {chosen[1]:.3f} {chosen[2]:.3f}"
    return text


def _log10(values: Floats) -> Singles:
    """Logarithms to base 10; none above 0, which rounding might make of a certain word."""
    with np.errstate(divide="ignore"):
        return np.minimum(np.log10(values), 0.0).astype(np.float32)
