"""A network's maps in eight bits: every affine map within it, and those of single steps of its recurrent layers."""

from __future__ import annotations

from torch import nn

from rnnkit.nn.int8 import Int8Linear
from rnnkit.nn.recurrent import RecurrentLayer


def to_eight_bits(network: nn.Module) -> None:
    """Replace them, in place. What comes out is for decoding: it has no gradients."""
    for module in list(network.modules()):
        if isinstance(module, RecurrentLayer):
            module.eight_bits = (Int8Linear(*module.input_weights), Int8Linear(*module.hidden_weights))
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child.weight, child.bias))
