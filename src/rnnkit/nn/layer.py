"""One recurrent layer, of whatever kind."""

from __future__ import annotations

from torch import Tensor

from rnnkit.nn import dropout, recompute
from rnnkit.nn.cells import State
from rnnkit.nn.kinds import LanguageArch
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recurrent import RecurrentLayer

Layer = RecurrentLayer | MinGRULayer


def make_layer(arch: LanguageArch, input_size: int, hidden_size: int, reset_inside: bool = False) -> Layer:
    """A layer that maps (B, T, E) and a state to (B, T, H) and a state.

    Args:
        arch: `rnn`, `gru`, `lstm` or `mingru`.
        input_size: Size of the inputs.
        hidden_size: Size of the states.
        reset_inside: For `gru`: as in `RecurrentLayer`.

    Raises:
        ValueError: The kind has no recurrent layer.
    """
    if arch == "mingru":
        return MinGRULayer(input_size, hidden_size)
    if arch == "transformer":
        raise ValueError("arch 'transformer' has no recurrent layer")
    return RecurrentLayer(arch, input_size, hidden_size, reset_inside)


def run_layer(
    layer: Layer, x_BTE: Tensor, state: State | None, weight_drop: float = 0.0, recomputed: bool = False
) -> tuple[Tensor, State]:
    """Run a layer over whole sequences, with a share of its state matrix' connections dropped once for all steps.

    `mingru` has no such matrix. With `recomputed`, segments of time are run again for the gradient. Other arguments and
    results as for `RecurrentLayer.forward`.
    """
    dropped: tuple[Tensor, ...] = ()
    if weight_drop and isinstance(layer, RecurrentLayer):
        dropped = (dropout.weight_drop(layer.hidden_weights[0], weight_drop),)
    if recomputed:
        return recompute.run_in_segments(layer, x_BTE, layer.zero_state(x_BTE) if state is None else state, *dropped)
    result: tuple[Tensor, State] = layer(x_BTE, state, *dropped)
    return result
