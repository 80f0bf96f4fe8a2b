"""Dynamic evaluation: the model learns from each piece of the text as soon as it has predicted it.

    g_i  = gradient of the mean -ln p of segment i, with the weights theta_{i-1} that predicted it
    sgd    theta_i = theta_{i-1} - rate g_i + decay (theta_0 - theta_{i-1})
    rms    theta_i = theta_{i-1} - rate g_i / (r_i + EPSILON m_i) + min(1, decay r_i / m_i) (theta_0 - theta_{i-1})
           r_i     = sqrt(mean of g_1^2 .. g_i^2),   m_i = mean of r_i over all weights

Krause et al. 2018 (arXiv:1709.07432), with theta_0 the trained weights, to which all weights are drawn back. The paper
takes r from a pass over the training text. A model directory does not hold that text, so r is taken from the
segments read so far, the present one among them, which has been predicted by then. EPSILON counts in m, so that the
step depends neither on the scale of the loss nor on the size of the network. No gradient flows from one segment to
another.
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
from rnnkit.models.language_model import LanguageModel, LMState, detach_state
from rnnkit.nn.kinds import DynamicMethod
from rnnkit.text import special_tokens

EPSILON = 5.0
"""Weights whose gradients are smaller than so many times the mean move as with `sgd`; only steeper ones are held back.
Of the values from 0.1 to 20, this one served a recurrent model of Penn Treebank best."""

MIN_MEAN_RMS = 1e-30
"""Stands for a mean of zero, where no gradient was anything yet."""

CPU_CHUNK_SIZE = 1 << 15
"""Weights changed at a time: six such pieces are 768 kB."""


@dataclass(frozen=True)
class DynamicSettings:
    """How the model learns while it reads.

    Attributes:
        method: `rms` or `sgd`.
        rate: Length of a step.
        decay: Share of the way back to the trained weights that is gone after each segment.
        segment: Tokens predicted between two steps.
    """

    method: DynamicMethod
    rate: float
    decay: float
    segment: int


class DynamicEvaluator:
    """Reads as `perplexity.make_reader`'s readers do, with a copy of the network that learns from what it has read.

    Args:
        network: The trained model; stays as it is.
        settings: How the copy learns.
    """

    def __init__(self, network: LanguageModel, settings: DynamicSettings) -> None:
        self._network = _without_dropout(network)
        self._settings = settings
        self._weights: list[Tensor] = list(self._network.parameters())
        self._trained = [weight.detach().clone() for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._trained]
        self._segments = self._tokens = 0
        self._begin()

    def read(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Predict the tokens of the next lines, in order, a segment or its rest at a time.

        A segment that the lines leave unfinished is learned from once the next lines have finished it.

        Raises:
            TrainingError: The steps are too long: probabilities are no longer numbers.
        """
        alone = self._network.config.context == "line"
        begin = 0
        for end in text.offsets[1:].tolist() if alone else [len(text.ids)]:
            if alone:
                self._begin()
            while begin < end:
                stop = min(end, begin + self._settings.segment - len(self._pending_T))
                yield self._read(text.ids[begin:stop], ends=alone and stop == end)
                begin = stop

    def _begin(self) -> None:
        """Forget what was read, but not what was learned from it."""
        self._last = special_tokens.EOS
        self._state: LMState | None = None
        self._pending_T: IntArray = np.zeros(0, dtype=np.int64)

    def _read(self, ids_T: IntArray, ends: bool) -> ScoredBlock:
        """Predict more tokens of the segment, and learn from the segment where it is full or the line ends."""
        network = self._network
        device = network.output_bias.device
        seen = len(self._pending_T)
        segment_T = np.concatenate([self._pending_T, ids_T])
        with torch.enable_grad(), torch.autocast(device.type, enabled=False), full_precision(), single_thread(device):
            target_T = ids_tensor(segment_T, device)
            input_T = torch.cat([target_T.new_tensor([self._last]), target_T[:-1]])
            state = network.initial_state(1) if self._state is None else self._state
            reading = network.hidden_states(input_T.unsqueeze(0), state)
            hidden_TE = reading.hidden_BTE[0]
            logits_TV = torch.nn.functional.linear(hidden_TE, network.output_weight, network.output_bias)
            log_p_T = torch.log_softmax(logits_TV, dim=-1).gather(1, target_T.unsqueeze(1)).squeeze(1)
            found = ScoredBlock(
                hidden_TE[seen:].detach(), target_T[seen:], log_p_T[seen:].detach().double().cpu().numpy()
            )
            self._check(found)
            if len(segment_T) < self._settings.segment and not ends:
                self._pending_T = segment_T
                return found
            slopes = torch.autograd.grad(-log_p_T.mean(), self._weights, materialize_grads=True)
            self._learn([slope.contiguous() for slope in slopes])
        self._last, self._state, self._pending_T = int(ids_T[-1]), detach_state(reading.state), segment_T[:0]
        return found

    def _check(self, found: ScoredBlock) -> None:
        if not np.isfinite(found.log_p_N).all():
            raise TrainingError(
                f"dynamic evaluation diverged after {self._tokens:,} tokens: probabilities are no longer numbers",
                f"--dynamic-rate is {self._settings.rate:g}",
                hint="a lower --dynamic-rate helps",
            )
        self._tokens += len(found.log_p_N)

    @torch.no_grad()
    def _learn(self, gradient: list[Tensor]) -> None:
        """One step of this file's head."""
        self._segments += 1
        rate, decay = self._settings.rate, self._settings.decay
        pieces = [_cut(tensors) for tensors in (self._weights, self._trained, gradient, self._squares)]
        if self._settings.method == "sgd":
            for weight, trained, slope, _ in zip(*pieces, strict=True):
                back = trained - weight
                weight.sub_(slope, alpha=rate).add_(back, alpha=decay)
            return
        total = torch.zeros((), device=gradient[0].device)
        for _, _, slope, square in zip(*pieces, strict=True):
            square.addcmul_(slope, slope)
            total += square.sqrt().sum()
        mean = float(total) / math.sqrt(self._segments) / sum(weight.numel() for weight in self._weights)
        mean = max(mean, MIN_MEAN_RMS)
        for weight, trained, slope, square in zip(*pieces, strict=True):
            root = (square / self._segments).sqrt_()
            back = (trained - weight).mul_((root * (decay / mean)).clamp_(max=1))
            weight.addcdiv_(slope, root.add_(EPSILON * mean), value=-rate).add_(back)


