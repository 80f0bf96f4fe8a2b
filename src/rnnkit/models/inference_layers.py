"""What stands in for a decoder's affine maps while it goes step by step: in eight bits, or laid out for few rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnnkit.nn.int8 import Int8Linear
from rnnkit.nn.packed import PackedLinear
from rnnkit.nn.recurrent import RecurrentLayer

InferenceLinear = Int8Linear | PackedLinear


def choose_inference_linear(
    device: torch.device, eight_bits: bool
) -> Callable[[Tensor, Tensor | None], InferenceLinear] | None:
    """The kind of maps that is the fastest there; None where the network's own are."""
    if eight_bits:
        return Int8Linear
    if device.type != "cpu":
        return None
    from rnnkit.kernels import processor  # brings the compiler along

    return PackedLinear if processor.HAS_LANES else None


def replace_linear_layers(network: nn.Module, make: Callable[[Tensor, Tensor | None], InferenceLinear]) -> None:
    """Put maps of a kind in the place of every affine map within a network, and of those of single recurrent steps.

    It happens in place, and what comes out is for decoding: it has no gradients.
    """
    for module in list(network.modules()):
        if isinstance(module, RecurrentLayer):
            module.step_maps = make(*module.input_weights), make(*module.hidden_weights)
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, make(child.weight, child.bias))


@dataclass(frozen=True)
class InferenceLayers:
    """Nothing, until a network is made ready for decoding.

    Attributes:
        projections_VG: What a recurrent decoder's first layer makes of each target token, looked up, not multiplied.
        output: What stands in for the output layer.
        encoding: Type of the encoder's products, which eight bits leave alone; float32 changes nothing.
    """

    projections_VG: Tensor | None = None
    output: InferenceLinear | None = None
    encoding: torch.dtype = torch.float32
