"""Batches of pairs as the network reads them, in either direction of the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.text.special_tokens import BOS, EOS, PAD
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.optimizer import OptimizerSettings as Changes
from rnnkit.training.seq2seq_task import (
    AttentionSupervision,
    Seq2SeqObjective,
    Seq2SeqTask,
    gather_pairs,
    mean_target_nll,
)
from rnnkit.training.signals import StopRequest

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


def guidance(turned: bool) -> AttentionSupervision:
    points = [
        [(source, len(target) - 1 - place if turned else place) for source, place in links]
        for links, target in zip(LINKS, TARGET, strict=True)
    ]
    return AttentionSupervision(pack(points), 0.5)


def test_targets_are_turned_round_but_for_their_end() -> None:
    pairs = gather_pairs(sentences(SOURCE), sentences(TARGET), np.array([2, 1, 0]), CPU, right_to_left=True)
    assert pairs.source_BS[0].tolist() == [10, 4, 9, EOS, PAD, PAD], "the source is read as it is written"
    assert pairs.target_BT.tolist() == [
        [7, 5, 6, 4, 10, 9, 8, EOS],
        [EOS, *[PAD] * 7],
        [7, 6, 5, EOS, *[PAD] * 4],
    ]
    assert pairs.input_BT[0].tolist() == [BOS, 7, 5, 6, 4, 10, 9, 8]


@pytest.mark.parametrize("guided", [False, True])
def test_loss_and_gradients_are_those_of_turned_text(tmp_path: Path, guided: bool) -> None:
    losses, likelihoods, gradients = [], [], []
    for right_to_left in (True, False):
        network, source = build(right_to_left=right_to_left), sentences(SOURCE)
        target = sentences(TARGET if right_to_left else [row[::-1] for row in TARGET])
        task = Seq2SeqTask(
            network, source, target, Seq2SeqObjective(0.1, torch.float32),
            NetworkOptimizer(network, Changes("adam"), tmp_path),
            guidance(not right_to_left) if guided else None,
        )  # fmt: skip
        measured = task.compute_loss(np.array([0, 2, 1]), 0)
        assert (measured.pull is not None) == guided
        loss = measured.mean if measured.pull is None else measured.mean + measured.pull
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))
        likelihoods.append(mean_target_nll(network, source, target, StopRequest()))
    assert losses[0] == pytest.approx(losses[1])
    assert likelihoods[0] == pytest.approx(likelihoods[1])
    torch.testing.assert_close(*gradients)
