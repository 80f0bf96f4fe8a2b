"""Estimation of an n-gram model from the ids of a text: check, count, smooth, prune, and build the trie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, Status, WarningEvent, null_listener
from rnnkit.io.npy import IntArray
from rnnkit.json_types import JsonObject
from rnnkit.kernels.compiler import BoolArray, Float32Array, Float64Array, Int32Array
from rnnkit.ngrams.ngram_counts import NgramLevel, adjust_counts, count_ngrams, prune
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.ngrams.options import NgramOptions
from rnnkit.ngrams.smoothing import Discounts, add_k, estimate_discounts, maximum_likelihood, modified_kneser_ney
from rnnkit.text import special_tokens

MAX_INDEX = 2**31 - 1
"""Maximum number of text positions and of n-grams: their indices are int32."""

_BYTES_PER_POSITION, _BYTES_PER_NGRAM = 24, 56


def estimate_ngram_model(
    ids: IntArray, offsets: IntArray, vocabulary_size: int, options: NgramOptions, listen: Listener = null_listener
) -> BackoffModel:
    """Estimate an n-gram language model.

    Args:
        ids: SentenceDataset, concatenated, each ending with EOS; may be memory-mapped. Unknown words are UNK.
        offsets: Offset of each sentence, and the total, as in aligned data.
        vocabulary_size: Vocabulary size. All words but PAD and BOS can be predicted, counted or not.
        options: How to estimate.
        listen: Receives the number of n-grams and the discounts of each order.

    Raises:
        ConfigError: Options are out of range or contradict each other.
        DataError: The text is empty, too long, padded, has invalid ids, or a sentence does not end with EOS.
    """
    thresholds = options.thresholds()
    predictable_V = _predictable_words(vocabulary_size, options.closed)
    text_P = prepare_text(ids, offsets, vocabulary_size, options.closed)
    levels = []
    listen(Status("counting n-grams"))
    for order, level in enumerate(count_ngrams(text_P, vocabulary_size, options.order), start=1):
        levels.append(level)
        listen(Status(f"counting {order + 1}-grams" if order < options.order else "estimating probabilities"))
    kept = prune(levels, thresholds)
    discounts: list[Discounts] = []
    if options.smoothing == "kneser-ney":
        adjusted = adjust_counts(levels)
        discounts = choose_discounts(adjusted, options.fallback, listen)
        weights = modified_kneser_ney(levels, adjusted, kept, discounts, predictable_V)
    elif options.smoothing == "add-k":
        weights = add_k(levels, options.add, predictable_V)
    else:
        weights = maximum_likelihood(levels)
    facts = {**asdict(options), "discounts": discounts, "tokens": len(ids), "lines": len(offsets) - 1}
    model = build_model(levels, kept, weights, vocabulary_size, facts)
    for order, (level, size) in enumerate(zip(levels, model.sizes, strict=True), start=1):
        listen(Note(_summarize(order, len(level), size, discounts[order - 1] if discounts else None)))
    return model


def estimated_bytes(tokens: int, sentences: int, order: int) -> int:
    """Return the memory that estimation takes if all n-grams are distinct; real text takes about two thirds of it."""
    positions = tokens + sentences
    return positions * (_BYTES_PER_POSITION + _BYTES_PER_NGRAM * max(1, order - 1))


def prepare_text(ids: IntArray, offsets: IntArray, vocabulary_size: int, closed: bool = False) -> Int32Array:
    """Check the text and insert BOS before each sentence. Arguments and errors are those of `estimate_ngram_model`."""
    sentences = len(offsets) - 1
    if sentences < 1 or not len(ids):
        raise DataError("there is no text to count n-grams in", hint="check whether the training split is empty")
    if len(ids) + sentences > MAX_INDEX:
        raise DataError(
            f"the text has {len(ids):,} tokens and {sentences:,} lines", f"together there can be at most {MAX_INDEX:,}"
        )
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocabulary_size:
        invalid = low if low < 0 else high
        raise DataError(f"the text contains id {invalid}, but the vocabulary has {vocabulary_size:,} entries")
    starts_L = np.asarray(offsets[:-1], dtype=np.int64)
    text_P = np.empty(len(ids) + sentences, dtype=np.int32)
    is_word_P = np.ones(len(text_P), dtype=np.bool_)
    is_word_P[starts_L + np.arange(sentences)] = False
    text_P[is_word_P] = ids
    text_P[~is_word_P] = special_tokens.BOS
    _check_special_symbols(text_P, is_word_P, closed)
    return text_P


def choose_discounts(
    adjusted: Sequence[Int32Array], fallback: Discounts, listen: Listener = null_listener
) -> list[Discounts]:
    """Estimate the discounts of each order; fall back, with a warning, where the counts are too sparse."""
    chosen = []
    for order, count_N in enumerate(adjusted, start=1):
        estimated = estimate_discounts(count_N)
        if isinstance(estimated, str):
            values = ", ".join(f"{discount:g}" for discount in fallback)
            listen(WarningEvent(f"cannot estimate discounts of {order}-grams: {estimated}; using {values}"))
        chosen.append(fallback if isinstance(estimated, str) else estimated)
    return chosen


def build_model(
    levels: Sequence[NgramLevel],
    kept: Sequence[BoolArray],
    weights: Iterator[tuple[Float64Array, Float64Array]],
    vocabulary_size: int,
    facts: JsonObject,
) -> BackoffModel:
    """Concatenate the levels, without pruned n-grams, to the trie of a model.

    Args:
        levels: The n-grams of each order.
        kept: Masks of the n-grams that are not pruned; the n-grams within a kept one are kept too.
        weights: For each order the probabilities of its n-grams and the back-off weights of their contexts.
        vocabulary_size: Vocabulary size.
        facts: Metadata of the model.

    Raises:
        DataError: There are too many n-grams.
    """
    sizes = [1, *(int(np.count_nonzero(kept_N)) for kept_N in kept)]
    total, inner = sum(sizes), sum(sizes[:-1])
    if total > MAX_INDEX:
        raise DataError(
            f"the model would have {total:,} n-grams, at most {MAX_INDEX:,} are possible", hint="prune more"
        )
    word_A, suffix_A = np.zeros(total, np.int32), np.zeros(total, np.int32)
    log10_A, backoff_I = np.zeros(total, np.float32), np.zeros(inner, np.float32)
    first_child_I1 = np.full(inner + 1, total, np.int32)
    first, first_C = 1, 0
    kept_C, node_S = np.ones(1, np.bool_), np.zeros(1, np.int32)
    for level, kept_N, (probability_N, backoff_C) in zip(levels, kept, weights, strict=True):
        kept_before_N1 = np.zeros(len(level) + 1, np.int32)
        np.cumsum(kept_N, out=kept_before_N1[1:])
        end = first + int(kept_before_N1[-1])
        word_A[first:end] = level.word_N[kept_N]
        suffix_A[first:end] = node_S[level.suffix_N[kept_N]]
        log10_A[first:end] = _log10(probability_N[kept_N])
        backoff_I[first_C:first] = _log10(backoff_C[kept_C])
        first_child_I1[first_C:first] = first + kept_before_N1[level.offsets_C1[:-1][kept_C]]
        kept_before_N1 += first
        kept_C, node_S, first_C, first = kept_N, kept_before_N1[:-1], first, end
    backoff_I[0] = 0.0  # the empty context never backs off: all words are its children
    return BackoffModel(len(levels), vocabulary_size, word_A, suffix_A, log10_A, backoff_I, first_child_I1, facts)


def _predictable_words(vocabulary_size: int, closed: bool) -> BoolArray:
    """Return a mask of the words that can be predicted."""
    predictable_V = np.ones(vocabulary_size, dtype=np.bool_)
    predictable_V[[special_tokens.PAD, special_tokens.BOS]] = False
    if closed:
        predictable_V[special_tokens.UNK] = False
    return predictable_V


def _check_special_symbols(text_P: Int32Array, is_word_P: BoolArray, closed: bool) -> None:
    for symbol, hint in (
        (special_tokens.PAD, "align the text without a fixed length"),
        (special_tokens.BOS, "<s> is inserted before each line automatically"),
    ):
        if found := np.count_nonzero(text_P[is_word_P] == symbol):
            raise DataError(f"the text contains {special_tokens.NAMES[symbol]} {found:,} times", hint=hint)
    is_eos_P = text_P == special_tokens.EOS
    if is_eos_P[0] or not is_eos_P[-1] or np.any(is_eos_P[:-1] == is_word_P[1:]):
        raise DataError(
            "a line does not end with </s>, or contains it in the middle",
            "each line must have one </s>, at its end, as `rnnkit align` writes it",
        )
    unknown = np.count_nonzero(text_P == special_tokens.UNK)
    if closed and unknown:
        raise DataError(
            f"the text contains {unknown:,} unknown words, but the vocabulary is closed",
            hint="build the vocabulary from this text (`rnnkit vocab`), or do not close it",
            option="--closed",
        )


def _summarize(order: int, counted: int, kept: int, discounts: Discounts | None) -> str:
    text = f"{order}-grams: {counted:,}"
    if kept < counted:
        text += f", {kept:,} after pruning"
    if discounts:
        text += f"; discounts {discounts[0]:.3f} {discounts[1]:.3f} {discounts[2]:.3f}"
    return text


def _log10(values: Float64Array) -> Float32Array:
    """Compute base-10 logarithms, clipped to 0: rounding may lift a certain word's probability above 1."""
    with np.errstate(divide="ignore"):
        return np.minimum(np.log10(values), 0.0).astype(np.float32)
