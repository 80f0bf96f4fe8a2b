"""Language models as a task: training, the carried state of BPTT, and resuming within an epoch."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, collate_lines
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import EOS
from rnnkit.training.lm_tasks import LanguageModelObjective, LanguageModelTask, activation_penalties
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings

V = 11
TEXT = np.array([4, 5, 6, 7, 8, EOS] * 40, np.uint16)
PLAIN = LanguageModelObjective(0.0, 0.0, None, torch.float32, torch.float32)


def make(
    arch: str = "lstm", objective: LanguageModelObjective = PLAIN, seed: int = 1, **changes: Any
) -> LanguageModelTask:
    torch.manual_seed(seed)
    config = LMConfig(arch, V, 8, 8, heads=2, memory=16, **changes)  # type: ignore[arg-type]
    network = LanguageModelNetwork(config)
    return LanguageModelTask(network, objective, NetworkOptimizer(network, OptimizerSettings("adam"), Path()))


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_it_learns_a_text_that_repeats_itself(arch: str) -> None:
    task = make(arch)
    reports = [task.step([segment], 2e-2) for segment in islice(BpttBatchSampler(TEXT, BpttLayout(4, 7), 1), 60)]
    assert reports[0].nll / reports[0].tokens == pytest.approx(math.log(V), rel=0.1)
    assert reports[-1].nll / reports[-1].tokens < 1.2
    assert reports[0].loss == pytest.approx(reports[0].nll)
    assert reports[0].gradient_norm > 0


def test_state_is_carried_within_an_epoch_only() -> None:
    dry: dict[str, Any] = {"dropout": 0.0, "dropout_input": 0.0, "dropout_hidden": 0.0}
    first, second = islice(BpttBatchSampler(TEXT, BpttLayout(3, 7, rotate=False), 1), 2)
    carried, fresh = make(**dry), make(**dry)
    carried.step([first], 0.0)
    afresh = type(second)(second.input_BT, second.target_BT, resets_state=True)
    assert carried.step([second], 0.0).nll != fresh.step([afresh], 0.0).nll
    assert carried.step([afresh], 0.0).nll == fresh.step([afresh], 0.0).nll


def test_penalties_follow_their_equations() -> None:
    task = make()
    network = task._network
    output = network.hidden_states(torch.from_numpy(TEXT[:12].astype(np.int64)).view(2, 6), network.initial_state(2))
    change = output.raw_BTE[:, 1:] - output.raw_BTE[:, :-1]
    expected = 2 * (output.hidden_BTE**2).mean() + 3 * (change**2).mean()
    found = activation_penalties(output, 2.0, 3.0)
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, expected)
    assert activation_penalties(output, 0.0, 0.0) == 0
    single = network.hidden_states(torch.tensor([[4]]), network.initial_state(1))
    assert activation_penalties(single, 0.0, 1.0) == 0


def test_penalties_change_the_loss_but_not_the_nll() -> None:
    segment = next(BpttBatchSampler(TEXT, BpttLayout(3, 7), 1))
    plain, strict = (
        make().step([segment], 0.0),
        make(objective=LanguageModelObjective(2.0, 1.0, None, torch.float32, torch.float32)).step([segment], 0.0),
    )
    assert strict.nll == plain.nll
    assert strict.loss > plain.loss


def test_lines_count_no_padding() -> None:
    segment = collate_lines([np.array([4, 5, EOS]), np.array([6, EOS]), np.array([EOS])])
    assert make(context="line").step([segment], 1e-3).tokens == 6


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_a_task_resumes_within_an_epoch_bit_for_bit(arch: str) -> None:
    batches = BpttBatchSampler(TEXT, BpttLayout(3, 7), seed=2)
    task, other = make(arch), make(arch, seed=9)
    for segment in islice(batches, 5):
        task.step([segment], 1e-2)
    saved = {
        group: {key: np.copy(value) for key, value in arrays.items()} for group, arrays in task.state_dict().items()
    }
    assert saved["carried"]
    rest = list(islice(batches, 4))
    expected = [task.step([segment], 1e-2) for segment in rest]
    other.load_state_dict(saved)
    assert [other.step([segment], 1e-2) for segment in rest] == expected