def _cut(tensors: list[Tensor]) -> list[Tensor]:
    """The numbers of all tensors, on a CPU in pieces that stay in its cache while a step is computed."""
    return [
        piece
        for tensor in tensors
        for piece in torch.split(
            tensor.detach().view(-1), CPU_CHUNK_SIZE if tensor.device.type == "cpu" else tensor.numel()
        )
    ]


def reference_dynamic_step(
    weight: Tensor, trained: Tensor, gradients: list[Tensor], settings: DynamicSettings, epsilon: float = EPSILON
) -> Tensor:
    """One step of a single tensor, as this file's head says it.

    Args:
        weight: theta_{i-1}.
        trained: theta_0.
        gradients: g_1 to g_i.
        settings: Rate, decay and method.
        epsilon: As `EPSILON`.

    Returns:
        theta_i.
    """
    if settings.method == "sgd":
        return weight - settings.rate * gradients[-1] + settings.decay * (trained - weight)
    root = torch.stack([gradient**2 for gradient in gradients]).mean(dim=0).sqrt()
    mean = root.mean()
    step = settings.rate * gradients[-1] / (root + epsilon * mean)
    return weight - step + (settings.decay * root / mean).clamp(max=1) * (trained - weight)


def _without_dropout(network: LanguageModel) -> LanguageModel:
    """A copy in training mode, which cuDNN wants where gradients are taken, that drops nothing."""
    config = dataclasses.replace(
        network.config, dropout=0.0, dropout_input=0.0, dropout_hidden=0.0, dropout_embedding=0.0, weight_drop=0.0
    )
    with torch.random.fork_rng(devices=[]):  # a new network draws its weights, which are overwritten here
        copied = LanguageModel(config)
    copied.load_state_dict(network.state_dict())
    return copied.to(network.output_bias.device).train()
