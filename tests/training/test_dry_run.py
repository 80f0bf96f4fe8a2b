"""Cost estimates from steps and validations of known cost, and the memory check before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tests.raising import raises
from tests.training.test_training_step import TEXT, lm_task, precision_task, seq2seq_task

from rnnkit.data.batch_sampler import BatchSampler, ShardSpec, StepIterator
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout
from rnnkit.errors import TrainingError
from rnnkit.training import dry_run
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.dry_run import check_memory
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import StepReport, Validation
from rnnkit.training.trainer import TrainingPlan
from rnnkit.training.training_step import NetworkTask


class Clock:
    """A clock that advances only with work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("rnnkit.training.dry_run.time.perf_counter", lambda: self.now)


class Work:
    """A task whose step takes a tenth of a second for each sentence, and the first one two seconds more."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.sizes: list[int] = []

    def step(self, batch: Any, learning_rate: float) -> StepReport:
        self.sizes.append(len(batch))
        self.clock.now += 0.1 * len(batch) + (2 if len(self.sizes) == 1 else 0)
        return StepReport(1.0, 1.0, len(batch))

    def state_dict(self) -> Mapping[str, Arrays]:
        return {}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None: ...

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None: ...


LENGTHS = np.array([9, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5])
"""With a budget of nine tokens: one sentence of nine, two batches of three, and five alone each."""


def test_steps_and_validations_are_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    task, batches = Work(clock), BatchSampler([LENGTHS], budget=9, seed=1)

    def validate(stop: StopRequest) -> Validation:
        clock.now += 6
        return Validation(0.0, {}, length_ratio=3.0)

    found = dry_run.estimate_cost(task, batches, validate, TrainingPlan(steps=70, validate_every=20), 1000, 200)
    assert task.sizes[:2] == [1, 3], "the longest sentence, then the most sentences"
    assert found.training_seconds == pytest.approx(70 * 0.1 * sum(task.sizes[2:]) / len(task.sizes[2:]))
    assert found.validation_seconds == pytest.approx(4 * 2.0), "four, each a third as long with a trained model"
    assert found.seconds == found.training_seconds + found.validation_seconds
    assert (found.batches_per_epoch, found.epochs, found.checkpoint_bytes) == (7, 10.0, 4 * (4000 - 400))


def test_slow_steps_are_not_timed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    task, batches = Work(clock), BatchSampler([np.full(100, 30)], budget=3000, seed=1)
    dry_run.estimate_cost(task, batches, lambda stop: None, TrainingPlan(steps=70, validate_every=20), 1, 0)
    assert len(task.sizes) == 1 + dry_run.MIN_TIMED_STEPS


def test_a_short_output_makes_no_validation_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def validate(stop: StopRequest) -> Validation:
        clock.now += 6
        return Validation(0.0, {}, length_ratio=0.1)

    plan = TrainingPlan(steps=7, validate_every=7)
    found = dry_run.estimate_cost(Work(clock), BatchSampler([LENGTHS], 9, 1), validate, plan, 1, 0)
    assert found.validation_seconds == pytest.approx(6)


CPU = torch.device("cpu")
PAIRS = [[np.array([1, 4])], [np.array([0, 2, 3]), np.array([1])]]


def everything(task: NetworkTask[Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        f"{part}.{name}": array.copy() for part, arrays in task.state_dict().items() for name, array in arrays.items()
    }


@pytest.mark.parametrize("kind", ["translation", "float16", "text"])
def test_checking_memory_does_not_change_the_first_step(kind: str) -> None:
    def make() -> tuple[NetworkTask[Any], Any]:
        if kind == "text":
            batches = StepIterator(BpttBatchSampler(TEXT, BpttLayout(4, 7), 1), ShardSpec(2))
            return lm_task(dropout=0.3), batches.largest_batches()
        return (seq2seq_task(0.3) if kind == "translation" else precision_task("lstm", torch.float16, 0.3)), PAIRS

    states = []
    for checked in (False, True):
        task, steps = make()
        torch.manual_seed(7)
        if checked:
            check_memory(task, steps, CPU)
        task.step(steps[0], 0.01)
        states.append(everything(task))
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array, err_msg=name)


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_batch_that_does_not_fit_is_an_error(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    task = seq2seq_task()

    def fail(batch: Any, index: int) -> Any:
        raise failure

    monkeypatch.setattr(task, "compute_loss", fail)
    with raises(TrainingError, "--batch-tokens", "--batch-size", "--steps", "--accumulate", "--recompute"):
        check_memory(task, PAIRS, CPU)


def test_other_errors_of_a_batch_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    task = seq2seq_task()

    def fail(batch: Any, index: int) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(task, "compute_loss", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        check_memory(task, PAIRS, CPU)
