"""The optimizer of a network: every rule against its equation, and a state from which it resumes exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rnnkit.models import model_weights
from rnnkit.training import optimizer
from rnnkit.training.optimizer import EMA_WARMUP, LossScaler, NetworkOptimizer, OptimizerSettings, UpdateResult
from rnnkit.training.task import LossScaling


def make(settings: OptimizerSettings, folder: Path = Path(), seed: int = 1) -> tuple[nn.Linear, NetworkOptimizer]:
    torch.manual_seed(seed)
    network = nn.Linear(3, 5)
    return network, NetworkOptimizer(network, settings, folder)


def loss(network: nn.Linear, seed: int = 3) -> torch.Tensor:
    output: torch.Tensor = network(torch.randn(7, 3, generator=torch.Generator().manual_seed(seed)))
    return output.pow(2).mean()


def gradient(network: nn.Linear) -> torch.Tensor:
    return torch.autograd.grad(loss(network), network.weight)[0]


def test_sgd_follows_its_equation() -> None:
    network, optimizer = make(OptimizerSettings("sgd", clip=0.0))
    before, slope = network.weight.detach().clone(), gradient(network)
    norm = optimizer.step(loss(network), learning_rate=0.5)
    torch.testing.assert_close(network.weight.detach(), before - 0.5 * slope)
    assert norm > slope.norm()  # the bias has a gradient too


def test_gradient_clipping_reports_the_norm_before() -> None:
    network, optimizer = make(OptimizerSettings("sgd", clip=1e-3))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    norm = optimizer.step(loss(network), learning_rate=1.0)
    moved = torch.cat([(a - b.detach()).flatten() for a, b in zip(before, network.parameters(), strict=True)])
    assert norm > 0.01
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_gradient_clipping_by_value() -> None:
    network, optimizer = make(OptimizerSettings("sgd", clip=0.0, clip_value=1e-3))
    before, slope = network.weight.detach().clone(), gradient(network)
    optimizer.step(loss(network), learning_rate=1.0)
    torch.testing.assert_close(before - network.weight.detach(), slope.clamp(-1e-3, 1e-3))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_adds_weight_decay_and_adamw_decouples_it(name: str) -> None:
    changes = {}
    for decay in (0.0, 0.5):
        network, optimizer = make(OptimizerSettings(name, weight_decay=decay))  # type: ignore[arg-type]
        before = network.weight.detach().clone()
        optimizer.step(loss(network), learning_rate=0.1)
        changes[decay] = network.weight.detach() - before
    if name == "adamw":
        torch.testing.assert_close(changes[0.5] - changes[0.0], -0.1 * 0.5 * before)
    else:
        assert changes[0.5].abs().max() <= 0.1 + 1e-6, "Adam's first step has the size of its rate"


def test_ema_follows_its_equation() -> None:
    """The network keeps its own weights."""
    network, optimizer = make(OptimizerSettings("sgd", clip=0.0, ema_decay=0.5))
    mean = network.weight.detach().clone()
    for step in range(1, 6):
        optimizer.step(loss(network, seed=step), learning_rate=0.3)
        kept = min(0.5, (1 + step) / (EMA_WARMUP + step))
        mean = kept * mean + (1 - kept) * network.weight.detach()
    own = network.weight.detach().clone()
    with optimizer.ema_weights():
        torch.testing.assert_close(network.weight.detach(), mean)
    assert torch.equal(network.weight.detach(), own)


def test_without_ema_the_context_changes_nothing() -> None:
    network, optimizer = make(OptimizerSettings("adam"))
    own = network.weight.detach().clone()
    with optimizer.ema_weights():
        assert torch.equal(network.weight.detach(), own)


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_loss_scaling_does_not_change_a_step(clip: float) -> None:
    """Powers of two do not round, and the unscaled gradient is clipped."""
    network, optimizer = make(OptimizerSettings("adamw", clip=clip, clip_value=0.05, ema_decay=0.9))
    other, scaled = make(OptimizerSettings("adamw", clip=clip, clip_value=0.05, ema_decay=0.9, scale_loss=True))
    for step in range(3):
        for each, its_optimizer in ((network, optimizer), (other, scaled)):
            its_optimizer.backward(loss(each, step), 5)
            its_optimizer.backward(loss(each, step + 3), 7)
        plain, found = optimizer.update(12, 0.1), scaled.update(12, 0.1)
        assert found == UpdateResult(plain.norm, LossScaling(2.0**16, skipped=False))
        assert torch.equal(network.weight, other.weight)


@pytest.mark.parametrize("worst", [float("inf"), float("nan")])
def test_an_overflowing_gradient_changes_the_scale_only(worst: float) -> None:
    network, optimizer = make(OptimizerSettings("adam", ema_decay=0.9, scale_loss=True))
    optimizer.step(loss(network), learning_rate=0.1)
    before = {group: {key: np.copy(value) for key, value in arrays.items()}
              for group, arrays in optimizer.state_dict().items()}  # fmt: skip
    good = loss(network)
    optimizer.backward(good, 3)
    optimizer.backward(good.detach() + worst * network.bias[1], 3)
    assert optimizer.update(6, learning_rate=0.1) == UpdateResult(0.0, LossScaling(2.0**15, skipped=True))
    after = optimizer.state_dict()
    assert before.pop("loss-scale") == {"value": [2.0**16], "good": [1]}
    assert after["loss-scale"] == {"value": [2.0**15], "good": [0]}
    for group, arrays in before.items():
        assert all(np.array_equal(array, after[group][name]) for name, array in arrays.items()), group
    assert optimizer.step(loss(network), learning_rate=0.1) > 0, "the next step updates again"
    assert not np.array_equal(optimizer.state_dict()["weights"]["weight"], before["weights"]["weight"])


def test_without_loss_scaling_there_is_no_scale() -> None:
    network, optimizer = make(OptimizerSettings("adam"))
    assert optimizer.update(1, 0.1).scaling is None
    assert "loss-scale" not in optimizer.state_dict()
    assert not np.isfinite(optimizer.step(float("inf") * network.bias[1], learning_rate=0.1)), "the trainer stops"


def test_the_loss_scale_resumes_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.training.optimizer.INITIAL_LOSS_SCALE", 2.0**129)
    monkeypatch.setattr("rnnkit.training.optimizer.GROWTH_INTERVAL", 2)
    network, optimizer = make(OptimizerSettings("adam", scale_loss=True))
    for step in range(5):
        optimizer.step(loss(network, step), learning_rate=0.1)
    saved = {group: {key: np.copy(value) for key, value in arrays.items()}
             for group, arrays in optimizer.state_dict().items()}  # fmt: skip
    assert saved["loss-scale"]["value"] < 2.0**129
    other, resumed = make(OptimizerSettings("adam", scale_loss=True), seed=2)
    resumed.load_state_dict(saved)
    changes = []
    for step in range(5, 13):
        for each, each_optimizer in ((network, optimizer), (other, resumed)):
            each_optimizer.backward(loss(each, step), 1)
            changes.append(each_optimizer.update(1, learning_rate=0.1))
    assert changes[::2] == changes[1::2]
    assert {change.scaling.skipped for change in changes if change.scaling} == {True, False}
    assert torch.equal(network.weight, other.weight)


@pytest.mark.parametrize(
    "settings",
    [OptimizerSettings("adam"), OptimizerSettings("sgd"), OptimizerSettings("adamw", ema_decay=0.9)],
    ids=str,
)
def test_a_restored_optimizer_continues_bit_for_bit(settings: OptimizerSettings) -> None:
    network, optimizer = make(settings)
    for step in range(3):
        optimizer.step(loss(network, step), learning_rate=0.1)
    saved = {group: {key: np.copy(value) for key, value in arrays.items()}
             for group, arrays in optimizer.state_dict().items()}  # fmt: skip
    other, resumed = make(settings, seed=2)
    resumed.load_state_dict(saved)
    for step in range(3, 6):
        optimizer.step(loss(network, step), learning_rate=0.1)
        resumed.step(loss(other, step), learning_rate=0.1)
    assert torch.equal(network.weight, other.weight)
    with optimizer.ema_weights(), resumed.ema_weights():
        assert torch.equal(network.weight, other.weight)


def test_saved_weights_are_the_moving_average(tmp_path: Path) -> None:
    network, optimizer = make(OptimizerSettings("sgd", ema_decay=0.9, keep_snapshots=2), tmp_path)
    optimizer.step(loss(network), learning_rate=1.0)
    optimizer.save_weights("best", {"step": 1})
    with optimizer.ema_weights():
        mean = network.weight.detach().clone()
    tensors, facts = model_weights.load(tmp_path / "best.safetensors")
    assert torch.equal(tensors["weight"], mean)
    assert not torch.equal(network.weight, mean)
    assert facts == {"step": 1}
    for step in (1, 2, 3):
        optimizer.save_weights("snapshot", {"step": step})
    names = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert names == ["step-00000002.safetensors", "step-00000003.safetensors"]


def test_the_scale_halves_at_an_overflow() -> None:
    scaler = LossScaler()
    assert (scaler.scale, scaler.finite_steps) == (2.0**16, 0)
    scaler.update(finite=False)
    scaler.update(finite=False)
    assert (scaler.scale, scaler.finite_steps) == (2.0**14, 0)


def test_the_scale_doubles_after_finite_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.training.optimizer.GROWTH_INTERVAL", 3)
    scaler, seen = LossScaler(), []
    for finite in (True, True, False, True, True, True, True):
        scaler.update(finite)
        seen.append((scaler.scale / 2**16, scaler.finite_steps))
    assert seen == [(1, 1), (1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1, 0), (1, 1)]


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_a_restored_scaler_continues_exactly(gradients: list[bool], cut: int) -> None:
    whole, first, second = LossScaler(), LossScaler(), LossScaler(3.0, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizer, "GROWTH_INTERVAL", 4)
        for finite in gradients:
            whole.update(finite)
        for finite in gradients[:cut]:
            first.update(finite)
        second.load_state_dict(first.state_dict())
        for finite in gradients[cut:]:
            second.update(finite)
    assert second == whole
