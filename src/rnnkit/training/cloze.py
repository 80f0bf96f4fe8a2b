"""Filling gaps as a task of the loop: one batch of lines, every token of them a gap once, one step of the optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batching
from rnnkit.data.aligned import Sentences
from rnnkit.models import cloze
from rnnkit.models.cloze import Cloze
from rnnkit.nn.device import autocast
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.loop import StepReport
from rnnkit.training.optimisation import Optimisation
from rnnkit.training.signals import Stop

VALIDATION_TOKENS = 4096
"""Token budget of a validation batch."""


@dataclass(frozen=True)
class Settings:
    """What is optimised.

    Attributes:
        precision: Type of the matrix products.
        output_precision: Type of the output layer's products; as `precision` unless given.
    """

    precision: torch.dtype
    output_precision: torch.dtype | None = None


class ClozeTask:
    """Trains a network on lines.

    Args:
        network: What learns.
        lines: The training part.
        settings: What is optimised.
        optimisation: How weights change.
    """

    def __init__(self, network: Cloze, lines: Sentences, settings: Settings, optimisation: Optimisation) -> None:
        self._network = network
        self._lines = lines
        self._settings = settings
        self._optimisation = optimisation
        network.train()

    def step(self, batch: NDArray[np.int64], rate: float) -> StepReport:
        """One step on the lines of these numbers. Tokens are those predicted: the end symbols are not."""
        device = self._optimisation.device
        ids_BT, lengths_B = gather(self._lines, batch, device)
        tokens = int(lengths_B.sum()) - len(lengths_B)
        with autocast(device, self._settings.precision):
            loss = self._network.loss(ids_BT, lengths_B, self._settings.output_precision)
        norm = self._optimisation.step(loss / max(1, tokens), rate)
        return StepReport(loss.item(), loss.item(), tokens, norm)

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps; nothing is carried from batch to batch."""
        return self._optimisation.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        self._optimisation.load_state_dict(state)

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        self._optimisation.keep(name, facts)


def gather(lines: Sentences, batch: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """The lines of these numbers: ids (B, T) with EOS, padded on the right, and lengths (B,)."""
    ids_BT, lengths_B = batching.pad([lines[int(index)] for index in batch])
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(lengths_B).to(device)


@torch.no_grad()
def mean_nll(network: Cloze, lines: Sentences, stop: Stop) -> float | None:
    """Negative log-likelihood of a token given both its sides, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    was_training = network.training
    network.eval()
    try:
        for batch in batching.plan_epoch([lines.lengths()], VALIDATION_TOKENS, seed=0, epoch=0):
            if stop:
                return None
            ids_BT, lengths_B = gather(lines, batch, device)
            real_BT = cloze.places(ids_BT, lengths_B)
            nll_N = network.nll(network.read(ids_BT, lengths_B)[real_BT], ids_BT[real_BT])
            total += nll_N.double().sum().item()
            tokens += len(nll_N)
    finally:
        network.train(was_training)
    return total / max(1, tokens)
