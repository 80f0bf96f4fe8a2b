"""Recall: the task is what it says, what is learned is kept from span to span, and gates remember longer."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.raising import raises

from rnnkit.errors import Interrupted
from rnnkit.evaluation import recall
from rnnkit.evaluation.perplexity import single_thread
from rnnkit.evaluation.recall import (
    RecallBatch,
    RecallBatches,
    RecallLevel,
    RecallSettings,
    RecallTask,
    build_recall_model,
    measure_recall,
)
from rnnkit.nn import kinds
from rnnkit.training.task import StepReport

ARCHS = [arch for arch in kinds.LANGUAGE_ARCHS if arch != "transformer"]
EASY = RecallSettings("gru", hidden=16, symbols=3, budget=400)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks so small gain nothing by a second thread."""
    with single_thread(torch.device("cpu")):
        yield


def test_a_question_is_a_symbol_distractors_and_a_mark() -> None:
    batch = next(RecallBatches(5, 7, 50, [1]))
    assert batch.input_BT.shape == (50, 8)
    assert (batch.input_BT[:, 0] == batch.target_B).all()
    assert set(batch.target_B) == set(range(5))
    assert set(batch.input_BT[:, 1:-1].flatten()) == set(range(5, 10))
    assert set(batch.input_BT[:, -1]) == {10}
    nearest = next(RecallBatches(5, 1, 50, [1]))
    assert (nearest.input_BT == np.stack([nearest.target_B, np.full(50, 10)], axis=1)).all()


def test_questions_are_the_seeds_and_the_place_s() -> None:
    source = RecallBatches(5, 3, 7, [1, 2])
    first, second = next(source), next(source)
    assert not np.array_equal(first.input_BT, second.input_BT)
    again = RecallBatches(5, 3, 7, [1, 2])
    again.load_state_dict({"batch": 1})
    assert np.array_equal(next(again).input_BT, second.input_BT)
    assert again.state_dict() == source.state_dict() == {"batch": 2}
    assert not np.array_equal(next(RecallBatches(5, 3, 7, [1, 3])).input_BT, first.input_BT)


def test_an_untrained_network_guesses() -> None:
    network = build_recall_model(EASY, 3)
    test = next(RecallBatches(3, 2, 2000, [1]))
    assert recall.recall_accuracy(network, test) < 0.5  # it may say a distractor or the mark, too
    always = RecallBatch(test.input_BT, recall.recall_logits(network, test).argmax(dim=1).numpy())
    assert recall.recall_accuracy(network, always) == 1


def test_a_step_is_one_of_the_loop_s(tmp_path: Path) -> None:
    network = build_recall_model(EASY, 3)
    task = RecallTask(network, tmp_path)
    batch = next(RecallBatches(3, 2, 7, [1]))
    before = torch.nn.functional.cross_entropy(recall.recall_logits(network, batch), torch.from_numpy(batch.target_B))
    report = task.step(batch, 0.01)
    assert report.tokens == 7
    assert report.nll == pytest.approx(7 * before.item())
    assert task.step(batch, 0.01).nll < report.nll


@pytest.mark.parametrize("arch", ARCHS)
def test_every_unit_learns_short_spans(arch: kinds.LanguageArch) -> None:
    heard: list[RecallLevel] = []
    found = measure_recall(dataclasses.replace(EASY, arch=arch), [1, 2], heard.append)
    assert (found.span, [rung.span for rung in found.levels]) == (2, [1, 2])
    assert all(rung.accuracy >= 0.9 and 0 < rung.steps <= 400 for rung in found.levels)
    assert found.levels == tuple(heard)


def test_a_transformer_sees_the_longest_span() -> None:
    pytest.importorskip("rnnkit.nn.transformer")
    found = measure_recall(dataclasses.replace(EASY, arch="transformer"), [1, 150])
    assert found.span == 150


def test_the_same_seed_climbs_the_same_way() -> None:
    assert measure_recall(EASY, [1, 3]) == measure_recall(EASY, [1, 3])


def test_a_climb_ends_at_the_first_span_that_is_not_learned() -> None:
    found = measure_recall(dataclasses.replace(EASY, symbols=9, budget=7), [1, 2, 5])
    assert (found.span, [(rung.span, rung.steps) for rung in found.levels]) == (0, [(1, 7)])
    assert found.levels[0].accuracy < 0.9


def test_an_exploded_gradient_ends_a_climb(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(self: RecallTask, batch: RecallBatch, rate: float) -> StepReport:
        return StepReport(1.0, 1.0, 7, float("inf"))

    monkeypatch.setattr(RecallTask, "step", explode)
    found = measure_recall(EASY, [1, 2])
    assert (found.span, found.levels) == (0, (RecallLevel(1, 0.0, 0),))


def test_a_signal_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: RecallTask, batch: RecallBatch, rate: float) -> StepReport:
        os.kill(os.getpid(), signal.SIGTERM)
        return StepReport(1.0, 1.0, 7)

    monkeypatch.setattr(RecallTask, "step", interrupt)
    with raises(Interrupted) as caught:
        measure_recall(EASY, [1, 2])
    assert caught.value.exit_code == 143


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "least", "most"),
    [("rnn", 5, 20), pytest.param("gru", 100, 200, marks=pytest.mark.exhaustive), ("lstm", 100, 200)],
)
def test_gates_remember_longer(arch: kinds.LanguageArch, least: int, most: int) -> None:
    """The figures of the textbooks: about 7 steps for the vanilla unit, about 100 for gated ones."""
    assert least <= measure_recall(RecallSettings(arch), [1, 2, 5, 10, 20, 50, 100, 200]).span <= most
