"""Replacements of linear layers for inference: int8 weights, or weights packed for the kernels of small batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import cpu_features
from rnnkit.nn.inference_linear import Int8Linear, PackedLinear
from rnnkit.nn.recurrent_layer import RecurrentLayer

InferenceLinear = Int8Linear | PackedLinear


@dataclass(frozen=True)
class InferenceLayers:
    """Precomputed parts of a network for decoding; the defaults leave the network as trained.

    Attributes:
        projections_VG: Input projection of every target embedding in a recurrent decoder's first layer, which replaces
            a matrix product per step by a lookup.
        output: Replacement of the output layer.
        encoder_dtype: Precision of the encoder's matrix products, which int8 does not affect.
    """

    projections_VG: Tensor | None = None
    output: InferenceLinear | None = None
    encoder_dtype: torch.dtype = torch.float32


def choose_inference_linear(
    device: torch.device, int8: bool
) -> Callable[[Tensor, Tensor | None], InferenceLinear] | None:
    """Return the constructor of the fastest linear layer on a device; None for `nn.Linear` itself."""
    if int8:
        return Int8Linear
    if device.type != "cpu":
        return None
    return PackedLinear if cpu_features().avx2_fma else None


def replace_linear_layers(network: nn.Module, make: Callable[[Tensor, Tensor | None], InferenceLinear]) -> None:
    """Replace, in place, all linear layers and the single-step products of recurrent layers.

    The network is for inference afterwards: the replacements have no gradients.
    """
    for module in list(network.modules()):
        if isinstance(module, RecurrentLayer):
            module.step_linears = make(*module.input_weights), make(*module.hidden_weights)
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, make(child.weight, child.bias))
