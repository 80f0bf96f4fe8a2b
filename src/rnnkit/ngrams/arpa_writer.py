"""Writing of ARPA files.

Numbers have the fewest digits, from six on, that parse as the same float32. As in KenLM's files, <s> has the
probability 1, as it is never predicted, and the logarithm of 0 is written as -99.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.io.atomic import atomic_file
from rnnkit.io.npy import IntArray
from rnnkit.kernels.arpa_entries import MAX_NUMBER_BYTES, format_entries
from rnnkit.kernels.compiler import Float32Array, Int32Array, Int64Array, UInt8Array
from rnnkit.ngrams.arpa_format import LOG10_ZERO, concatenate_words
from rnnkit.ngrams.ngram_model import ROOT, BackoffModel
from rnnkit.text import special_tokens

WORD_SEPARATORS: Final = " \t\r\n\0"
"""Characters that a word of an ARPA file cannot contain."""

_KENLM_ORDERS = range(2, 7)
_BLOCK = 1 << 16


def write_arpa(
    model: BackoffModel,
    tokens: Sequence[str],
    path: Path,
    merge_unknown: bool = False,
    listen: Listener = null_listener,
) -> None:
    """Write a model as an ARPA file.

    Args:
        model: The model.
        tokens: The vocabulary's tokens by id, beginning with the special symbols.
        path: The file; gzip-compressed if its name ends with `.gz`.
        merge_unknown: Write an ordinary word spelled `<unk>` and the unknown word as one word; see `merge_words`.
        listen: WarningEvent of what other programs may not read.

    Raises:
        DataError: Two words have the same spelling, a word cannot be written, or the vocabulary is not the model's.
        ArtefactError: The file cannot be written.
    """
    if len(tokens) != model.vocabulary_size:
        raise DataError(f"the vocabulary has {len(tokens):,} entries, the model {model.vocabulary_size:,}")
    left_out = {special_tokens.PAD}
    unknown = special_tokens.NAMES[special_tokens.UNK]
    if merge_unknown and unknown in tokens[len(special_tokens.NAMES) :]:
        literal = tokens.index(unknown, len(special_tokens.NAMES))
        model, removed = merge_words(model, literal, special_tokens.UNK)
        left_out.add(removed)
    id_W = np.array([id_ for id_ in range(len(tokens)) if id_ not in left_out], dtype=np.int32)
    _check_words(tokens, id_W.tolist(), listen)
    if model.order not in _KENLM_ORDERS:
        listen(
            WarningEvent(f"KenLM's default build reads models of order 2 to 6 only; this one has order {model.order}")
        )
    word_bytes, offsets = concatenate_words([token.encode() for token in tokens])
    with atomic_file(path, "wb") as file:
        sizes = [len(id_W), *model.sizes[1:]]
        file.write(b"\\data\\\n")
        file.writelines(b"ngram %d=%d\n" % entry for entry in enumerate(sizes, start=1))
        zeros = 0
        for order in range(1, model.order + 1):
            file.write(b"\n\\%d-grams:\n" % order)
            for node_M in _node_blocks(model, order, id_W):
                log10_M, backoff_M = _weights(model, node_M)
                zeros += int(np.count_nonzero(np.isneginf(log10_M)))
                log10_M[np.isneginf(log10_M)] = LOG10_ZERO
                file.write(_format(ngram_words(model, node_M, order), log10_M, backoff_M, word_bytes, offsets))
        file.write(b"\n\\end\\\n")
    if zeros:
        listen(Note(f"{zeros:,} n-grams have probability 0, written as {LOG10_ZERO:g}"))


def merge_words(model: BackoffModel, word: int, other: int) -> tuple[BackoffModel, int]:
    """Merge two words of a model into one, which gets the probability of both.

    Benchmarks such as Penn Treebank spell rare words `<unk>`. That text is an ordinary word of a vocabulary, as no text
    can stand for a special symbol, but an ARPA file has only one `<unk>`. The probabilities add up,

        p(either | h) = p(word | h) + p(other | h)

    and if one of the words occurs in no n-gram, the n-grams of the other become those of both.

    Args:
        model: The model.
        word: A word.
        other: Another word.

    Returns:
        The model in which one of the words is impossible, and that word, which occurs in no n-gram.

    Raises:
        DataError: Both words occur in n-grams.
    """
    without_ngrams = [id_ for id_ in (word, other) if not _has_ngrams(model, id_)]
    if not without_ngrams:
        raise DataError(
            f"cannot merge words {word} and {other} of the vocabulary: both occur in n-grams",
            hint="replace one by the other in the text, and train again",
        )
    removed = without_ngrams[0]
    remaining = other if removed == word else word
    node_M = np.flatnonzero(model.word_A == remaining)
    node_M = node_M[node_M != ROOT]
    context_M = np.searchsorted(model.first_child_I1, node_M, side="right") - 1
    log10_M = np.full(len(node_M), model.log10_A[1 + removed], dtype=np.float64)
    while (backing_off := context_M != ROOT).any():
        log10_M[backing_off] += model.backoff_I[context_M[backing_off]]
        context_M[backing_off] = model.suffix_A[context_M[backing_off]]
    log10_A = model.log10_A.copy()
    with np.errstate(divide="ignore"):
        log10_A[node_M] = np.minimum(np.log10(10.0 ** model.log10_A[node_M].astype(float) + 10.0**log10_M), 0.0)
    log10_A[1 + removed] = -np.inf
    return replace(model, log10_A=log10_A), removed


def _has_ngrams(model: BackoffModel, word: int) -> bool:
    """Return whether a word occurs in any n-gram of two words or more."""
    return bool(np.any(model.word_A[1 + model.vocabulary_size :] == word)) or (
        model.order > 1 and model.first_child_I1[1 + word] < model.first_child_I1[2 + word]
    )


def ngram_words(model: BackoffModel, node_M: IntArray, order: int) -> Int32Array:
    """Return the words of nodes of one order, shape (M, K)."""
    words_MK = np.empty((len(node_M), order), dtype=np.int32)
    for column in reversed(range(order)):
        words_MK[:, column] = model.word_A[node_M]
        node_M = np.searchsorted(model.first_child_I1, node_M, side="right") - 1
    return words_MK


def _check_words(tokens: Sequence[str], ids: Sequence[int], listen: Listener) -> None:
    """Raise DataError if the file could not be read back as the same words."""
    seen: dict[str, int] = {}
    for id_ in ids:
        token = tokens[id_]
        if not token or any(separator in token for separator in WORD_SEPARATORS):
            raise DataError(f"word {id_} of the vocabulary, {token!r}, cannot be written to an ARPA file")
        if seen.setdefault(token, id_) == id_:
            continue
        pattern = "</?s>" if token in special_tokens.NAMES[special_tokens.BOS :] else token
        hint = f"respell it in the training text, or remove it (`sed -E 's#{pattern}##g' TEXT`), and train again"
        if token == special_tokens.NAMES[special_tokens.UNK]:
            hint = "merge both words in the file (`--merge-unknown`), or " + hint
        raise DataError(
            f"words {seen[token]} and {id_} of the vocabulary are both spelled {token}",
            "an ARPA file has each word once",
            hint=hint,
        )
    if "<UNK>" in seen:
        listen(WarningEvent("the vocabulary has the word <UNK>, which KenLM reads as the unknown word <unk>"))


def _node_blocks(model: BackoffModel, order: int, id_W: Int32Array) -> Iterator[IntArray]:
    """Yield the nodes of one order in blocks."""
    if order == 1:
        yield from (1 + id_W[start : start + _BLOCK] for start in range(0, len(id_W), _BLOCK))
        return
    begin, end = model.order_begins[order], model.order_begins[order + 1]
    yield from (np.arange(start, min(start + _BLOCK, end)) for start in range(begin, end, _BLOCK))


def _weights(model: BackoffModel, node_M: IntArray) -> tuple[Float32Array, Float32Array]:
    """Return base-10 log-probabilities, and log back-off weights with NaN where none is written."""
    log10_M = np.array(model.log10_A[node_M])
    log10_M[node_M == 1 + special_tokens.BOS] = 0.0
    backoff_M = np.full(len(node_M), np.nan, dtype=np.float32)
    if int(node_M[-1]) < len(model.backoff_I):
        backoff_M = np.array(model.backoff_I[node_M])
        backoff_M[np.isneginf(backoff_M)] = LOG10_ZERO
        childless_M = model.first_child_I1[node_M] == model.first_child_I1[node_M + 1]
        backoff_M[childless_M & (backoff_M == 0)] = np.nan
    return log10_M, backoff_M


def _format(
    words_MK: Int32Array, log10_M: Float32Array, backoff_M: Float32Array, word_bytes: UInt8Array, offsets: Int64Array
) -> bytes:
    letters = int(np.diff(offsets)[words_MK].sum())
    capacity = letters + words_MK.size + len(words_MK) * (2 * MAX_NUMBER_BYTES + 2)
    buffer = np.empty(capacity, dtype=np.uint8)
    return buffer[: format_entries(words_MK, log10_M, backoff_M, word_bytes, offsets, buffer)].tobytes()
