"""Cache language models: the neural cache, and the unigram cache for n-gram models.

The neural cache (Grave et al. 2017, arXiv:1612.04426) raises the probability of words that recently followed hidden
states similar to the current one:

    p_cache(w | h_t)  ~  sum over i of [w_{i+1} = w] exp(theta h_i . h_t)          the last W tokens i + 1 <= t

h_t is the input of the output layer that predicts token t + 1, theta the flatness, and W the cache size. At theta = 0
it is the unigram cache (Kuhn and De Mori 1990), the relative frequency of a word among the last W tokens:

    p_cache(w) = count of w among the last W tokens / number of tokens in the cache

An empty cache returns the model's probability. A cache has no trained parameters, is not reset at the end of a line,
and is one component of a mixture (`interpolation.py`).

Shapes: N tokens, T queries of a block, K cached tokens, E embedding, F flatness values, P past and new tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnnkit.evaluation.perplexity import FloatArray, ScoredBlock, full_precision
from rnnkit.io.npy import IntArray

QUERY_BLOCK = 256
"""Tokens scored at once against the whole cache; bounds the (T, K) score matrix."""


class NeuralCache:
    """The last tokens with the hidden states that preceded them.

    Args:
        size: Maximum number of cached tokens, W.
        flatnesses: Values of theta; the cache computes a row of probabilities for each.
    """

    def __init__(self, size: int, flatnesses: Sequence[float]) -> None:
        self._size = size
        self._flatnesses = tuple(flatnesses)
        self._key_KE: Tensor | None = None
        self._word_K: Tensor | None = None

    def score(self, block: ScoredBlock) -> FloatArray:
        """Compute ln p of each target for each flatness, (F, N), then add the block to the cache."""
        rows = range(0, len(block.target_N), QUERY_BLOCK)
        parts = [
            self._score(block.hidden_NE[row : row + QUERY_BLOCK], block.target_N[row : row + QUERY_BLOCK])
            for row in rows
        ]
        found_FN = np.concatenate([np.zeros((len(self._flatnesses), 0)), *parts], axis=1)
        return np.where(np.isnan(found_FN), block.log_p_N, found_FN)

    @torch.no_grad()
    def _score(self, hidden_TE: Tensor, target_T: Tensor) -> FloatArray:
        """Compute ln p of one block of queries, (F, T); NaN while the cache is empty."""
        hidden_TE = hidden_TE.detach().float()
        key_KE = hidden_TE if self._key_KE is None else torch.cat([self._key_KE, hidden_TE])
        word_K = target_T if self._word_K is None else torch.cat([self._word_K, target_T])
        before = len(key_KE) - len(hidden_TE)
        self._key_KE, self._word_K = key_KE[-self._size :], word_K[-self._size :]
        place_K = torch.arange(len(key_KE), device=key_KE.device)
        last_T1 = place_K[before:].unsqueeze(1)
        unseen_TK = (place_K >= last_T1) | (place_K < last_T1 - self._size)
        other_TK = unseen_TK | (word_K != target_T.unsqueeze(1))
        with full_precision():
            score_TK = hidden_TE @ key_KE.T
        score_TK -= score_TK.masked_fill(unseen_TK, -torch.inf).amax(dim=1, keepdim=True)
        found = [_log_share(flatness * score_TK, unseen_TK, other_TK) for flatness in self._flatnesses]
        return torch.stack(found).double().cpu().numpy()


def _log_share(score_TK: Tensor, unseen_TK: Tensor, other_TK: Tensor) -> Tensor:
    """Compute the log of the visible weight on the target over all visible weight; NaN if nothing is visible."""
    weight_TK = score_TK.exp_().masked_fill_(unseen_TK, 0)
    all_T = weight_TK.sum(dim=1)
    return (weight_TK.masked_fill_(other_TK, 0).sum(dim=1) / all_T).log()


def reference_cache_distribution(
    hidden_NE: Tensor, target_N: Tensor, size: int, flatness: float, vocabulary: int
) -> list[Tensor | None]:
    """Evaluate the equation of the neural cache token by token, as a reference.

    Returns:
        For each token the distribution (V,) that predicts it; None while the cache is empty.
    """
    found: list[Tensor | None] = [None]
    for step in range(1, len(target_N)):
        seen = slice(max(0, step - size), step)
        weight_K = torch.softmax(flatness * (hidden_NE[seen] @ hidden_NE[step]), dim=0)
        found.append(torch.zeros(vocabulary).index_add_(0, target_N[seen], weight_K))
    return found


class UnigramCache:
    """The last tokens of a text.

    Args:
        size: Maximum number of cached tokens, W.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._past = np.zeros(0, dtype=np.int64)

    def score(self, target_N: IntArray, log_p_N: FloatArray) -> FloatArray:
        """Compute ln p of each token, (N,), then add the tokens to the cache.

        Args:
            target_N: The next tokens.
            log_p_N: Their log-probabilities under the model, used while the cache is empty.
        """
        text_P = np.concatenate([self._past, target_N.astype(np.int64)])
        position_N = np.arange(len(self._past), len(text_P))
        self._past = text_P[-self._size :]
        first_N = np.maximum(0, position_N - self._size)
        # Keys of (word, position), sorted: binary search then counts a word between two positions.
        key_P = np.sort(text_P * len(text_P) + np.arange(len(text_P)))
        base_N = text_P[position_N] * len(text_P)
        count_N = np.searchsorted(key_P, base_N + position_N) - np.searchsorted(key_P, base_N + first_N)
        with np.errstate(divide="ignore"):
            cache_log_p_N = np.log(count_N / np.maximum(1, position_N - first_N))
        return np.where(position_N == 0, log_p_N, cache_log_p_N)
