"""Linear interpolation of language models, with maximum-likelihood weights (Jelinek and Mercer 1980).

    p(w) = sum over k of v_k p_k(w)          v_k >= 0, sum v_k = 1

Expectation maximization (EM; Dempster et al. 1977) fits the weights on held-out text. An iteration sets each weight to
the mean posterior probability of its component, and never lowers the likelihood:

    v_k <- mean over t of  v_k p_k(w_t) / sum over j of v_j p_j(w_t)

Given weights stay fixed; the others share the remaining mass in proportion to their means.

Shapes: K components, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset

FloatArray = NDArray[np.float64]

MAX_EM_ITERATIONS = 1000
"""Maximum number of EM iterations."""

MIN_LIKELIHOOD_GAIN = 1e-9
"""EM stops when an iteration gains less than this, in nats per token."""


def interpolate(log_p_KN: FloatArray, weights_K: FloatArray) -> FloatArray:
    """Compute ln p of each token under the mixture, (N,).

    Args:
        log_p_KN: Log-probabilities under the components; -inf for a probability of zero.
        weights_K: Weights of the components, which sum to 1.
    """
    if len(weights_K) == 1:
        return np.array(log_p_KN[0])
    top_N, share_KN = _scale(log_p_KN)
    with np.errstate(divide="ignore"):
        mixed_N: FloatArray = top_N + np.log(weights_K @ share_KN)
    return mixed_N


def fit_weights(log_p_KN: FloatArray, given: Sequence[float | None]) -> FloatArray:
    """Fit the weights (K,) that maximize the likelihood of a text.

    Args:
        log_p_KN: Log-probabilities of the tokens under the components.
        given: Fixed weights, None for those to fit. The fixed weights sum to at most 1, and to 1 if all are fixed.
    """
    free_K = np.array([weight is None for weight in given])
    weights_K = np.array([0.0 if weight is None else weight for weight in given])
    rest = 1.0 - float(weights_K.sum())
    if not free_K.any():
        return weights_K
    weights_K[free_K] = rest / free_K.sum()
    _, share_KN = _scale(log_p_KN)
    share_KN = share_KN[:, weights_K @ share_KN > 0]
    best_likelihood = -np.inf
    for _ in range(MAX_EM_ITERATIONS):
        mixed_N = weights_K @ share_KN
        likelihood = float(np.log(mixed_N).mean()) if len(mixed_N) else 0.0
        if likelihood - best_likelihood < MIN_LIKELIHOOD_GAIN:
            break
        best_likelihood = likelihood
        posterior_K = weights_K * (share_KN @ (1 / mixed_N))
        if posterior_K[free_K].sum() > 0:
            weights_K[free_K] = rest * posterior_K[free_K] / posterior_K[free_K].sum()
    return weights_K


def _scale(log_p_KN: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the maximum log-probability of each token, (N,), and all probabilities relative to it, (K, N)."""
    top_N = log_p_KN.max(axis=0)
    safe_N = np.where(np.isneginf(top_N), 0.0, top_N)
    return safe_N, np.exp(log_p_KN - safe_N)


if TYPE_CHECKING:
    from rnnkit.evaluation.cache_models import NeuralCache, UnigramCache
    from rnnkit.evaluation.perplexity import Evaluator
    from rnnkit.ngrams.ngram_model import BackoffModel


class MixtureComponent(Protocol):
    """A model that scores a text in consecutive blocks of lines and keeps its state between them."""

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p of each token of the next lines: a row for the model, then a row per setting of its cache."""
        ...


class NeuralComponent:
    """A neural model with an optional neural cache.

    Args:
        evaluator: Scores text with the model.
        cache: The cache.
    """

    def __init__(self, evaluator: Evaluator, cache: NeuralCache | None = None) -> None:
        self._evaluator = evaluator
        self._cache = cache

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p: a row for the model, then a row for each flatness of the cache."""
        blocks = []
        for block in self._evaluator.evaluate(text):
            model_1N = block.log_p_N[np.newaxis]
            blocks.append(model_1N if self._cache is None else np.concatenate([model_1N, self._cache.score(block)]))
        return np.concatenate(blocks, axis=1)


class NgramComponent:
    """An n-gram model with an optional unigram cache. The context is reset at each line, the cache is not.

    Args:
        model: The n-gram model.
        cache: The cache.
    """

    def __init__(self, model: BackoffModel, cache: UnigramCache | None = None) -> None:
        self._model = model
        self._cache = cache

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p: a row for the model, then one for the cache."""
        log_p_N = self._model.score(text.ids, text.offsets)
        rows = [log_p_N] if self._cache is None else [log_p_N, self._cache.score(text.ids, log_p_N)]
        return np.stack(rows)
