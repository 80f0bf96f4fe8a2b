"""The neural cache: words that stood where the network was in a state like the present one are likely again.

    p_cache(w | h_t)  ~  sum over i of [w_{i+1} = w] exp(theta h_i . h_t)          the last W tokens i + 1 <= t

Grave et al. 2017 (arXiv:1612.04426). h_t is what the output layer sees before it predicts token t + 1, theta the
flatness, W the size. At theta 0 a word's probability is its share of the last W tokens, the unigram cache of Kuhn and
De Mori 1990. While the cache holds nothing, it says what the model says. It is one component of a mixture
(`interpolation.py`), runs on over lines, and nothing in it is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnnkit.evaluation.perplexity import FloatArray, ScoredBlock, full_precision
from rnnkit.io.npy import IntArray

QUERY_BLOCK = 256
"""Tokens looked up at once, each in the part of the cache that it may see."""


class NeuralCache:
    """What was read lately, with the states that it was read in.

    Args:
        size: Tokens remembered.
        flatnesses: Values of theta, each of which gives a row of probabilities.
    """

    def __init__(self, size: int, flatnesses: Sequence[float]) -> None:
        self._size = size
        self._flatnesses = tuple(flatnesses)
        self._key_KE: Tensor | None = None
        self._word_K: Tensor | None = None

    def score(self, block: ScoredBlock) -> FloatArray:
        """Natural logarithm of the probability of each target, a row a flatness (F, N); then remember the block."""
        rows = range(0, len(block.target_N), QUERY_BLOCK)
        parts = [
            self._score(block.hidden_NE[row : row + QUERY_BLOCK], block.target_N[row : row + QUERY_BLOCK])
            for row in rows
        ]
        found_FN = np.concatenate([np.zeros((len(self._flatnesses), 0)), *parts], axis=1)
        return np.where(np.isnan(found_FN), block.log_p_N, found_FN)

    @torch.no_grad()
    def _score(self, hidden_TE: Tensor, target_T: Tensor) -> FloatArray:
        """The same for some rows; no number where nothing is remembered yet."""
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
    """The logarithm of the share that what is not `other` has in what is not `unseen`, if anything is seen."""
    weight_TK = score_TK.exp_().masked_fill_(unseen_TK, 0)
    all_T = weight_TK.sum(dim=1)
    return (weight_TK.masked_fill_(other_TK, 0).sum(dim=1) / all_T).log()


def reference_cache_distribution(
    hidden_NE: Tensor, target_N: Tensor, size: int, flatness: float, vocabulary: int
) -> list[Tensor | None]:
    """The equation of this file's head, step by step: for each token the distribution (V,) that predicts it.

    None stands where the cache holds nothing.
    """
    found: list[Tensor | None] = [None]
    for step in range(1, len(target_N)):
        seen = slice(max(0, step - size), step)
        weight_K = torch.softmax(flatness * (hidden_NE[seen] @ hidden_NE[step]), dim=0)
        found.append(torch.zeros(vocabulary).index_add_(0, target_N[seen], weight_K))
    return found


class UnigramCache:
    """The last tokens.

    Args:
        size: How many are remembered.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._past = np.zeros(0, dtype=np.int64)

    def score(self, target_N: IntArray, log_p_N: FloatArray) -> FloatArray:
        """Natural logarithm of the probability of each token (N,); then remember them.

        Args:
            target_N: The next tokens.
            log_p_N: What the model says of them.
        """
        text_P = np.concatenate([self._past, target_N.astype(np.int64)])
        place_N = np.arange(len(self._past), len(text_P))
        self._past = text_P[-self._size :]
        first_N = np.maximum(0, place_N - self._size)
        # One number for a word and a place: those of a word lie together, in the order of the text.
        key_P = np.sort(text_P * len(text_P) + np.arange(len(text_P)))
        base_N = text_P[place_N] * len(text_P)
        count_N = np.searchsorted(key_P, base_N + place_N) - np.searchsorted(key_P, base_N + first_N)
        with np.errstate(divide="ignore"):
            found_N = np.log(count_N / np.maximum(1, place_N - first_N))
        return np.where(place_N == 0, log_p_N, found_N)
