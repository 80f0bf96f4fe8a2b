"""Adaptation of a language model to the text that it scores: cache models and dynamic evaluation.

The neural cache (Grave et al. 2017, arXiv:1612.04426) raises the probability of words that recently followed hidden
states similar to the current one:

    p_cache(w | h_t)  ~  sum over i of [w_{i+1} = w] exp(theta h_i . h_t)          the last W tokens i + 1 <= t

h_t is the input of the output layer that predicts token t + 1, theta the flatness, and W the cache size. At theta = 0
it is the unigram cache (Kuhn and De Mori 1990), the relative frequency of a word among the last W tokens:

    p_cache(w) = count of w among the last W tokens / number of tokens in the cache

An empty cache returns the model's probability. A cache has no trained parameters, is not reset at the end of a line,
and is one component of a mixture (`interpolation.py`).

Dynamic evaluation (Krause et al. 2018, arXiv:1709.07432) takes a gradient step on each segment after scoring it:

    g_i  = gradient of the mean -ln p of segment i, with the weights theta_{i-1} that predicted it
    sgd    theta_i = theta_{i-1} - rate g_i + decay (theta_0 - theta_{i-1})
    rms    theta_i = theta_{i-1} - rate g_i / (r_i + EPSILON m_i) + min(1, decay r_i / m_i) (theta_0 - theta_{i-1})
           r_i     = sqrt(mean of g_1^2 .. g_i^2),   m_i = mean of r_i over all weights

theta_0 are the trained weights, toward which all weights decay. The paper estimates r on the training text. A model
directory does not contain that text, so r is estimated on the segments scored so far, including the current one.
EPSILON is relative to m, so that the step depends neither on the scale of the loss nor on the size of the network.
Gradients do not flow across segments.

Shapes: N tokens, T queries of a block, K cached tokens, E embedding, F flatness values, P past and new tokens.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import TrainingError
from rnnkit.evaluation.perplexity import FloatArray, ScoredBlock, full_precision, ids_tensor, single_thread
from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModelNetwork, LMState, detach_state
from rnnkit.nn.kinds import DynamicMethod
from rnnkit.text import special_tokens

QUERY_BLOCK = 256
"""Tokens scored at once against the whole cache; bounds the (T, K) score matrix."""

EPSILON = 5.0
"""Damping relative to the mean RMS of the gradients: only weights with larger gradients take scaled-down steps. Of the
values from 0.1 to 20, the best for a recurrent model of Penn Treebank."""

MIN_MEAN_RMS = 1e-30
"""Lower bound of the mean RMS, against division by zero while all gradients are zero."""

CPU_CHUNK_SIZE = 1 << 15
"""Weights updated at a time on a CPU: the six arrays of a step take 768 KiB and stay in the cache."""


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


@dataclass(frozen=True)
class DynamicSettings:
    """Parameters of dynamic evaluation.

    Attributes:
        method: `rms` scales the gradient of each weight, `sgd` does not.
        rate: Learning rate.
        decay: Decay toward the trained weights per update.
        segment: Tokens per update.
    """

    method: DynamicMethod
    rate: float
    decay: float
    segment: int


class DynamicEvaluator:
    """An `Evaluator` that updates a copy of the network on the text it has scored.

    Args:
        network: The trained model; it is not changed.
        settings: Parameters of the updates.
    """

    def __init__(self, network: LanguageModelNetwork, settings: DynamicSettings) -> None:
        self._network = _without_dropout(network)
        self._settings = settings
        self._weights: list[Tensor] = list(self._network.parameters())
        self._trained = [weight.detach().clone() for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._trained]
        self._segments = self._tokens = 0
        self._reset_state()

    def evaluate(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Score the tokens of the next lines in order, a segment or the rest of one at a time.

        A segment that these lines do not complete is used for an update once the next lines complete it.

        Raises:
            TrainingError: The updates diverged: a probability is not finite.
        """
        independent_lines = self._network.config.context == "line"
        begin = 0
        for end in text.offsets[1:].tolist() if independent_lines else [len(text.ids)]:
            if independent_lines:
                self._reset_state()
            while begin < end:
                stop = min(end, begin + self._settings.segment - len(self._pending_T))
                yield self._score_segment(text.ids[begin:stop], ends=independent_lines and stop == end)
                begin = stop

    def _reset_state(self) -> None:
        """Reset the hidden state, but not the weights."""
        self._last = special_tokens.EOS
        self._state: LMState | None = None
        self._pending_T: IntArray = np.zeros(0, dtype=np.int64)

    def _score_segment(self, ids_T: IntArray, ends: bool) -> ScoredBlock:
        """Score more tokens of the segment, and update the weights if it is complete or the line ends."""
        network = self._network
        device = network.output_bias.device
        scored = len(self._pending_T)
        segment_T = np.concatenate([self._pending_T, ids_T])
        with torch.enable_grad(), torch.autocast(device.type, enabled=False), full_precision(), single_thread(device):
            target_T = ids_tensor(segment_T, device)
            input_T = torch.cat([target_T.new_tensor([self._last]), target_T[:-1]])
            state = network.initial_state(1) if self._state is None else self._state
            output = network.hidden_states(input_T.unsqueeze(0), state)
            hidden_TE = output.hidden_BTE[0]
            logits_TV = torch.nn.functional.linear(hidden_TE, network.output_weight, network.output_bias)
            log_p_T = torch.log_softmax(logits_TV, dim=-1).gather(1, target_T.unsqueeze(1)).squeeze(1)
            block = ScoredBlock(
                hidden_TE[scored:].detach(), target_T[scored:], log_p_T[scored:].detach().double().cpu().numpy()
            )
            self._check_finite(block)
            if len(segment_T) < self._settings.segment and not ends:
                self._pending_T = segment_T
                return block
            gradients = torch.autograd.grad(-log_p_T.mean(), self._weights, materialize_grads=True)
            self._update([gradient.contiguous() for gradient in gradients])
        self._last, self._state, self._pending_T = int(ids_T[-1]), detach_state(output.state), segment_T[:0]
        return block

    def _check_finite(self, block: ScoredBlock) -> None:
        if not np.isfinite(block.log_p_N).all():
            raise TrainingError(
                f"dynamic evaluation diverged after {self._tokens:,} tokens: a probability is not finite",
                f"--dynamic-rate is {self._settings.rate:g}",
                hint="lower --dynamic-rate",
                option="--dynamic-rate",
            )
        self._tokens += len(block.log_p_N)

    @torch.no_grad()
    def _update(self, gradients: list[Tensor]) -> None:
        """Apply one update of the equations at the top of this file."""
        self._segments += 1
        rate, decay = self._settings.rate, self._settings.decay
        chunks = [_split_into_chunks(tensors) for tensors in (self._weights, self._trained, gradients, self._squares)]
        if self._settings.method == "sgd":
            for weight, trained, gradient, _ in zip(*chunks, strict=True):
                difference = trained - weight
                weight.sub_(gradient, alpha=rate).add_(difference, alpha=decay)
            return
        total = torch.zeros((), device=gradients[0].device)
        for _, _, gradient, square in zip(*chunks, strict=True):
            square.addcmul_(gradient, gradient)
            total += square.sqrt().sum()
        mean = float(total) / math.sqrt(self._segments) / sum(weight.numel() for weight in self._weights)
        mean = max(mean, MIN_MEAN_RMS)
        for weight, trained, gradient, square in zip(*chunks, strict=True):
            rms = (square / self._segments).sqrt_()
            difference = (trained - weight).mul_((rms * (decay / mean)).clamp_(max=1))
            weight.addcdiv_(gradient, rms.add_(EPSILON * mean), value=-rate).add_(difference)


