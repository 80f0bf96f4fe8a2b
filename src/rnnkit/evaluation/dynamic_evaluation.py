"""Dynamic evaluation: gradient steps on each segment of a text after scoring it (Krause et al. 2018, arXiv:1709.07432).

    g_i  = gradient of the mean -ln p of segment i, with the weights theta_{i-1} that predicted it
    sgd    theta_i = theta_{i-1} - rate g_i + decay (theta_0 - theta_{i-1})
    rms    theta_i = theta_{i-1} - rate g_i / (r_i + EPSILON m_i) + min(1, decay r_i / m_i) (theta_0 - theta_{i-1})
           r_i     = sqrt(mean of g_1^2 .. g_i^2),   m_i = mean of r_i over all weights

theta_0 are the trained weights, toward which all weights decay. The paper estimates r on the training text. A model
directory does not contain that text, so r is estimated on the segments scored so far, including the current one.
EPSILON is relative to m, so that the step depends neither on the scale of the loss nor on the size of the network.
Gradients do not flow across segments.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import TrainingError
from rnnkit.evaluation.perplexity import ScoredBlock, full_precision, ids_tensor, single_thread
from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModelNetwork, LMState, detach_state
from rnnkit.nn.kinds import DynamicMethod
from rnnkit.text import special_tokens

EPSILON = 5.0
"""Damping relative to the mean RMS of the gradients: only weights with larger gradients take scaled-down steps. Of the
values from 0.1 to 20, the best for a recurrent model of Penn Treebank."""

MIN_MEAN_RMS = 1e-30
"""Lower bound of the mean RMS, against division by zero while all gradients are zero."""

CPU_CHUNK_SIZE = 1 << 15
"""Weights updated at a time on a CPU: the six arrays of a step take 768 KiB and stay in the cache."""


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
