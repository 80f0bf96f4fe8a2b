"""Folds of labelled data for cross-validation: parts of its training split, each held out once.

Equal texts are in the same fold, or a model would be validated on texts that it was trained on. The distinct texts are
ordered by a seeded hash and dealt to the folds in turn, so that these differ by one distinct text at most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.labelled_data import LabelledData
from rnnkit.data.word_table import EOS_ROW, SparseRows, WordTable
from rnnkit.errors import DataError
from rnnkit.text.row_splits import HASH_BYTES
from rnnkit.text.special_tokens import NAMES, UNK

Rows = NDArray[np.int64]

TRAIN, VALID = "train", "valid"


def assign_folds(data: LabelledData, folds: int, seed: int) -> Rows:
    """Return the fold of each text of train, from 0, (N,).

    Raises:
        DataError: There are fewer distinct texts than folds.
    """
    texts = [train_text(data, row).encode() for row in range(len(data.side(TRAIN, data.text)))]
    key = str(seed).encode()
    ordered = sorted(set(texts), key=lambda text: (blake2b(text, digest_size=HASH_BYTES, key=key).digest(), text))
    if len(ordered) < folds:
        raise DataError(
            f"{data.folder} has {len(ordered)} distinct texts, fewer than the {folds} folds",
            hint="use fewer --folds",
            path=data.folder,
            option="--folds",
        )
    fold_of = {text: rank % folds for rank, text in enumerate(ordered)}
    return np.array([fold_of[text] for text in texts], np.int64)


def train_text(data: LabelledData, row: int) -> str:
    """Return a text of train: its words, or the tokens of a classifier, separated by blanks."""
    words = data.table.words
    return " ".join(words[word] for word in data.side(TRAIN, data.text)[row] if word != EOS_ROW)


@dataclass(frozen=True)
class LabelledFold(LabelledData):
    """Labelled data whose `train` and `valid` are parts of the `train` of other data.

    Tokens that do not occur in `train` become UNK, as those outside the vocabulary of a model trained on it.

    Attributes:
        whole: The other data.
        rows: Indices of the texts of `train` and `valid` there.
    """

    whole: LabelledData
    rows: Mapping[str, Rows]

    @classmethod
    def hold_out(cls, whole: LabelledData, held_out_N: NDArray[np.bool_]) -> LabelledFold:
        """Make a fold.

        Args:
            whole: The data.
            held_out_N: Whether each text of its `train` is one of `valid`.
        """
        rows = {TRAIN: np.flatnonzero(~held_out_N), VALID: np.flatnonzero(held_out_N)}
        names = (whole.text, *(column.name for column in whole.columns))
        arrays = {(split, name): _select(whole.side(TRAIN, name), rows[split]) for split in rows for name in names}
        columns = tuple(
            dataclasses.replace(
                column,
                counts=tuple(
                    np.bincount(arrays[TRAIN, column.name].ids, minlength=len(column.labels) + 1)[1:].tolist()
                ),
            )
            for column in whole.columns
        )
        tokens = whole.table.tokens
        splits = {split: _facts(whole, arrays[split, whole.text]) for split in rows}
        meta = dataclasses.replace(whole.meta, facts={**whole.meta.facts, "splits": splits})
        fold = cls(whole.folder, meta, columns, whole.table, arrays, whole, rows)
        seen_V = fold.token_counts() > 0
        seen_V[: len(NAMES)] = True
        known = SparseRows(np.where(seen_V[tokens.values], tokens.values, UNK), tokens.offsets)
        return dataclasses.replace(fold, table=WordTable(whole.table.words, known))

    def weights(self, split: str) -> NDArray[np.float32] | None:
        """Return the weight of each line of a split; None if the data has none."""
        weights = self.whole.weights(TRAIN)
        return None if weights is None else np.asarray(weights)[self.rows[split]]

    def shares(self, split: str, column: str) -> NDArray[np.float32] | None:
        """Return the probability of each label of a split; None if labels are certain."""
        shares = self.whole.shares(TRAIN, column)
        if shares is None:
            return None
        places = SparseRows(np.arange(len(shares)), np.asarray(self.whole.side(TRAIN, column).offsets))
        return np.asarray(shares)[places.select(self.rows[split]).values]


def _select(side: SentenceDataset, rows: Rows) -> SentenceDataset:
    chosen = SparseRows(np.asarray(side.ids), np.asarray(side.offsets)).select(rows)
    return SentenceDataset(chosen.values, chosen.offsets)


def _facts(whole: LabelledData, text: SentenceDataset) -> dict[str, object]:
    """Return the facts of a split, in the form of those in the manifest."""
    lengths = whole.table.tokens.lengths()[text.ids]
    sums = np.concatenate(([0], np.cumsum(lengths)))[text.offsets]
    return {
        "lines": len(text),
        "sentences": len(text),
        "tokens": {whole.text: int(lengths.sum())},
        "longest": {whole.text: int(np.diff(sums).max(initial=0))},
    }
