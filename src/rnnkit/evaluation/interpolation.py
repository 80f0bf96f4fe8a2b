"""Linear mixtures of language models, and the weights that fit a text best.

    p(w) = sum over k of v_k p_k(w)          v_k >= 0, sum v_k = 1        Jelinek and Mercer 1980

The weights are found by expectation maximisation (Dempster et al. 1977): each round gives a component the mean share
that it had in the probability of a token, and no round lowers the likelihood,

    v_k <- mean over t of  v_k p_k(w_t) / sum over j of v_j p_j(w_t)

Weights that are given stay what they are; the others share what is left in proportion to their means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset

FloatArray = NDArray[np.float64]

MAX_EM_ITERATIONS = 1000
"""Most rounds of expectation maximisation."""

MIN_LIKELIHOOD_GAIN = 1e-9
"""Rounds end with one that gains less, in nats a token."""


def interpolate(log_p_KN: FloatArray, weights_K: FloatArray) -> FloatArray:
    """Natural logarithm of the mixture's probability of each token (N,).

    Args:
        log_p_KN: Those of the components; minus infinity where one rules a token out.
        weights_K: Their weights, which sum to one.
    """
    if len(weights_K) == 1:
        return np.array(log_p_KN[0])
    top_N, share_KN = _scale(log_p_KN)
    with np.errstate(divide="ignore"):
        mixed_N: FloatArray = top_N + np.log(weights_K @ share_KN)
    return mixed_N


def fit_weights(log_p_KN: FloatArray, given: Sequence[float | None]) -> FloatArray:
    """The weights (K,) under which a text is most probable.

    Args:
        log_p_KN: Natural logarithm of the probability that each component gives to each token of the text.
        given: Weights that are fixed, None for those to be found; the fixed ones sum to at most one, and to one where
            there is nothing to be found.
    """
    free_K = np.array([weight is None for weight in given])
    weights_K = np.array([0.0 if weight is None else weight for weight in given])
    rest = 1.0 - float(weights_K.sum())
    if not free_K.any():
        return weights_K
    weights_K[free_K] = rest / free_K.sum()
    _, share_KN = _scale(log_p_KN)
    share_KN = share_KN[:, weights_K @ share_KN > 0]
    reached = -np.inf
    for _ in range(MAX_EM_ITERATIONS):
        mixed_N = weights_K @ share_KN
        likelihood = float(np.log(mixed_N).mean()) if len(mixed_N) else 0.0
        if likelihood - reached < MIN_LIKELIHOOD_GAIN:
            break
        reached = likelihood
        found_K = weights_K * (share_KN @ (1 / mixed_N))
        if found_K[free_K].sum() > 0:
            weights_K[free_K] = rest * found_K[free_K] / found_K[free_K].sum()
    return weights_K


def _scale(log_p_KN: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The greatest logarithm of each token (N,), and every component's probability as a share of that one (K, N)."""
    top_N = log_p_KN.max(axis=0)
    safe_N = np.where(np.isneginf(top_N), 0.0, top_N)
    return safe_N, np.exp(log_p_KN - safe_N)


if TYPE_CHECKING:
    from rnnkit.evaluation.cache_models import NeuralCache, UnigramCache
    from rnnkit.evaluation.perplexity import Evaluator
    from rnnkit.ngrams.ngram_model import NgramModel


class MixtureComponent(Protocol):
    """A model that goes on reading where it stopped."""

    def rows(self, text: SentenceDataset) -> FloatArray:
        """Natural logarithm of the probability of each token of the next lines, shape (rows, N)."""
        ...


class NeuralComponent:
    """A neural model.

    Args:
        reader: Reads with it.
        cache: What stands beside it, if anything.
    """

    def __init__(self, reader: Evaluator, cache: NeuralCache | None = None) -> None:
        self._reader = reader
        self._cache = cache

    def rows(self, text: SentenceDataset) -> FloatArray:
        """The model's row, then the cache's, one a flatness."""
        blocks = []
        for block in self._reader.read(text):
            own_1N = block.log_p_N[np.newaxis]
            blocks.append(own_1N if self._cache is None else np.concatenate([own_1N, self._cache.score(block)]))
        return np.concatenate(blocks, axis=1)


class NgramComponent:
    """A counted model. Each of its lines starts from nothing; its cache runs on.

    Args:
        model: The n-grams.
        cache: What stands beside them, if anything.
    """

    def __init__(self, model: NgramModel, cache: UnigramCache | None = None) -> None:
        self._model = model
        self._cache = cache

    def rows(self, text: SentenceDataset) -> FloatArray:
        """The model's row, then the cache's."""
        log_p_N = self._model.score(text.ids, text.offsets)
        rows = [log_p_N] if self._cache is None else [log_p_N, self._cache.score(text.ids, log_p_N)]
        return np.stack(rows)
