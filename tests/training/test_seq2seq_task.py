"""Batches of sentence pairs, and their loss, left to right and right to left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.text.special_tokens import BOS, EOS, PAD
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.signals import StopRequest
from rnnkit.training.training_step import (
    AttentionSupervision,
    Seq2SeqObjective,
    Seq2SeqTask,
    gather_pairs,
    mean_target_nll,
)

from .pairs import pack, sentences

SIZE = 11
CPU = torch.device("cpu")
SOURCE = [[4, 5, 6, 7, 8], [9], [10, 4, 9]]
TARGET = [[5, 6, 7], [], [8, 9, 10, 4, 6, 5, 7]]
LINKS = [[(0, 0), (4, 2), (2, 2)], [], [(0, 6), (1, 0), (2, 3)]]


def build(**changes: Any) -> SequenceToSequence:
    torch.manual_seed(3)
    shape = {"embedding": 6, "hidden": 6, "dropout": 0.0, **changes}
    return SequenceToSequence(Seq2SeqConfig("lstm", SIZE, SIZE, **shape))


def supervision(reverse: bool) -> AttentionSupervision:
    points = [
        [(source, len(target) - 1 - position if reverse else position) for source, position in links]
        for links, target in zip(LINKS, TARGET, strict=True)
    ]
    return AttentionSupervision(pack(points), 0.5)


def test_right_to_left_reverses_targets_except_eos() -> None:
    pairs = gather_pairs(sentences(SOURCE), sentences(TARGET), np.array([2, 1, 0]), CPU, right_to_left=True)
    assert pairs.source_BS[0].tolist() == [10, 4, 9, EOS, PAD, PAD], "the source is not reversed"
    assert pairs.target_BT.tolist() == [
        [7, 5, 6, 4, 10, 9, 8, EOS],
        [EOS, *[PAD] * 7],
        [7, 6, 5, EOS, *[PAD] * 4],
    ]
    assert pairs.input_BT[0].tolist() == [BOS, 7, 5, 6, 4, 10, 9, 8]


@pytest.mark.parametrize("guided", [False, True])
def test_right_to_left_loss_is_that_of_reversed_text(tmp_path: Path, guided: bool) -> None:
    losses, likelihoods, gradients = [], [], []
    for right_to_left in (True, False):
        network, source = build(right_to_left=right_to_left), sentences(SOURCE)
        target = sentences(TARGET if right_to_left else [row[::-1] for row in TARGET])
        task = Seq2SeqTask(
            network, source, target, Seq2SeqObjective(0.1, torch.float32),
            NetworkOptimizer(network, OptimizerSettings("adam"), tmp_path),
            supervision(not right_to_left) if guided else None,
        )  # fmt: skip
        batch_loss = task.compute_loss(np.array([0, 2, 1]), 0)
        assert (batch_loss.guidance is not None) == guided
        loss = batch_loss.mean if batch_loss.guidance is None else batch_loss.mean + batch_loss.guidance
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))
        likelihoods.append(mean_target_nll(network, source, target, StopRequest()))
    assert losses[0] == pytest.approx(losses[1])
    assert likelihoods[0] == pytest.approx(likelihoods[1])
    torch.testing.assert_close(*gradients)
