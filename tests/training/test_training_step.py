"""Gradient accumulation: the step of one batch with all sentences, exact resuming; and validation loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.batch_sampler import ShardSpec, StepIterator
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.text.special_tokens import EOS
from rnnkit.training.lm_tasks import LanguageModelObjective, LanguageModelTask
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.signals import StopRequest
from rnnkit.training.training_step import VALIDATION_BATCH_TOKENS, Seq2SeqObjective, Seq2SeqTask, mean_nll

V = 11
TEXT = np.array([4, 5, 6, 7, 8, 9, EOS] * 40, np.uint16)
CHANGES = OptimizerSettings("adam", weight_decay=0.01, ema_decay=0.9)


def sentences(lengths: list[int]) -> SentenceDataset:
    random = np.random.default_rng(3)
    ids = [np.append(random.integers(4, V, length), EOS) for length in lengths]
    return SentenceDataset(np.concatenate(ids).astype(np.uint16), np.cumsum([0, *map(len, ids)]))


def seq2seq_task(dropout: float = 0.0) -> Seq2SeqTask:
    torch.manual_seed(1)
    network = SequenceToSequence(Seq2SeqConfig("lstm", V, V, 6, 6, dropout=dropout))
    optimizer = NetworkOptimizer(network, CHANGES, Path())
    source, target = sentences([3, 7, 5, 1, 2]), sentences([5, 1, 3, 7, 2])
    return Seq2SeqTask(network, source, target, Seq2SeqObjective(0.1, torch.float32), optimizer)


def lm_task(seed: int = 1, **changes: Any) -> LanguageModelTask:
    torch.manual_seed(seed)
    dry = {"dropout": 0.0, "dropout_input": 0.0, "dropout_hidden": 0.0, **changes}
    network = LanguageModelNetwork(LMConfig("lstm", V, 8, 8, **dry))
    settings = LanguageModelObjective(2.0, 1.0, None, torch.float32, torch.float32)
    return LanguageModelTask(network, settings, NetworkOptimizer(network, CHANGES, Path()))


def precision_task(arch: str, precision: torch.dtype, dropout: float = 0.0) -> Seq2SeqTask:
    torch.manual_seed(1)
    shape = {"attention": "multihead", "heads": 2} if arch == "transformer" else {}
    network = SequenceToSequence(Seq2SeqConfig(arch, V, V, 6, 6, dropout=dropout, **shape))  # type: ignore[arg-type]
    changes = OptimizerSettings("sgd", scale_loss=precision == torch.float16)
    optimizer = NetworkOptimizer(network, changes, Path())
    return Seq2SeqTask(
        network, sentences([3, 7, 5, 1, 2]), sentences([5, 1, 3, 7, 2]), Seq2SeqObjective(0.1, precision), optimizer
    )


def weights(task: Any) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in task.state_dict()["weights"].items()}


def assert_close(one: Any, other: Any) -> None:
    for name, array in weights(one).items():
        np.testing.assert_allclose(weights(other)[name], array, rtol=0, atol=1e-5, err_msg=name)


def test_accumulated_batches_make_the_step_of_one_batch() -> None:
    whole, parts = seq2seq_task(), seq2seq_task()
    for _ in range(3):
        once = whole.step([np.arange(5)], 0.01)
        added = parts.step([np.array([1]), np.array([0, 3, 4]), np.array([2])], 0.01)
        assert added.tokens == once.tokens == 5 + 1 + 3 + 7 + 2 + 5
        assert (added.loss, added.nll) == pytest.approx((once.loss, once.nll), rel=1e-5)
        assert added.gradient_norm == pytest.approx(once.gradient_norm, rel=1e-4)
    assert_close(whole, parts)


def test_accumulated_streams_make_the_step_of_all_streams() -> None:
    whole, parts = lm_task(), lm_task()
    batches = BpttBatchSampler(TEXT, BpttLayout(6, 5), seed=1)
    divided = StepIterator(BpttBatchSampler(TEXT, BpttLayout(6, 5), seed=1), ShardSpec(3))
    for _ in range(batches.per_epoch + 2):
        once, added = whole.step([next(batches)], 0.01), parts.step(next(divided), 0.01)
        assert added.tokens == once.tokens
        assert added.loss == pytest.approx(once.loss, rel=1e-5)
    assert_close(whole, parts)


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_float16_steps_equal_float32_steps(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without gradient accumulation."""
    # The mean of two tokens has a large gradient
    monkeypatch.setattr("rnnkit.training.optimizer.INITIAL_LOSS_SCALE", 2.0**10)
    exact, whole, parts = (
        precision_task(arch, torch.float32),
        precision_task(arch, torch.float16),
        precision_task(arch, torch.float16),
    )
    for _ in range(3):
        expected, once = exact.step([np.arange(5)], 0.1), whole.step([np.arange(5)], 0.1)
        added = parts.step([np.array([1]), np.array([0, 3, 4]), np.array([2])], 0.1)
        assert once.loss != expected.loss or arch == "lstm", "float16 is not used"
        for found in (once, added):
            assert found.scaling is not None
            assert not found.scaling.skipped
            assert found.loss == pytest.approx(expected.loss, rel=2e-3)
            assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=5e-3)
    for name, array in weights(exact).items():
        for task in (whole, parts):
            np.testing.assert_allclose(weights(task)[name], array, rtol=0, atol=2e-3, err_msg=name)


