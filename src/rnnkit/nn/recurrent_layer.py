"""Recurrent layers as they run: one fused call a layer and direction, over right-padded batches.

Padding needs no packing here: to the right of a sentence's end the states are never looked at. `PackedSequence`
would leave torch's fused CPU kernels; two one-way layers, the second over sequences reversed by a gather, do
not. `cells.py` holds the equations; tests hold the two together, values and gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import inference_kernels_apply
from rnnkit.nn import cells
from rnnkit.nn.cells import State
from rnnkit.nn.device import is_fp16_autocast_on_cpu
from rnnkit.nn.kinds import Arch

"""Rows, batch times steps, that a layer must have for our own kernels to be faster than torch's."""


class RecurrentLayer(nn.Module):
    """One layer in one direction.

    Args:
        arch: `rnn`, `gru` or `lstm`.
        input_size: Size of the inputs.
        hidden_size: Size of the states.
        reset_inside: For `gru`: the reset gate inside the product, as in the paper; runs step by step.

    Attributes:
        step_maps: The maps of inputs and of states that single steps go by in place of its own, while decoding.
    """

    def __init__(self, arch: Arch, input_size: int, hidden_size: int, reset_inside: bool = False) -> None:
        super().__init__()
        self.arch = arch
        self.hidden_size = hidden_size
        self.reset_inside = reset_inside
        self.step_maps: tuple[nn.Module, nn.Module] | None = None
        kinds = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
        self.fused: nn.RNNBase = kinds[arch](input_size, hidden_size)
        _initialize(self)

    @property
    def input_weights(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Matrix (gates x H, E) and bias of the inputs, gates in torch's order."""
        return cast(tuple[nn.Parameter, nn.Parameter], (self.fused.weight_ih_l0, self.fused.bias_ih_l0))

    @property
    def hidden_weights(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Matrix (gates x H, H) and bias of the states, gates in torch's order."""
        return cast(tuple[nn.Parameter, nn.Parameter], (self.fused.weight_hh_l0, self.fused.bias_hh_l0))

    def forward(
        self, x_BTE: Tensor, state: State | None = None, hidden_weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over whole sequences; on a CPU in float32 where autocast asks for float16.

        Args:
            x_BTE: Inputs.
            state: Where it starts, each part (B, H); zeros unless given.
            hidden_weight: A matrix (gates x H, H) in place of the layer's own, such as one with weights dropped.

        Returns:
            The states h of all steps (B, T, H), and the last state (of step T, padding or not).
        """
        if is_fp16_autocast_on_cpu(x_BTE):
            with torch.autocast("cpu", enabled=False):
                start = None if state is None else tuple(part.float() for part in state)
                found: tuple[Tensor, State] = self(x_BTE.float(), start, hidden_weight)
            return found
        start = self.zero_state(x_BTE) if state is None else state
        weight = self.hidden_weights[0] if hidden_weight is None else hidden_weight
        if self.reset_inside:
            return self._scan_reset_inside(x_BTE, start, weight)
        x_TBE = x_BTE.transpose(0, 1)
        if layer_kernels_apply(x_TBE, weight):
            from rnnkit.nn import recurrent_autograd  # brings the compiler along

            weights = self.input_weights, (weight, self.hidden_weights[1])
            h_TBH, last = recurrent_autograd.run_recurrent(self.arch, x_TBE, start, *weights)
            return h_TBH.transpose(0, 1), last
        h_TBH, *parts = self._run_torch(x_TBE, tuple(part.unsqueeze(0) for part in start), hidden_weight)
        return h_TBH.transpose(0, 1), tuple(part.squeeze(0) for part in parts)

    def _run_torch(self, x_TBE: Tensor, start: State, hidden_weight: Tensor | None) -> Sequence[Tensor]:
        """The fused call of torch: the states of all steps, and each part of the last state (1, B, H)."""
        first = start if self.arch == "lstm" else start[0]
        if hidden_weight is None:
            h_TBH, last = self.fused(x_TBE, first)
            return (h_TBH, *last) if self.arch == "lstm" else (h_TBH, last)
        run: Any = getattr(torch._VF, {"rnn": "rnn_tanh", "gru": "gru", "lstm": "lstm"}[self.arch])
        (input_weight, input_bias), (_, hidden_bias) = self.input_weights, self.hidden_weights
        weights: Sequence[Tensor] = [input_weight, hidden_weight, input_bias, hidden_bias]
        if x_TBE.is_cuda:
            weights = _flatten_weights(weights)
        found: Sequence[Tensor] = run(x_TBE, first, weights, True, 1, 0.0, self.training, False, False)
        return found

    def step(self, x_BE: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """One step, for decoding and input feeding.

        Args:
            x_BE: Input.
            state: States, as many as there are inputs or fewer.
            parent_B: Which state each input comes behind; None where each has its own.

        Returns:
            The next states, one an input.
        """
        if self.step_maps is not None:
            return self._step(self.step_maps[0](x_BE), None, state, parent_B)
        return self._step(nn.functional.linear(x_BE, *self.input_weights), None, state, parent_B)

    def step_from_product(self, product_BG: Tensor, state: State, hidden_weight: Tensor | None = None) -> State:
        """One step from the input's product with its weights (B, gates x H)."""
        return self._step(product_BG, None, state, None, hidden_weight)

    def step_from_table(self, table_VG: Tensor, token_B: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """One step from the products of all inputs that there are, by their numbers; for the rest see `step`."""
        return self._step(table_VG, token_B, state, parent_B)

    def _step(
        self,
        table_VG: Tensor,
        token_B: Tensor | None,
        state: State,
        parent_B: Tensor | None,
        hidden_weight: Tensor | None = None,
    ) -> State:
        own_weight, bias = self.hidden_weights
        weight = own_weight if hidden_weight is None else hidden_weight
        if self.reset_inside:
            product_BG = table_VG if token_B is None else table_VG[token_B]
            h_BH = state[0] if parent_B is None else state[0][parent_B]
            return (self._reset_inside_step(product_BG, h_BH, weight, bias),)
        if self.step_maps is not None:
            sums_MG = self.step_maps[1](state[0])
        else:
            sums_MG = nn.functional.linear(state[0], weight, bias)
        return recurrent_step(self.arch, table_VG, token_B, sums_MG, state, parent_B)

    def _reset_inside_step(self, product_BG: Tensor, h_BH: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        size = self.hidden_size
        input_gates_BG, input_candidate_BH = torch.split(product_BG, [2 * size, size], dim=-1)
        hidden_gates_BG = nn.functional.linear(h_BH, weight[: 2 * size], bias[: 2 * size])
        reset_BH, update_BH = torch.sigmoid(input_gates_BG + hidden_gates_BG).chunk(2, dim=-1)
        inner_BH = nn.functional.linear(reset_BH * h_BH, weight[2 * size :], bias[2 * size :])
        candidate_BH = torch.tanh(input_candidate_BH + inner_BH)
        return candidate_BH + update_BH * (h_BH - candidate_BH)

    def _scan_reset_inside(self, x_BTE: Tensor, state: State, hidden_weight: Tensor | None) -> tuple[Tensor, State]:
        """No fused kernel has the reset gate inside: the input products at once, the rest step by step."""
        products_BTG = nn.functional.linear(x_BTE, *self.input_weights)
        outputs = []
        for product_BG in products_BTG.unbind(1):
            state = self.step_from_product(product_BG, state, hidden_weight)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def zero_state(self, like: Tensor) -> State:
        """A state of zeros for a batch as large as `like`'s first dimension."""
        zeros_BH = like.new_zeros(like.shape[0], self.hidden_size)
        return (zeros_BH, zeros_BH.clone()) if self.arch == "lstm" else (zeros_BH,)

    def as_cell(self) -> nn.Module:
        """The same weights as a cell of `cells.py`: the equations this layer must agree with."""
        layer = self.fused
        if self.arch == "gru":
            cell: cells._Gates = cells.GRUCell(layer.input_size, layer.hidden_size, self.reset_inside)
        else:
            cell = {"rnn": cells.RNNCell, "lstm": cells.LSTMCell}[self.arch](layer.input_size, layer.hidden_size)
        cell.weight_input, cell.bias_input = self.input_weights
        cell.weight_hidden, cell.bias_hidden = self.hidden_weights
        return cell


def _flatten_weights(weights: Sequence[Tensor]) -> list[Tensor]:
    """The same weights side by side in memory, as cuDNN wants them."""
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    pieces = torch.split(flat, [weight.numel() for weight in weights])
    return [piece.view(weight.shape) for piece, weight in zip(pieces, weights, strict=True)]


def reverse_index(lengths_B: Tensor, steps: int) -> Tensor:
    """Index (B, S) that reverses each sentence and leaves its padding where it is."""
    step_1S = torch.arange(steps, device=lengths_B.device).unsqueeze(0)
    length_B1 = lengths_B.unsqueeze(1)
    return torch.where(step_1S < length_B1, length_B1 - 1 - step_1S, step_1S)


def gather_steps(x_BSD: Tensor, index_BS: Tensor) -> Tensor:
    """x_BSD with its steps in the order of the index, sentence by sentence."""
    return x_BSD.gather(1, index_BS.unsqueeze(-1).expand(-1, -1, x_BSD.shape[-1]))


def _initialize(layer: RecurrentLayer) -> None:
    """Uniform input weights, orthogonal state weights, and for the LSTM a forget gate that starts open.

    Saxe et al. 2013 (arXiv:1312.6120) for the orthogonal start, Jozefowicz et al. 2015 for the forget bias.
    """
    size = layer.hidden_size
    (input_weight, input_bias), (hidden_weight, hidden_bias) = layer.input_weights, layer.hidden_weights
    for block in torch.split(hidden_weight.data, size):
        nn.init.orthogonal_(block)
    for block in torch.split(input_weight.data, size):
        nn.init.xavier_uniform_(block)
    nn.init.zeros_(input_bias)
    nn.init.zeros_(hidden_bias)
    if layer.arch == "lstm":
        nn.init.ones_(input_bias.data[size : 2 * size])


def recurrent_step(
    arch: Arch,
    table_VG: Tensor,
    token_N: Tensor | None,
    sums_MG: Tensor,
    state: State,
    parent_N: Tensor | None = None,
) -> State:
    """The next state of every row.

    Args:
        arch: `rnn`, `gru` (its reset gate behind the product) or `lstm`.
        table_VG: W x + b of every input there may be, gates in torch's order.
        token_N: Which of them each row has; None where the table has a line for each row.
        sums_MG: U h + b of every state.
        state: The states, (h_MH,) or (h_MH, c_MH).
        parent_N: Which of them each row goes on from; None where each goes on from its own.
    """
    if inference_kernels_apply(table_VG, sums_MG, *state):
        return _kernel_step(arch, table_VG, token_N, sums_MG, state, parent_N)
    if parent_N is not None:
        sums_MG, state = sums_MG[parent_N], tuple(part[parent_N] for part in state)
    return reference_recurrent_step(arch, table_VG if token_N is None else table_VG[token_N], sums_MG, state)


def reference_recurrent_step(arch: Arch, product_NG: Tensor, sums_NG: Tensor, state: State) -> State:
    """The same as its equations, those of `cells.py`."""
    if arch == "rnn":
        return (torch.tanh(product_NG + sums_NG),)
    if arch == "lstm":
        i_NH, f_NH, g_NH, o_NH = (product_NG + sums_NG).chunk(4, dim=-1)
        c_NH = torch.sigmoid(f_NH) * state[1] + torch.sigmoid(i_NH) * torch.tanh(g_NH)
        return torch.sigmoid(o_NH) * torch.tanh(c_NH), c_NH
    size = state[0].shape[1]
    reset_NH, update_NH = torch.sigmoid(product_NG[:, : 2 * size] + sums_NG[:, : 2 * size]).chunk(2, dim=-1)
    candidate_NH = torch.tanh(product_NG[:, 2 * size :] + reset_NH * sums_NG[:, 2 * size :])
    return (candidate_NH + update_NH * (state[0] - candidate_NH),)


def _kernel_step(
    arch: Arch, table_VG: Tensor, token_N: Tensor | None, sums_MG: Tensor, state: State, parent_N: Tensor | None
) -> State:
    from rnnkit.kernels import recurrent_step, threads

    size = state[0].shape[1]
    rows = len(state[0]) if parent_N is None else len(parent_N)
    token_N, parent_N = (torch.arange(rows) if index_N is None else index_N for index_N in (token_N, parent_N))
    after_NH = state[0].new_empty(rows, size)
    cells_NH = torch.empty_like(after_NH) if arch == "lstm" else after_NH
    tensors = [part.contiguous() for part in (table_VG, token_N, parent_N, sums_MG, state[-1], after_NH, cells_NH)]
    threads.parallel_for(
        recurrent_step.STEP_KERNELS[arch], [rows, size, *tensors], min(rows, 4 * torch.get_num_threads())
    )
    return (after_NH, cells_NH) if arch == "lstm" else (after_NH,)
