"""The mean negative log-likelihood over a split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.training.signals import StopRequest
from rnnkit.training.training_step import VALIDATION_BATCH_TOKENS, mean_nll

LENGTHS = (3, 7, 5, 1)


def sentences(lengths: tuple[int, ...]) -> SentenceDataset:
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return SentenceDataset(np.full(offsets[-1], 4, dtype=np.int32), offsets, padded=False)


def test_validation_weighs_sentences_by_their_tokens() -> None:
    """Training mode is restored afterwards."""
    network, seen = nn.Linear(3, 5), list[int]()

    def batch_nll(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        assert not network.training
        assert not torch.is_grad_enabled()
        assert device.type == "cpu"
        seen.extend(batch.tolist())
        return sum(2.0**row for row in batch.tolist()), sum(LENGTHS[row] for row in batch)

    assert mean_nll(network, [sentences(LENGTHS)], batch_nll, StopRequest()) == 15 / 16
    assert sorted(seen) == [0, 1, 2, 3]
    assert network.training


def test_all_sides_of_a_batch_fit_its_tokens() -> None:
    long, sizes = VALIDATION_BATCH_TOKENS // 2, list[int]()

    def batch_nll(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        sizes.append(len(batch))
        return 1.0, 1

    sides = [sentences((1,) * 5), sentences((long,) * 5)]
    assert mean_nll(nn.Linear(1, 1), sides, batch_nll, StopRequest()) == 1.0
    assert sorted(sizes) == [1, 2, 2]


def test_a_stop_request_ends_validation_without_a_result() -> None:
    """An error restores training mode."""
    network, stop = nn.Linear(3, 5), StopRequest()

    def fail(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        raise ValueError("no figure")

    with pytest.raises(ValueError, match="no figure"):
        mean_nll(network, [sentences(LENGTHS)], fail, stop)
    assert network.training
    stop.signum = 15
    assert mean_nll(network, [sentences(LENGTHS)], fail, stop) is None
    assert network.training
