"""A rehearsal leaves no trace, and says what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.training.test_network_task import TEXT, half, speaker, translator

from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout
from rnnkit.data.step_iterator import ShardSpec, StepIterator
from rnnkit.errors import TrainingError
from rnnkit.training.dry_run import check_memory
from rnnkit.training.training_step import NetworkTask

CPU = torch.device("cpu")
PAIRS = [[np.array([1, 4])], [np.array([0, 2, 3]), np.array([1])]]


def everything(task: NetworkTask[Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        f"{part}.{name}": array.copy() for part, arrays in task.state_dict().items() for name, array in arrays.items()
    }


@pytest.mark.parametrize("kind", ["translation", "float16", "text"])
def test_the_first_step_is_the_same_with_and_without(kind: str) -> None:
    def make() -> tuple[NetworkTask[Any], Any]:
        if kind == "text":
            batches = StepIterator(BpttBatchSampler(TEXT, BpttLayout(4, 7), 1), ShardSpec(2))
            return speaker(dropout=0.3), batches.largest_batches()
        return (translator(0.3) if kind == "translation" else half("lstm", torch.float16, 0.3)), PAIRS

    states = []
    for rehearsed in (False, True):
        task, steps = make()
        torch.manual_seed(7)
        if rehearsed:
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
def test_what_does_not_fit_is_said(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    task = translator()

    def measure(batch: Any, part: int) -> Any:
        raise failure

    monkeypatch.setattr(task, "compute_loss", measure)
    with pytest.raises(TrainingError) as caught:
        check_memory(task, PAIRS, CPU)
    assert str(caught.value) == (
        "a batch does not fit into memory\n"
        "  the largest were tried before the first step; what was saved before is untouched\n"
        "  hint: smaller batches (--batch-tokens, or --columns and --steps) need less, "
        "--accumulate keeps the steps as large; --recompute keeps less of each batch"
    )


def test_other_failures_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    task = translator()

    def measure(batch: Any, part: int) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(task, "compute_loss", measure)
    with pytest.raises(RuntimeError, match="shapes differ"):
        check_memory(task, PAIRS, CPU)
