"""Filling gaps as a task of the loop: batches of lines, every token of them a gap once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.models import cloze
from rnnkit.models.cloze import Cloze
from rnnkit.nn.device import autocast
from rnnkit.training import validation
from rnnkit.training.network_task import Measured, NetworkTask
from rnnkit.training.optimisation import Optimisation
from rnnkit.training.signals import Stop


@dataclass(frozen=True)
class Settings:
    """What is optimised.

    Attributes:
        precision: Type of the matrix products.
        output_precision: Type of the output layer's products; as `precision` unless given.
    """

    precision: torch.dtype
    output_precision: torch.dtype | None = None


class ClozeTask(NetworkTask[NDArray[np.int64]]):
    """Trains a network on lines.

    Args:
        network: What learns.
        lines: The training part.
        settings: What is optimised.
        optimisation: How weights change.
    """

    def __init__(self, network: Cloze, lines: SentenceDataset, settings: Settings, optimisation: Optimisation) -> None:
        super().__init__(network, optimisation)
        self._network = network
        self._lines = lines
        self._settings = settings

    def measure(self, batch: NDArray[np.int64], part: int) -> Measured:
        """The loss of the lines of these numbers. Tokens are those predicted: the end symbols are not."""
        ids_BT, lengths_B = gather(self._lines, batch, self._device)
        tokens = int(lengths_B.sum()) - len(lengths_B)
        with autocast(self._device, self._settings.precision):
            loss = self._network.loss(ids_BT, lengths_B, self._settings.output_precision)
        return Measured(loss / max(1, tokens), loss.detach(), tokens)


def gather(lines: SentenceDataset, batch: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """The lines of these numbers: ids (B, T) with EOS, padded on the right, and lengths (B,)."""
    ids_BT, lengths_B = batch_sampler.pad_sequences([lines[int(index)] for index in batch])
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(lengths_B).to(device)


def mean_nll(network: Cloze, lines: SentenceDataset, stop: Stop) -> float | None:
    """Negative log-likelihood of a token given both its sides, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """

    def measure(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        ids_BT, lengths_B = gather(lines, batch, device)
        real_BT = cloze.places(ids_BT, lengths_B)
        nll_N = network.nll(network.read(ids_BT, lengths_B)[real_BT], ids_BT[real_BT])
        return nll_N.double().sum().item(), len(nll_N)

    return validation.mean_nll(network, [lines], measure, stop)
