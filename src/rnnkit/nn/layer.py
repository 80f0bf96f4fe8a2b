"""One recurrent layer of a language model, of whatever kind."""

from __future__ import annotations

from rnnkit.nn.kinds import LanguageArch
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recurrent import RecurrentLayer


def make_layer(
    arch: LanguageArch, input_size: int, hidden_size: int, reset_inside: bool = False
) -> RecurrentLayer | MinGRULayer:
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
