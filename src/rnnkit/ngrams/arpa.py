r"""ARPA files, the text form in which n-gram models are exchanged: how they are written.

    \data\
    ngram 1=5                             how many n-grams there are of each order
    ngram 2=7

    \1-grams:
    -1.2041199<TAB>the<TAB>-0.30103       logarithm of the probability, words, logarithm of the back-off weight
    ...

    \2-grams:
    -0.47712126<TAB>the cat               the longest have no back-off; others only where something follows
    ...

    \end\

Logarithms are to base 10, with the fewest digits that are read as the same float32. As KenLM writes it, <s> has the
probability 1: nothing ever predicts it. What is impossible has the logarithm -99: these files have no minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, WarningEvent, null_listener
from rnnkit.io.atomic import atomic_file
from rnnkit.ngrams.arpa_kernels import LONGEST_NUMBER, format_rows
from rnnkit.ngrams.counts import Ints
from rnnkit.ngrams.lexicon import join
from rnnkit.ngrams.merging import merge
from rnnkit.ngrams.model import NgramModel
from rnnkit.text import special_tokens

IMPOSSIBLE: Final = -99.0
"""What stands for the logarithm of 0."""

SPACES: Final = " \t\r\n\0"
"""What no word of an ARPA file holds; anything else may be part of one."""

_KENLM_ORDERS = range(2, 7)
_BLOCK = 1 << 16


def write_arpa(
    model: NgramModel, tokens: Sequence[str], path: Path, merge_unknown: bool = False, listen: Listener = null_listener
) -> None:
    """Write a model as an ARPA file.

    Args:
        model: The model.
        tokens: The vocabulary's tokens by id, the special symbols' names first.
        path: The file; compressed where its name ends with `.gz`.
        merge_unknown: An ordinary row that is spelt `<unk>` and the unknown word are one in the file.
        listen: Warned of what other programs may not read.

    Raises:
        DataError: Two words are spelt alike, one cannot be written, or the vocabulary is not the model's.
        ArtefactError: The file cannot be written.
    """
    if len(tokens) != model.vocabulary_size:
        raise DataError(f"the vocabulary has {len(tokens):,} rows, the model {model.vocabulary_size:,}")
    left_out = {special_tokens.PAD}
    unknown = special_tokens.NAMES[special_tokens.UNK]
    if merge_unknown and unknown in tokens[len(special_tokens.NAMES) :]:
        row = tokens.index(unknown, len(special_tokens.NAMES))
        model, absent = merge(model, row, special_tokens.UNK)
        left_out.add(absent)
    row_W = np.array([row for row in range(len(tokens)) if row not in left_out], dtype=np.int32)
    _check_words(tokens, row_W.tolist(), listen)
    if model.order not in _KENLM_ORDERS:
        listen(
            WarningEvent(f"KenLM as it is usually built does not read models of order {model.order}, only of 2 to 6")
        )
    spelled = join([token.encode() for token in tokens])
    with atomic_file(path, "wb") as file:
        sizes = [len(row_W), *model.sizes[1:]]
        file.write(b"\\data\\\n")
        file.writelines(b"ngram %d=%d\n" % entry for entry in enumerate(sizes, start=1))
        impossible = 0
        for order in range(1, model.order + 1):
            file.write(b"\n\\%d-grams:\n" % order)
            for node_M in _nodes(model, order, row_W):
                log10_M, backoff_M = _weights(model, node_M)
                impossible += int(np.count_nonzero(np.isneginf(log10_M)))
                log10_M[np.isneginf(log10_M)] = IMPOSSIBLE
                file.write(_format(ngrams(model, node_M, order), log10_M, backoff_M, *spelled))
        file.write(b"\n\\end\\\n")
    if impossible:
        listen(Note(f"{impossible:,} n-grams have the probability 0, which is written as {IMPOSSIBLE:g}"))


def ngrams(model: NgramModel, node_M: NDArray[np.integer[Any]], order: int) -> Ints:
    """The words of nodes of one order, shape (M, K)."""
    words_MK = np.empty((len(node_M), order), dtype=np.int32)
    for column in reversed(range(order)):
        words_MK[:, column] = model.word_A[node_M]
        node_M = np.searchsorted(model.begins_I1, node_M, side="right") - 1
    return words_MK


def _check_words(tokens: Sequence[str], rows: Sequence[int], listen: Listener) -> None:
    """Raise DataError where the file could not be read back as the same words."""
    seen: dict[str, int] = {}
    for row in rows:
        token = tokens[row]
        if not token or any(space in token for space in SPACES):
            raise DataError(f"row {row} of the vocabulary, {token!r}, cannot be a word of an ARPA file")
        if seen.setdefault(token, row) == row:
            continue
        words = "</?s>" if token in special_tokens.NAMES[special_tokens.BOS :] else token
        hint = f"spell it otherwise in the training text, or remove it (`sed -E 's#{words}##g' TEXT`), and train again"
        if token == special_tokens.NAMES[special_tokens.UNK]:
            hint = "let both be one in the file (`--merge-unknown`), or " + hint
        raise DataError(
            f"rows {seen[token]} and {row} of the vocabulary are both spelt {token}; an ARPA file has each word once",
            hint=hint,
        )
    if "<UNK>" in seen:
        listen(WarningEvent("the vocabulary has the word <UNK>, which KenLM takes for the unknown word <unk>"))


def _nodes(model: NgramModel, order: int, row_W: Ints) -> Iterator[NDArray[np.integer[Any]]]:
    """The nodes of one order, a block at a time."""
    if order == 1:
        yield from (1 + row_W[start : start + _BLOCK] for start in range(0, len(row_W), _BLOCK))
        return
    begin, end = model.level_begins[order], model.level_begins[order + 1]
    yield from (np.arange(start, min(start + _BLOCK, end)) for start in range(begin, end, _BLOCK))


def _weights(model: NgramModel, node_M: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logarithms of probabilities, minus infinity for 0, and of back-off weights, NaN where none is written."""
    log10_M = np.array(model.log10_A[node_M])
    log10_M[node_M == 1 + special_tokens.BOS] = 0.0
    backoff_M = np.full(len(node_M), np.nan, dtype=np.float32)
    if int(node_M[-1]) < len(model.backoff_I):
        backoff_M = np.array(model.backoff_I[node_M])
        backoff_M[np.isneginf(backoff_M)] = IMPOSSIBLE
        unused_M = model.begins_I1[node_M] == model.begins_I1[node_M + 1]
        backoff_M[unused_M & (backoff_M == 0)] = np.nan
    return log10_M, backoff_M


def _format(
    words_MK: Ints,
    log10_M: NDArray[np.float32],
    backoff_M: NDArray[np.float32],
    spelled: NDArray[np.uint8],
    begins: NDArray[np.int64],
) -> bytes:
    letters = int(np.diff(begins)[words_MK].sum())
    room = letters + words_MK.size + len(words_MK) * (2 * LONGEST_NUMBER + 2)
    buffer = np.empty(room, dtype=np.uint8)
    return buffer[: format_rows(words_MK, log10_M, backoff_M, spelled, begins, buffer)].tobytes()
