"""Language models that have learned nothing yet, drawn from a seed."""

from __future__ import annotations

import torch
from torch import nn

from rnnkit.models.language_model import LanguageModel, LMConfig
from rnnkit.nn.kinds import Initialization


def draw(config: LMConfig, start: Initialization, seed: int) -> LanguageModel:
    """A new network; random states outside are left as they are.

    Args:
        config: Its shape.
        start: How its recurrent layers start: as all of them do here, with orthogonal state matrices and the LSTM's
            forget gate open; or with all weights uniform within 1 / sqrt(H), as those of torch do.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LanguageModel(config)
        if start == "uniform" and config.arch != "transformer":
            _draw_uniform(network.layers)
    return network


def _draw_uniform(layers: nn.ModuleList) -> None:
    for layer in layers:
        bound = int(layer.hidden_size) ** -0.5  # type: ignore[arg-type]  # as every recurrent layer has it
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)
