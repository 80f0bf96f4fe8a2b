"""Linear text classifier as in fastText (Joulin et al. 2017, arXiv:1607.01759), without torch.

The features of a text are its words, word n-grams of 2 to `word_ngrams` words, and the character n-grams of its words;
`kernels/linear_classifier.py` has the equations. An n-gram is known by its bucket, fastText's hash of its spelling, so
that texts are scored as in training whatever ids their words have.

`feature_weights="count"` is fastText's mean of all occurrences. With "idf", each distinct word or word n-gram of a text
counts once, with the square of its inverse document frequency as weight, and the weights of a text have the length 1:

    idf_r = ln((1 + N) / (1 + N_r)) + 1           N training texts, N_r of them have the feature      v_r = idf_r^2

This is as if the input rows of a mean over tf-idf vectors (Salton and Buckley 1988) started small where a word occurs
in many texts. A frequent word then learns slowly, and texts of any length have gradients of the same size.

    texts = WordTexts(words, SparseRows(ids, offsets))      ids are indices in `words`, the distinct words as strings
    labels = TextLabels(SparseRows(labels, offsets), count)
    model, losses = train_linear_text(config, texts, labels, threads=2)      (training/linear_text_trainer.py)
    model.weights(), model.words, model.config              to be saved; `LinearText.from_weights` is the inverse
    model.scores(other_texts)                               (N, C); other texts have words and ids of their own
    model.probabilities(score_NC)

The empty string among `words` stands for what is not a word, such as the end of a sentence: it has no features, and no
n-gram contains it. Words that the model does not know have those of their n-grams that it knows.

The number of threads changes no bit of a model or of scores, and a text has the same scores alone and among others.
Softmax needs one label per text, `one_vs_all` any number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.word_table import SparseRows
from rnnkit.embeddings.vector_table import Subwords
from rnnkit.kernels.classified_texts import ClassifiedTexts, count_features, keep_first
from rnnkit.kernels.linear_classifier import (
    LABEL_TILE,
    make_worker,
    score_texts,
    share_training,
)
from rnnkit.kernels.word2vec_weights import aligned_zeros, padded_dimension, unpadded_rows
from rnnkit.kernels.word_hashing import hash_word_ngrams

Floats = NDArray[np.float32]

ARRAYS: Final = ("character_buckets", "ngram_buckets", "inputs", "outputs")
"""Names of the arrays of a classifier."""

ROW_WEIGHTS: Final = "row_weights"
"""Name of one more array, if features are weighted."""

COUNT, IDF = "count", "idf"
FEATURE_WEIGHTS: Final = (COUNT, IDF)

NO_ROW: Final = -1

_BLOCK: Final = 8192


@dataclass(frozen=True)
class LinearTextConfig:
    """Features and training of a linear text classifier.

    Attributes:
        dimension: D, dimension of the input rows.
        epochs: Passes over the texts.
        learning_rate: At the start; it falls linearly to zero.
        word_ngrams: Words of the longest word n-gram; 1 for words alone.
        min_characters: Characters of the shortest character n-gram, `<` and `>` around the word included.
        max_characters: Characters of the longest one; 0 for none.
        buckets: Number of buckets that n-grams are hashed into, those of words and characters separately.
        min_count: Occurrences that a word needs in the training texts.
        min_ngram_count: Occurrences that the bucket of a word n-gram needs.
        one_vs_all: Whether a text may have several labels or none, each with a probability of its own.
        feature_weights: `count` for means as in fastText, or `idf`.
        seed: Of the initial weights and of the order of the texts.
    """

    dimension: int = 100
    epochs: int = 20
    learning_rate: float = 0.5
    word_ngrams: int = 1
    min_characters: int = 0
    max_characters: int = 0
    buckets: int = 2_000_000
    min_count: int = 1
    min_ngram_count: int = 1
    one_vs_all: bool = False
    feature_weights: str = COUNT
    seed: int = 1


class WordTexts(NamedTuple):
    """Texts as sequences of words.

    Attributes:
        words: The distinct words; the empty string is not a word.
        ids: Words of each text, as indices in `words`.
    """

    words: Sequence[str]
    ids: SparseRows


@dataclass(frozen=True, eq=False)
class TextLabels:
    """Labels of texts, with weights.

    Attributes:
        labels: Labels of each text, from 0 and ascending.
        count: C, number of labels.
        label_weight_C: Factor of the learning rate for each label; all 1 if None.
        text_weight_N: Factor of the learning rate for each text; all 1 if None.
    """

    labels: SparseRows
    count: int
    label_weight_C: Floats | None = None
    text_weight_N: Floats | None = None


@dataclass(frozen=True, eq=False)
class LinearText:
    """A linear text classifier; its arrays are flat, with rows padded to whole vectors.

    Attributes:
        config: Its features.
        words: The words that have input rows.
        character_buckets: The buckets of character n-grams that have the input rows after those, ascending.
        ngram_buckets: The buckets of word n-grams that have the input rows after those, ascending.
        labels: C, number of labels.
        inputs: Input rows.
        outputs: Output rows.
        row_weight_R: Weight of each input row; None for means.
    """

    config: LinearTextConfig
    words: tuple[str, ...]
    character_buckets: NDArray[np.int32]
    ngram_buckets: NDArray[np.int32]
    labels: int
    inputs: Floats
    outputs: Floats
    row_weight_R: Floats | None

    @classmethod
    def from_weights(
        cls, config: LinearTextConfig, words: Sequence[str], weights: Mapping[str, NDArray[Any]]
    ) -> LinearText:
        """Make a classifier of the arrays that `weights` returned.

        Raises:
            ValueError: An array is missing, or arrays do not fit together.
        """
        if config.feature_weights not in FEATURE_WEIGHTS:
            raise ValueError(f"feature_weights is {config.feature_weights!r}, not one of {', '.join(FEATURE_WEIGHTS)}")
        names = {*ARRAYS, *([ROW_WEIGHTS] if config.feature_weights == IDF else [])}
        if set(weights) != names:
            raise ValueError(f"arrays {sorted(weights)}, not {sorted(names)}")
        buckets = [weights[name] for name in ARRAYS[:2]]
        if any(len(one) and not 0 <= one.min() <= one.max() < config.buckets for one in buckets):
            raise ValueError(f"buckets are not all from 0 to {config.buckets - 1}")
        model = _allocate(config, tuple(words), buckets[0], buckets[1], len(weights["outputs"]))
        for name, view_RD in zip(ARRAYS[2:], model._rows(), strict=True):
            if weights[name].shape != view_RD.shape:
                raise ValueError(f"{name} have shape {weights[name].shape}, not {view_RD.shape}")
            view_RD[:] = weights[name]
        if model.row_weight_R is not None:
            if weights[ROW_WEIGHTS].shape != model.row_weight_R.shape:
                raise ValueError(
                    f"{ROW_WEIGHTS} have shape {weights[ROW_WEIGHTS].shape}, not {model.row_weight_R.shape}"
                )
            model.row_weight_R[:] = weights[ROW_WEIGHTS]
        return model

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to be saved: buckets, `inputs` (R, D) and `outputs` (C, D)."""
        inputs_RD, outputs_CD = (np.ascontiguousarray(rows) for rows in self._rows())
        arrays = (self.character_buckets, self.ngram_buckets, inputs_RD, outputs_CD)
        weighted = {} if self.row_weight_R is None else {ROW_WEIGHTS: self.row_weight_R}
        return {**dict(zip(ARRAYS, arrays, strict=True)), **weighted}

    def scores(self, texts: WordTexts, threads: int = 1) -> Floats:
        """Compute the scores of the labels of each text, (N, C)."""
        features, score_NC = self.features(texts), np.empty((len(texts.ids), self.labels), np.float32)
        most = int(count_features(features).max(initial=0))
        label_weight_C = np.ones(self.labels, np.float32)
        shared = share_training(self.inputs, self.stride, label_weight_C, row_weight_R=self.row_weight_R)
        bounds = [len(score_NC) * part // threads for part in range(threads + 1)]

        def score(part: tuple[int, int]) -> None:
            first, last = part
            score_texts(shared, features, first, make_worker(shared, self.outputs, 0, most), score_NC[first:last])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(score, pairwise(bounds)))
        return score_NC

    def probabilities(self, score_NC: Floats) -> Floats:
        """Compute the probability of each label from scores: by a softmax, or with one-vs-all by sigmoids."""
        if self.config.one_vs_all:
            return np.exp(-np.logaddexp(np.float32(0), -score_NC))
        p_NC: Floats = np.exp(score_NC - score_NC.max(axis=1, keepdims=True))
        p_NC /= p_NC.sum(axis=1, keepdims=True)
        return p_NC

    @property
    def stride(self) -> int:
        """Numbers from one row to the next."""
        return padded_dimension(self.config.dimension)

    def _rows(self) -> tuple[Floats, Floats]:
        """Return views of the input rows (R, D) and the output rows (C, D)."""
        inputs_RD, outputs_CD = (
            unpadded_rows(flat, self.stride, self.config.dimension) for flat in (self.inputs, self.outputs)
        )
        return inputs_RD, outputs_CD[: self.labels]

    def features(self, texts: WordTexts) -> ClassifiedTexts:
        """Return the input rows of the features of texts, without labels."""
        config, ids, starts = self.config, texts.ids.values.astype(np.int32), texts.ids.offsets
        row_V = np.array([self._row_of_word.get(word, NO_ROW) for word in texts.words], np.int32)
        ngrams = hash_word_ngrams(ids, starts, texts.words, config.word_ngrams, config.buckets)
        ngram_rows = self._row_of_ngram[ngrams.ravel()] if ngrams.size else np.empty(0, np.int32)
        none, no_starts = np.empty(0, np.int32), np.empty(0, np.int64)
        if not config.max_characters:
            row_start_V1, rows, words, no_word = no_starts, none, row_V[ids], NO_ROW
        else:
            row_start_V1, rows = self._compose(texts.words, row_V)
            words, no_word = ids, len(row_V)
            row_start_V1 = np.append(row_start_V1, row_start_V1[-1])  # `no_word` has no rows
        if config.feature_weights == IDF:
            self._keep_first(starts, words, no_word)
            for one in ngram_rows.reshape(ngrams.shape):
                self._keep_first(starts, one, NO_ROW)
        return ClassifiedTexts(starts, words, row_start_V1, rows, ngram_rows, no_starts, none)

    @staticmethod
    def _keep_first(starts: NDArray[np.int64], ids: NDArray[np.int32], none: int) -> None:
        """Replace all occurrences of an id in a text but the first."""
        keep_first(starts, ids, np.full(int(ids.max(initial=0)) + 1, -1, np.int32), none)

    def _compose(self, words: Sequence[str], row_V: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the start of the rows of each word, and the rows: its own and those of its character n-grams."""
        start_V1, buckets = _character_buckets(self.config, words)
        character_rows = self._row_of_characters[buckets]
        rows = np.insert(character_rows, start_V1[:-1], row_V)
        start_V1 = start_V1 + np.arange(len(start_V1))
        known = np.concatenate([[0], np.cumsum(rows != NO_ROW)])
        return known[start_V1], rows[rows != NO_ROW]

    @cached_property
    def _row_of_word(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def _row_of_characters(self) -> NDArray[np.int32]:
        return _number_buckets(self.character_buckets, len(self.words), self.config.buckets)

    @cached_property
    def _row_of_ngram(self) -> NDArray[np.int32]:
        first = len(self.words) + len(self.character_buckets)
        return _number_buckets(self.ngram_buckets, first, self.config.buckets)


def init_linear_text(config: LinearTextConfig, texts: WordTexts, labels: int) -> LinearText:
    """Return a classifier with the features of the training texts.

    The rows of words are random, as in fastText. Those of n-grams and labels are zero: they learn as well, and n-grams
    that occur once or twice add no noise.

    Args:
        config: Its features.
        texts: The training texts.
        labels: C, number of labels.
    """
    ids = texts.ids.values.astype(np.int32)
    count_V = np.bincount(ids, minlength=len(texts.words))
    words = tuple(word for word, count in zip(texts.words, count_V, strict=True) if word and count >= config.min_count)
    used = [word for word, count in zip(texts.words, count_V, strict=True) if count]
    characters = np.unique(_character_buckets(config, used)[1])
    ngrams = hash_word_ngrams(ids, texts.ids.offsets, texts.words, config.word_ngrams, config.buckets)
    count_K = np.bincount(ngrams[ngrams >= 0], minlength=config.buckets)
    frequent = np.flatnonzero(count_K >= max(1, config.min_ngram_count)).astype(np.int32)
    model = _allocate(config, words, characters, frequent, labels)
    word_rows_VD, generator = model._rows()[0][: len(words)], np.random.default_rng(config.seed)
    for first in range(0, len(words), _BLOCK):  # bounds the memory of the random numbers
        block = word_rows_VD[first : first + _BLOCK]
        block[:] = (2 * generator.random(block.shape, dtype=np.float32) - 1) / np.float32(config.dimension)
    return model


def weigh_features(model: LinearText, features: ClassifiedTexts) -> None:
    """Set the weights of input rows to the squared inverse document frequencies of their features.

    A character n-gram counts once for each distinct word of a text.

    Args:
        model: The classifier.
        features: What its `features` returned for the training texts.

    Raises:
        ValueError: Its features have no weights.
    """
    if model.row_weight_R is None:
        raise ValueError(f"features are not weighted: {model.config.feature_weights}")
    texts, rows = len(features.start_N1) - 1, len(model.row_weight_R)
    if len(features.row_start_V1):
        lengths = np.diff(features.row_start_V1)
        count_V = np.bincount(features.words, minlength=len(lengths))[: len(lengths)]
        frequency_R = np.bincount(features.rows, np.repeat(count_V, lengths), minlength=rows)
    else:
        frequency_R = np.bincount(features.words[features.words >= 0], minlength=rows).astype(np.float64)
    frequency_R += np.bincount(features.ngrams[features.ngrams >= 0], minlength=rows)
    idf_R = np.log((1 + texts) / (1 + np.minimum(frequency_R, texts))) + 1
    model.row_weight_R[:] = idf_R**2


def _allocate(
    config: LinearTextConfig,
    words: tuple[str, ...],
    character_buckets: NDArray[np.int32],
    ngram_buckets: NDArray[np.int32],
    labels: int,
) -> LinearText:
    """Return a classifier whose weights are zero."""
    stride, rows = padded_dimension(config.dimension), len(words) + len(character_buckets) + len(ngram_buckets)
    inputs, outputs = aligned_zeros(rows * stride), aligned_zeros(-(-labels // LABEL_TILE) * LABEL_TILE * stride)
    row_weight_R = np.ones(rows, np.float32) if config.feature_weights == IDF else None
    return LinearText(config, words, character_buckets, ngram_buckets, labels, inputs, outputs, row_weight_R)


def _character_buckets(config: LinearTextConfig, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the start of the character n-grams of each word, and their buckets; the empty string has none."""
    if not config.max_characters:
        return np.zeros(len(words) + 1, np.int64), np.empty(0, np.int32)
    subwords = Subwords(config.min_characters, config.max_characters, config.buckets)
    starts, buckets = subwords.table([word for word in words if word])
    size_V = np.zeros(len(words), np.int64)
    size_V[[bool(word) for word in words]] = np.diff(starts)
    return np.concatenate([[0], np.cumsum(size_V)]), buckets


def _number_buckets(buckets: NDArray[np.int32], first: int, count: int) -> NDArray[np.int32]:
    """Return the input row of each bucket: consecutive ones from `first` on; NO_ROW for others and at index NO_ROW."""
    rows = np.full(count + 1, NO_ROW, np.int32)
    rows[buckets] = np.arange(first, first + len(buckets))
    return rows
