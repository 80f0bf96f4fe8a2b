"""One recurrent layer, of whatever kind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn import activation_checkpointing, dropout
from rnnkit.nn.activation_checkpointing import CheckpointedLayer, checkpoint_call
from rnnkit.nn.cells import State
from rnnkit.nn.device import is_fp16_autocast_on_cpu
from rnnkit.nn.kinds import LanguageArch, RecurrentArch
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recurrent_layer import RecurrentLayer, gather_steps, reverse_index

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
        return activation_checkpointing.checkpoint_segments(
            layer, x_BTE, layer.zero_state(x_BTE) if state is None else state, *dropped
        )
    result: tuple[Tensor, State] = layer(x_BTE, state, *dropped)
    return result


class EncoderLayer(CheckpointedLayer):
    """One layer of an encoder: one direction, or two whose states are concatenated.

    Args:
        arch: `rnn`, `gru`, `lstm` or `mingru`.
        input_size: Size of the inputs.
        hidden_size: Size of the states; with two directions each has half of it.
        bidirectional: Whether a second layer reads each sentence from its end.
        reset_inside: As in `RecurrentLayer`.
        weight_drop: Share of connections that training drops from the state matrices.
    """

    def __init__(
        self,
        arch: RecurrentArch,
        input_size: int,
        hidden_size: int,
        bidirectional: bool,
        reset_inside: bool = False,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__()
        size = hidden_size // 2 if bidirectional else hidden_size
        self.forwards = make_layer(arch, input_size, size, reset_inside)
        self.backwards = make_layer(arch, input_size, size, reset_inside) if bidirectional else None
        self.weight_drop = weight_drop

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, want_last: bool = False) -> tuple[Tensor, State]:
        """Run over right-padded sentences.

        Args:
            x_BSE: Inputs.
            lengths_B: Tokens of each sentence, at least 1.
            want_last: Whether the last states are wanted; for the LSTM they cost the fast path.

        Returns:
            The states (B, S, H), and with `want_last` each sentence's last state: of the forward direction at
            its last token, of the backward direction at its first. Otherwise an empty tuple.
        """
        share = self.weight_drop if self.training else 0.0
        how = want_last, share, self.recompute
        ahead_BSH, ahead_last = run_padded(self.forwards, x_BSE, lengths_B, *how)
        if self.backwards is None:
            return ahead_BSH, ahead_last
        reversal_BS = reverse_index(lengths_B, x_BSE.shape[1])
        reversed_BSE = gather_steps(x_BSE, reversal_BS)
        back_BSH, back_last = run_padded(self.backwards, reversed_BSE, lengths_B, *how)
        states_BSH = torch.cat([ahead_BSH, gather_steps(back_BSH, reversal_BS)], dim=-1)
        return states_BSH, tuple(torch.cat(pair, dim=-1) for pair in zip(ahead_last, back_last, strict=True))


def run_padded(
    layer: Layer, x_BSE: Tensor, lengths_B: Tensor, want_last: bool, weight_drop: float = 0.0, recomputed: bool = False
) -> tuple[Tensor, State]:
    """Run one direction and, if wanted, find each sentence's state at its own last token.

    The fused call returns h of every step but c only of the last one, so the LSTM's last states need the packed
    form, which knows where each sentence ends, and takes no other weights than the layer's own. With `recomputed` the
    layer is run again for the gradient, in segments but for that form.
    """
    if not isinstance(layer, RecurrentLayer) or layer.arch != "lstm" or not want_last:
        h_BSH, _ = run_layer(layer, x_BSE, None, weight_drop, recomputed)
        last = (h_BSH[torch.arange(len(lengths_B), device=h_BSH.device), lengths_B - 1],) if want_last else ()
        return h_BSH, last
    return checkpoint_call(_run_packed, x_BSE, layer, lengths_B) if recomputed else _run_packed(x_BSE, layer, lengths_B)


def _run_packed(x_BSE: Tensor, layer: RecurrentLayer, lengths_B: Tensor) -> tuple[Tensor, State]:
    if is_fp16_autocast_on_cpu(x_BSE):
        with torch.autocast("cpu", enabled=False):
            return _run_packed(x_BSE.float(), layer, lengths_B)
    packed = nn.utils.rnn.pack_padded_sequence(x_BSE, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
    h_packed, (h_1BH, c_1BH) = layer.fused(packed)
    h_BSH, _ = nn.utils.rnn.pad_packed_sequence(h_packed, batch_first=True, total_length=x_BSE.shape[1])
    return h_BSH, (h_1BH.squeeze(0), c_1BH.squeeze(0))