def _split_into_chunks(tensors: list[Tensor]) -> list[Tensor]:
    """Flatten tensors; on a CPU, split them into chunks that stay in its cache during an update."""
    return [
        chunk
        for tensor in tensors
        for chunk in torch.split(
            tensor.detach().view(-1), CPU_CHUNK_SIZE if tensor.device.type == "cpu" else tensor.numel()
        )
    ]


def reference_dynamic_step(
    weight: Tensor, trained: Tensor, gradients: list[Tensor], settings: DynamicSettings, epsilon: float = EPSILON
) -> Tensor:
    """Compute one update of a single tensor straight from the equations, as a reference.

    Args:
        weight: theta_{i-1}.
        trained: theta_0.
        gradients: g_1 to g_i.
        settings: Learning rate, decay and method.
        epsilon: See `EPSILON`.

    Returns:
        theta_i.
    """
    if settings.method == "sgd":
        return weight - settings.rate * gradients[-1] + settings.decay * (trained - weight)
    root = torch.stack([gradient**2 for gradient in gradients]).mean(dim=0).sqrt()
    mean = root.mean()
    step = settings.rate * gradients[-1] / (root + epsilon * mean)
    return weight - step + (settings.decay * root / mean).clamp(max=1) * (trained - weight)


def _without_dropout(network: LanguageModelNetwork) -> LanguageModelNetwork:
    """Copy a network without dropout, in training mode, which cuDNN requires for gradients."""
    config = dataclasses.replace(
        network.config, dropout=0.0, dropout_input=0.0, dropout_hidden=0.0, dropout_embedding=0.0, weight_drop=0.0
    )
    with torch.random.fork_rng(devices=[]):  # the random initialization is overwritten below
        copied = LanguageModelNetwork(config)
    copied.load_state_dict(network.state_dict())
    return copied.to(network.output_bias.device).train()
