"""Recurrent layers of any kind, in one direction or two."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn import device, dropout
from rnnkit.nn.cells import State
from rnnkit.nn.device import CheckpointedLayer, checkpoint_call, is_fp16_autocast_on_cpu
from rnnkit.nn.kinds import LanguageArch, RecurrentArch
from rnnkit.nn.mingru import MinGRULayer
from rnnkit.nn.recurrent_layer import RecurrentLayer, gather_steps, reverse_index

Layer = RecurrentLayer | MinGRULayer


def make_layer(arch: LanguageArch, input_size: int, hidden_size: int, reset_inside: bool = False) -> Layer:
    """Return a layer that maps an input (B, T, E) and a state to hidden states (B, T, H) and the last state.

    Args:
        arch: `rnn`, `gru`, `lstm` or `mingru`.
        input_size: Size E of the input.
        hidden_size: Size H of the hidden state.
        reset_inside: For `gru`: as in `RecurrentLayer`.

    Raises:
        ValueError: `arch` has no recurrent layer.
    """
    if arch == "mingru":
        return MinGRULayer(input_size, hidden_size)
    if arch == "transformer":
        raise ValueError("arch 'transformer' has no recurrent layer")
    return RecurrentLayer(arch, input_size, hidden_size, reset_inside)


def run_layer(
    layer: Layer, x_BTE: Tensor, state: State | None, weight_drop: float = 0.0, checkpointing: bool = False
) -> tuple[Tensor, State]:
    """Run a layer over whole sequences, with DropConnect on its hidden-to-hidden matrix.

    Args:
        layer: The layer; a minGRU has no hidden-to-hidden matrix and ignores `weight_drop`.
        x_BTE: Input.
        state: Initial state; zeros by default.
        weight_drop: Probability that a hidden-to-hidden weight is dropped, with one mask for all time steps.
        checkpointing: Recompute the activations for the gradient, in segments of time.

    Returns:
        Hidden states of all steps (B, T, H), and the last state.
    """
    dropped: tuple[Tensor, ...] = ()
    if weight_drop and isinstance(layer, RecurrentLayer):
        dropped = (dropout.weight_drop(layer.hidden_weights[0], weight_drop),)
    if checkpointing:
        start = layer.zero_state(x_BTE) if state is None else state
        return device.checkpoint_segments(layer, x_BTE, start, *dropped)
    result: tuple[Tensor, State] = layer(x_BTE, state, *dropped)
    return result


class EncoderLayer(CheckpointedLayer):
    """Recurrent encoder layer: unidirectional, or bidirectional with concatenated hidden states.

    Args:
        arch: `rnn`, `gru`, `lstm` or `mingru`.
        input_size: Size E of the input.
        hidden_size: Size H of the output; each direction of a bidirectional layer has half of it.
        bidirectional: Add a layer that runs from the end of each sentence.
        reset_inside: As in `RecurrentLayer`.
        weight_drop: DropConnect rate of the hidden-to-hidden matrices in training.
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
            x_BSE: Input.
            lengths_B: Length of each sentence, at least 1.
            want_last: Return the last states; for the LSTM this excludes the fast path.

        Returns:
            Hidden states (B, S, H), and with `want_last` the last state of each sentence: that of the forward direction
            at its last token, that of the backward direction at its first. Otherwise an empty tuple.
        """
        rate = self.weight_drop if self.training else 0.0
        options = want_last, rate, self.checkpointing
        forward_BSH, forward_last = run_padded(self.forwards, x_BSE, lengths_B, *options)
        if self.backwards is None:
            return forward_BSH, forward_last
        reversal_BS = reverse_index(lengths_B, x_BSE.shape[1])
        reversed_BSE = gather_steps(x_BSE, reversal_BS)
        backward_BSH, backward_last = run_padded(self.backwards, reversed_BSE, lengths_B, *options)
        states_BSH = torch.cat([forward_BSH, gather_steps(backward_BSH, reversal_BS)], dim=-1)
        return states_BSH, tuple(torch.cat(pair, dim=-1) for pair in zip(forward_last, backward_last, strict=True))


def run_padded(
    layer: Layer,
    x_BSE: Tensor,
    lengths_B: Tensor,
    want_last: bool,
    weight_drop: float = 0.0,
    checkpointing: bool = False,
) -> tuple[Tensor, State]:
    """Run one direction over right-padded sentences, and find the state at each sentence's last token if wanted.

    A fused call returns h of every step but c of the last step only. The last states of an LSTM therefore need a packed
    sequence, which knows the end of each sentence; it takes no weights but the layer's own, and with `checkpointing` it
    is recomputed as a whole, not in segments.
    """
    if not isinstance(layer, RecurrentLayer) or layer.arch != "lstm" or not want_last:
        h_BSH, _ = run_layer(layer, x_BSE, None, weight_drop, checkpointing)
        last = (h_BSH[torch.arange(len(lengths_B), device=h_BSH.device), lengths_B - 1],) if want_last else ()
        return h_BSH, last
    if checkpointing:
        return checkpoint_call(_run_packed, x_BSE, layer, lengths_B)
    return _run_packed(x_BSE, layer, lengths_B)


def _run_packed(x_BSE: Tensor, layer: RecurrentLayer, lengths_B: Tensor) -> tuple[Tensor, State]:
    if is_fp16_autocast_on_cpu(x_BSE):
        with torch.autocast("cpu", enabled=False):
            return _run_packed(x_BSE.float(), layer, lengths_B)
    packed = nn.utils.rnn.pack_padded_sequence(x_BSE, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
    h_packed, (h_1BH, c_1BH) = layer.fused(packed)
    h_BSH, _ = nn.utils.rnn.pad_packed_sequence(h_packed, batch_first=True, total_length=x_BSE.shape[1])
    return h_BSH, (h_1BH.squeeze(0), c_1BH.squeeze(0))
