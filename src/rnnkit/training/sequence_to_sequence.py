"""Sequence-to-sequence learning as a task of the loop: one batch of sentence pairs, one step of Adam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batching
from rnnkit.data.aligned import Sentences
from rnnkit.models import weights
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn.device import autocast
from rnnkit.nn.kinds import Optimizer
from rnnkit.text import special
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.loop import StepReport
from rnnkit.training.signals import Stop

VALIDATION_TOKENS = 4096
"""Token budget of a validation batch."""


@dataclass(frozen=True)
class Settings:
    """How to learn.

    Attributes:
        optimizer: `adam` adds the weight decay to the gradient, `adamw` takes it off the weights.
        weight_decay: Strength of the weight decay.
        clip: Norm to which a longer gradient is shortened.
        smoothing: Label smoothing.
        precision: Type of the matrix products.
        keep_last: Snapshots of the weights kept for averaging.
    """

    optimizer: Optimizer
    weight_decay: float
    clip: float
    smoothing: float
    precision: torch.dtype
    keep_last: int


class SequenceToSequenceTask:
    """Trains a network on pairs of sentences.

    Args:
        network: What learns.
        source: Source sentences of the training part.
        target: Target sentences, in the same order.
        settings: How.
        folder: The model directory.
    """

    def __init__(
        self, network: SequenceToSequence, source: Sentences, target: Sentences, settings: Settings, folder: Path
    ) -> None:
        self._network = network
        self._source = source
        self._target = target
        self._settings = settings
        self._folder = folder
        self._device = next(network.parameters()).device
        self._parameters = weights.own_tensors(network)
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        self._optimiser = kind(network.parameters(), lr=0.0, weight_decay=settings.weight_decay, fused=True)
        network.train()

    def step(self, batch: NDArray[np.int64], rate: float) -> StepReport:
        """One step on the sentences of these numbers."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        pairs = gather_pairs(self._source, self._target, batch, self._device)
        tokens = int((pairs.target_BT != special.PAD).sum())
        with autocast(self._device, self._settings.precision):
            loss, nll = self._network.loss(
                pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, self._settings.smoothing
            )
        self._optimiser.zero_grad()
        torch.autograd.backward(loss / tokens)
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip)
        self._optimiser.step()
        return StepReport(loss.item(), nll.item(), tokens, norm.item())

    def state_dict(self) -> Mapping[str, Arrays]:
        """Weights, Adam's moments, and the states of the random number generators."""
        optimiser: dict[str, NDArray[Any]] = {}
        for name, parameter in self._network.named_parameters():
            for key, value in self._optimiser.state[parameter].items():
                optimiser[f"{name}:{key}"] = _array(value)
        random = {"cpu": torch.get_rng_state().numpy()}
        if self._device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state().numpy()
        own = {name: _array(tensor) for name, tensor in self._parameters.items()}
        return {"weights": own, "optimiser": optimiser, "random": random}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        tensors = {name: torch.from_numpy(array) for name, array in state["weights"].items()}
        weights.restore(self._network, tensors, self._folder / "last" / "weights.safetensors")
        for name, parameter in self._network.named_parameters():
            keys = [key for key in state["optimiser"] if key.startswith(f"{name}:")]
            self._optimiser.state[parameter] = {
                key.rpartition(":")[2]: torch.from_numpy(state["optimiser"][key].copy()).to(self._device)
                for key in keys
            }
        torch.set_rng_state(torch.from_numpy(state["random"]["cpu"].copy()))
        if self._device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(torch.from_numpy(state["random"]["cuda"].copy()))

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        if name != "snapshot":
            weights.save(self._folder / f"{name}.safetensors", self._parameters, facts)
        elif self._settings.keep_last:
            snapshots = self._folder / "snapshots"
            weights.save(snapshots / f"step-{facts['step']:08d}.safetensors", self._parameters, facts)
            for old in sorted(snapshots.glob("step-*.safetensors"))[: -self._settings.keep_last]:
                old.unlink()


@dataclass(frozen=True)
class Pairs:
    """A batch as the network reads it; ids padded on the right."""

    source_BS: Tensor
    lengths_B: Tensor
    input_BT: Tensor
    target_BT: Tensor


def gather_pairs(source: Sentences, target: Sentences, batch: NDArray[np.int64], device: torch.device) -> Pairs:
    """Put the sentences of these numbers together."""
    source_BS, lengths_B = batching.pad([source[int(index)] for index in batch])
    target_BT, _ = batching.pad([target[int(index)] for index in batch])
    arrays = (source_BS, lengths_B, batching.shift_right(target_BT), target_BT)
    return Pairs(*(torch.from_numpy(array).to(device) for array in arrays))


@torch.no_grad()
def mean_nll(network: SequenceToSequence, source: Sentences, target: Sentences, stop: Stop) -> float | None:
    """Negative log-likelihood of a target token, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    was_training = network.training
    network.eval()
    try:
        for batch in batching.plan_epoch([source.lengths(), target.lengths()], VALIDATION_TOKENS, seed=0, epoch=0):
            if stop:
                return None
            pairs = gather_pairs(source, target, batch, device)
            _, nll = network.loss(pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, 0.0)
            total += nll.item()
            tokens += int((pairs.target_BT != special.PAD).sum())
    finally:
        network.train(was_training)
    return total / max(1, tokens)


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()
