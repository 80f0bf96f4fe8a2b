"""Learning rates by depth and gradual unfreezing: what moves, how far, and that a run resumes exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rnnkit.training.layerwise import LayerwiseTraining
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings

WEIGHT_DECAY = {"weight_decay": 0.1, "clip": 5.0, "ema_decay": 0.9}


def make(settings: OptimizerSettings, decay: float = 1.0, steps: int = 0) -> tuple[nn.Sequential, NetworkOptimizer]:
    """A network of three layers, the last of which is group 0."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 2))
    groups = [list(layer.parameters()) for layer in reversed(network)]
    return network, NetworkOptimizer(network, settings, Path(), layerwise=LayerwiseTraining(groups, decay, steps))


def step(network: nn.Sequential, optimizer: NetworkOptimizer, seed: int) -> None:
    optimizer.begin_step()
    output = network(torch.randn(7, 3, generator=torch.Generator().manual_seed(seed)))
    optimizer.step(output.pow(2).mean(), learning_rate=0.1)


def weights(network: nn.Sequential) -> list[torch.Tensor]:
    return [layer.weight.detach().clone() for layer in network]  # type: ignore[operator]


def test_the_learning_rate_falls_with_depth() -> None:
    plain, decayed = (make(OptimizerSettings("sgd", clip=0.0), decay) for decay in (1.0, 0.25))
    before = weights(plain[0])
    for network, optimizer in (plain, decayed):
        step(network, optimizer, seed=3)
    moved = [[after - old for after, old in zip(weights(each[0]), before, strict=True)] for each in (plain, decayed)]
    for depth, (whole, scaled) in enumerate(zip(*map(reversed, moved), strict=True)):
        torch.testing.assert_close(scaled, whole * 0.25**depth)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_frozen_layer_does_not_move(name: str) -> None:
    """Neither by weight decay nor by momentum; its moving average stays, too."""
    network, optimizer = make(OptimizerSettings(name, **WEIGHT_DECAY), steps=2)  # type: ignore[arg-type]
    history = [weights(network)]
    for seed in range(6):
        step(network, optimizer, seed)
        history.append(weights(network))
        with optimizer.ema_weights():
            averaged = weights(network)
        trained = min(3, seed // 2 + 1)
        for layer in range(3):
            moves = layer >= 3 - trained
            assert torch.equal(history[-1][layer], history[-2][layer]) != moves, (seed, layer)
            assert torch.equal(averaged[layer], history[0][layer]) != moves, (seed, layer)


def test_the_memory_check_covers_all_layers() -> None:
    network, optimizer = make(OptimizerSettings("adam"), steps=2)
    optimizer.backward(network(torch.ones(7, 3)).pow(2).mean(), 7)
    assert all(parameter.grad is not None for parameter in network.parameters())
    optimizer.discard_gradients()


@pytest.mark.parametrize("stopped", [1, 2, 3, 5])
def test_a_restored_state_continues_exactly(stopped: int) -> None:
    settings = OptimizerSettings("adam", **WEIGHT_DECAY)  # type: ignore[arg-type]
    whole, first, second = (make(settings, 0.5, steps=2) for _ in range(3))
    for seed in range(7):
        step(*whole, seed)
    for seed in range(stopped):
        step(*first, seed)
    state = {name: {key: np.array(value) for key, value in arrays.items()}
             for name, arrays in first[1].state_dict().items()}  # fmt: skip
    assert state["layerwise"]["steps"].tolist() == [stopped]
    second[1].load_state_dict(state)
    for seed in range(stopped, 7):
        step(*second, seed)
    for one, other in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_layers_nothing_is_saved_of_them() -> None:
    network = nn.Linear(3, 5)
    assert "layerwise" not in NetworkOptimizer(network, OptimizerSettings("adam"), Path()).state_dict()
