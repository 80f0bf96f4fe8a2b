"""Activation (gradient) checkpointing: recompute activations in the backward pass instead of storing them.

Autograd stores gates, attention weights and other activations of a layer, many times the size of its input and output.
With checkpointing only the input of a layer is stored, and the activations are recomputed layer by layer, from the last
to the first, at the cost of one more forward pass (Chen et al. 2016, arXiv:1604.06174). Random numbers are replayed, so
that dropout masks and hence gradients are the same. `torch.utils.checkpoint` does the work.

Recurrent layers are cut into segments of time: the activations of one whole layer would take as much memory as the
inputs of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rnnkit.nn.cells import State

MAX_SEGMENT_STEPS = 64
"""Most time steps of a recurrent layer that are recomputed at once."""

T = TypeVar("T")


class CheckpointedLayer(nn.Module):
    """Base of modules that can recompute their activations.

    Attributes:
        checkpointing: Whether they do.
    """

    checkpointing: bool = False

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function, with checkpointing if it is enabled; the first argument is a tensor."""
        return checkpoint_call(function, *arguments) if self.checkpointing else function(*arguments)


def enable_checkpointing(network: nn.Module) -> None:
    """Enable checkpointing in all modules of a network that support it."""
    for module in network.modules():
        if isinstance(module, CheckpointedLayer):
            module.checkpointing = True


def checkpoint_call(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function and recompute it when its gradient is needed; the first argument is a tensor.

    Random numbers, on the CPU and on the tensor's device, are the same both times.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return cast(T, checkpoint(function, *arguments, use_reentrant=False))


def split_segments(x_BTE: Tensor, max_steps: int) -> Sequence[Tensor]:
    """Split the time steps into segments of nearly equal length, each of at most `max_steps` steps."""
    return torch.tensor_split(x_BTE, max(1, -(-x_BTE.shape[1] // max_steps)), dim=1)


def checkpoint_segments(
    layer: Callable[..., tuple[Tensor, State]], x_BTE: Tensor, state: State, *others: Any
) -> tuple[Tensor, State]:
    """Run a recurrent layer segment by segment, with checkpointing.

    Args:
        layer: Maps inputs (B, T, E), a state and `others` to hidden states (B, T, H) and the last state.
        x_BTE: Input.
        state: Initial state.
        others: Further arguments, the same for all segments.

    Returns:
        Hidden states of all steps (B, T, H), and the last state.
    """
    outputs = []
    for segment_BTE in split_segments(x_BTE, MAX_SEGMENT_STEPS):
        h_BTH, state = checkpoint_call(layer, segment_BTE, state, *others)
        outputs.append(h_BTH.transpose(0, 1))
    return torch.cat(outputs).transpose(0, 1), state  # time first in memory, as the layers return it
