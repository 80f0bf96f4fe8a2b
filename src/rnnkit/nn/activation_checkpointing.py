"""Layers that run a second time when their gradient is due, so that nothing is kept of what they find on their way.

Of a layer, autograd keeps gates, attention and whatever else the gradient asks for: many times what goes in and comes
out. Here only what goes in is kept, and the rest is found again, layer by layer from the last to the first (Chen et al.
2016, arXiv:1604.06174), for the time of one more run forwards. Random numbers are drawn again as they were drawn, so
what is dropped is the same, and so are the gradients. torch's `checkpoint` does the work.

A recurrent layer is cut into segments of time: one with all its gates would be as large as all others without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rnnkit.nn.cells import State

MAX_SEGMENT_STEPS = 64
"""Steps of a recurrent layer that are run again at once, at most."""

T = TypeVar("T")


class CheckpointedLayer(nn.Module):
    """A module whose layers can be run again.

    Attributes:
        recompute: Whether they are.
    """

    recompute: bool = False

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function makes of the arguments, tensors first; run again for the gradient where that is wanted."""
        return checkpoint_call(function, *arguments) if self.recompute else function(*arguments)


def enable_checkpointing(network: nn.Module) -> None:
    """Let all parts of a network that can do so run again."""
    for module in network.modules():
        if isinstance(module, CheckpointedLayer):
            module.recompute = True


def checkpoint_call(function: Callable[..., T], *arguments: Any) -> T:
    """What the function makes of the arguments, the first of them a tensor; run again when a gradient asks for it.

    Random numbers on the tensor's device and on the CPU are the same both times.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return cast(T, checkpoint(function, *arguments, use_reentrant=False))


def split_segments(x_BTE: Tensor, most: int) -> Sequence[Tensor]:
    """The steps in pieces as equal as may be, of no more than so many steps each."""
    return torch.tensor_split(x_BTE, max(1, -(-x_BTE.shape[1] // most)), dim=1)


def checkpoint_segments(
    layer: Callable[..., tuple[Tensor, State]], x_BTE: Tensor, state: State, *others: Any
) -> tuple[Tensor, State]:
    """Run a recurrent layer segment by segment, each of them again for the gradient.

    Args:
        layer: Maps inputs (B, T, E), a state and other arguments to states (B, T, H) and the last state.
        x_BTE: Inputs.
        state: Where it starts.
        others: The other arguments, the same for all segments.
    """
    pieces = []
    for piece_BTE in split_segments(x_BTE, MAX_SEGMENT_STEPS):
        h_BTH, state = checkpoint_call(layer, piece_BTE, state, *others)
        pieces.append(h_BTH.transpose(0, 1))
    return torch.cat(pieces).transpose(0, 1), state  # time first in memory, as layers leave it
