"""Language models and masked language models as tasks: training, the carried state of BPTT, resuming, validation."""

from __future__ import annotations

import itertools
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE, filler

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.batch_sampler import BatchSampler
from rnnkit.data.bptt_batching import BpttBatchSampler, BpttLayout, collate_lines
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import EOS, PAD
from rnnkit.training.lm_tasks import (
    LanguageModelObjective,
    LanguageModelTask,
    MaskedLMObjective,
    MaskedLMTask,
    activation_penalties,
    gather_lines,
    mean_masked_nll,
)
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.signals import StopRequest

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


LINES = [[4, 9, 6, 5, 12], [7], [15, 5, 4], [], [8, 8, 8, 8, 8, 8, 8], [10, 11]]


def sentences(lines: list[list[int]], padded: bool = False) -> SentenceDataset:
    longest = max(map(len, lines)) + 1
    rows = [[*line, EOS, *([PAD] * (longest - len(line) - 1) if padded else [])] for line in lines]
    ids = np.array(list(itertools.chain.from_iterable(rows)), dtype=np.uint16)
    return SentenceDataset(ids, np.cumsum([0, *map(len, rows)]), padded)


def task(
    network: MaskedLM, folder: Path, lines: SentenceDataset, optimizer: str = "adamw", **changes: Any
) -> MaskedLMTask:
    settings = OptimizerSettings(optimizer, **changes)  # type: ignore[arg-type]
    return MaskedLMTask(network, lines, MaskedLMObjective(torch.float32), NetworkOptimizer(network, settings, folder))


def test_a_step_minimizes_the_mean_over_tokens_without_eos(tmp_path: Path) -> None:
    network = filler(dropout=0.0, dropout_input=0.0, dropout_hidden=0.0, blanked=0.0)
    lines = sentences(LINES)
    batch = np.array([0, 2, 3])
    ids_BT, lengths_B = gather_lines(lines, batch, torch.device("cpu"))
    loss = network.loss(ids_BT, lengths_B)
    gradients = torch.autograd.grad(loss / 8, list(network.parameters()))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    report = task(network, tmp_path, lines, optimizer="sgd", clip=0.0).step([batch], 0.5)
    assert report.tokens == 8
    assert report.loss == report.nll == pytest.approx(loss.item())
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert report.gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    for parameter, old, gradient in zip(network.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.5 * gradient, atol=1e-5, rtol=1e-4)


def test_empty_lines_change_no_weights(tmp_path: Path) -> None:
    network = filler()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    report = task(network, tmp_path, sentences([[], []]), optimizer="sgd").step([np.array([0, 1])], 0.5)
    assert (report.tokens, report.loss, report.gradient_norm) == (0, 0, 0)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_validation_is_the_mean_over_all_tokens(padded: bool) -> None:
    network = filler("gru")
    lines = sentences(LINES, padded)
    total = 0.0
    for index, line in enumerate(LINES):
        ids_BT, lengths_B = gather_lines(lines, np.array([index]), torch.device("cpu"))
        log_p_TV = network.log_probabilities(network.hidden_states(ids_BT, lengths_B)[0])
        total -= sum(log_p_TV[position, token].item() for position, token in enumerate(line))
    network.train()
    assert mean_masked_nll(network, lines, StopRequest()) == pytest.approx(total / 18, rel=1e-5)
    assert network.training, "validation restores training mode"


def test_a_stop_request_ends_validation() -> None:
    stop = StopRequest()
    stop.signum = 15
    assert mean_masked_nll(filler(), sentences(LINES), stop) is None


def steps(which: MaskedLMTask, batches: BatchSampler, count: int) -> None:
    for _ in range(count):
        which.step([next(batches)], 0.01)


def test_a_resumed_task_ends_with_the_same_weights(tmp_path: Path) -> None:
    lines = sentences(LINES)
    torch.manual_seed(4)
    whole, batches = filler(), BatchSampler([lines.lengths()], 12, seed=1)
    running = task(whole, tmp_path, lines, ema_decay=0.9)
    steps(running, batches, 3)
    state = {
        group: {name: array.copy() for name, array in arrays.items()} for group, arrays in running.state_dict().items()
    }
    position = batches.state_dict()
    steps(running, batches, 4)

    resumed = filler(seed=99)
    again, batches = task(resumed, tmp_path, lines, ema_decay=0.9), BatchSampler([lines.lengths()], 12, seed=1)
    batches.load_state_dict(position)
    again.load_state_dict(state)
    steps(again, batches, 4)
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("arch", ["lstm", "mingru"])
def test_it_learns_to_combine_both_sides(tmp_path: Path, arch: str) -> None:
    """In `x y z` the middle depends on both ends together: y = 10 + (x + z) mod 3."""
    lines = [[4 + x, 10 + (x + z) % 3, 4 + z] for x in range(4) for z in range(4)]
    torch.manual_seed(2)
    plain = {"dropout": 0.0, "dropout_input": 0.0, "dropout_hidden": 0.0, "blanked": 0.0}
    network = MaskedLM(MaskedLMConfig(arch, SIZE, 16, 16, **plain))  # type: ignore[arg-type]
    data = sentences(lines)
    learner = task(network, tmp_path, data)
    batches = BatchSampler([data.lengths()], 100, seed=1)
    for _ in range(200):
        learner.step([next(batches)], 0.02)
    network.eval()
    ids_BT, lengths_B = gather_lines(data, np.arange(len(lines)), torch.device("cpu"))
    with torch.no_grad():
        log_p_NV = network.log_probabilities(network.hidden_states(ids_BT, lengths_B)[:, 1])
    right_N = log_p_NV.argmax(-1) == ids_BT[:, 1]
    assert right_N.all()
    # One end alone leaves shares of 1/2, 1/4 and 1/4: 1.04 nats.
    assert -log_p_NV.gather(1, ids_BT[:, 1:2]).mean().item() < 0.2


def test_weights_are_saved_under_their_name(tmp_path: Path) -> None:
    task(filler(), tmp_path, sentences(LINES)).save_weights("best", {"step": 3})
    assert (tmp_path / "best.safetensors").exists()