def test_overflowing_steps_are_skipped_until_the_scale_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.training.optimizer.INITIAL_LOSS_SCALE", 2.0**24)
    task = precision_task("transformer", torch.float16)
    before = weights(task)
    skipped: list[bool] = []
    while not skipped or skipped[-1]:
        report = task.step([np.array([1]), np.array([0, 3])], 0.1)
        assert np.isfinite([report.loss, report.nll]).all(), "the reported loss is unscaled"
        assert report.scaling is not None
        skipped.append(report.scaling.skipped)
        unchanged = all(np.array_equal(array, before[name]) for name, array in weights(task).items())
        assert unchanged == report.scaling.skipped
        assert (report.gradient_norm == 0) == report.scaling.skipped
    assert 1 < len(skipped) < 12
    assert report.scaling is not None
    assert report.scaling.scale == 2.0 ** (24 - sum(skipped))


def test_a_step_without_batches_changes_nothing() -> None:
    task = seq2seq_task()
    before = weights(task)
    report = task.step([], 0.01)
    assert (report.loss, report.tokens, report.gradient_norm) == (0.0, 0, 0.0)
    assert all(np.array_equal(array, before[name]) for name, array in weights(task).items())


def test_each_accumulated_batch_carries_a_saved_state() -> None:
    steps = StepIterator(BpttBatchSampler(TEXT, BpttLayout(7, 5), seed=1), ShardSpec(3))
    task, other = lm_task(dropout=0.5), lm_task(seed=2, dropout=0.5)
    task.step(next(steps), 0.01)
    task.step(next(steps), 0.01)
    saved = {group: {name: array.copy() for name, array in arrays.items()}
             for group, arrays in task.state_dict().items()}  # fmt: skip
    assert {"0.0", "0.1", "part-1.0.0", "part-2.0.1"} <= set(saved["carried"])
    rest = [next(steps) for _ in range(3)]
    expected = [task.step(step, 0.01) for step in rest]
    other.load_state_dict(saved)
    assert [other.step(step, 0.01) for step in rest] == expected
    assert all(np.array_equal(array, weights(other)[name]) for name, array in weights(task).items())


LENGTHS = (3, 7, 5, 1)


def zeros(lengths: tuple[int, ...]) -> SentenceDataset:
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

    assert mean_nll(network, [zeros(LENGTHS)], batch_nll, StopRequest()) == 15 / 16
    assert sorted(seen) == [0, 1, 2, 3]
    assert network.training


def test_all_sides_of_a_batch_fit_its_tokens() -> None:
    long, sizes = VALIDATION_BATCH_TOKENS // 2, list[int]()

    def batch_nll(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        sizes.append(len(batch))
        return 1.0, 1

    sides = [zeros((1,) * 5), zeros((long,) * 5)]
    assert mean_nll(nn.Linear(1, 1), sides, batch_nll, StopRequest()) == 1.0
    assert sorted(sizes) == [1, 2, 2]


def test_a_stop_request_ends_validation_without_a_result() -> None:
    """An error restores training mode."""
    network, stop = nn.Linear(3, 5), StopRequest()

    def fail(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        raise ValueError("no figure")

    with pytest.raises(ValueError, match="no figure"):
        mean_nll(network, [zeros(LENGTHS)], fail, stop)
    assert network.training
    stop.signum = 15
    assert mean_nll(network, [zeros(LENGTHS)], fail, stop) is None
    assert network.training
