"""Recurrent layers: vanilla RNN, GRU and LSTM, over whole sequences or one step at a time.

A layer runs over right-padded batches in one fused call per direction. Padding needs no packing: hidden states after
the end of a sentence are never used. `PackedSequence` would leave torch's fused CPU kernels; two unidirectional layers,
the second over sequences reversed by a gather, do not.

`cells.py` holds the equations; tests compare values and gradients of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import inference_kernels_apply, layer_kernels_apply
from rnnkit.nn import cells
from rnnkit.nn.cells import State
from rnnkit.nn.device import is_fp16_autocast_on_cpu
from rnnkit.nn.kinds import Arch


class RecurrentLayer(nn.Module):
    """One recurrent layer in one direction.

    Args:
        arch: `rnn`, `gru` or `lstm`.
        input_size: Size E of the input.
        hidden_size: Size H of the hidden state.
        reset_inside: For `gru`: apply the reset gate before the product, as in the paper; this runs step by step.

    Attributes:
        step_linears: Linear layers for inputs and hidden states that `step` uses instead of the layer's own weights,
            for faster decoding; None to use its own.
    """

    def __init__(self, arch: Arch, input_size: int, hidden_size: int, reset_inside: bool = False) -> None:
        super().__init__()
        self.arch = arch
        self.hidden_size = hidden_size
        self.reset_inside = reset_inside
        self.step_linears: tuple[nn.Module, nn.Module] | None = None
        modules = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
        self.fused: nn.RNNBase = modules[arch](input_size, hidden_size)
        _initialize(self)

    @property
    def input_weights(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Input-to-hidden matrix (gates x H, E) and bias, gates in torch's order."""
        return cast(tuple[nn.Parameter, nn.Parameter], (self.fused.weight_ih_l0, self.fused.bias_ih_l0))

    @property
    def hidden_weights(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Hidden-to-hidden matrix (gates x H, H) and bias, gates in torch's order."""
        return cast(tuple[nn.Parameter, nn.Parameter], (self.fused.weight_hh_l0, self.fused.bias_hh_l0))

    def forward(
        self, x_BTE: Tensor, state: State | None = None, hidden_weight: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over whole sequences; on a CPU in float32 even under autocast to float16.

        Args:
            x_BTE: Input.
            state: Initial state, each part (B, H); zeros by default.
            hidden_weight: Matrix (gates x H, H) to use instead of the layer's own, such as one with DropConnect.

        Returns:
            Hidden states of all steps (B, T, H), and the last state (of step T, padding or not).
        """
        if is_fp16_autocast_on_cpu(x_BTE):
            with torch.autocast("cpu", enabled=False):
                start = None if state is None else tuple(part.float() for part in state)
                result: tuple[Tensor, State] = self(x_BTE.float(), start, hidden_weight)
            return result
        start = self.zero_state(x_BTE) if state is None else state
        weight = self.hidden_weights[0] if hidden_weight is None else hidden_weight
        if self.reset_inside:
            return self._unroll_reset_inside(x_BTE, start, weight)
        x_TBE = x_BTE.transpose(0, 1)
        if layer_kernels_apply(x_TBE, weight):
            from rnnkit.nn import recurrent_autograd  # imports Numba

            weights = self.input_weights, (weight, self.hidden_weights[1])
            h_TBH, last = recurrent_autograd.run_recurrent(self.arch, x_TBE, start, *weights)
            return h_TBH.transpose(0, 1), last
        h_TBH, *parts = self._run_torch(x_TBE, tuple(part.unsqueeze(0) for part in start), hidden_weight)
        return h_TBH.transpose(0, 1), tuple(part.squeeze(0) for part in parts)

    def step(self, x_BE: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """Compute one time step, for decoding and input feeding.

        Args:
            x_BE: Input.
            state: Previous states; fewer than inputs if several inputs continue the same state.
            parent_B: Index of the state that each input continues; None if each has its own.

        Returns:
            Next states, one per input.
        """
        if self.step_linears is not None:
            return self._step(self.step_linears[0](x_BE), None, state, parent_B)
        return self._step(nn.functional.linear(x_BE, *self.input_weights), None, state, parent_B)

    def step_from_product(self, product_BG: Tensor, state: State, hidden_weight: Tensor | None = None) -> State:
        """Compute one time step from W x + b, the input's product with its weights (B, gates x H)."""
        return self._step(product_BG, None, state, None, hidden_weight)

    def step_from_table(self, table_VG: Tensor, token_B: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """Compute one time step from a table of W x + b for every id, indexed by `token_B`; otherwise as `step`."""
        return self._step(table_VG, token_B, state, parent_B)

    def zero_state(self, like: Tensor) -> State:
        """Return a state of zeros for the batch size of `like`, its first dimension."""
        zeros_BH = like.new_zeros(like.shape[0], self.hidden_size)
        return (zeros_BH, zeros_BH.clone()) if self.arch == "lstm" else (zeros_BH,)

    def as_cell(self) -> nn.Module:
        """Return the reference cell of `cells.py` with the same weights."""
        layer = self.fused
        if self.arch == "gru":
            cell: cells._Gates = cells.GRUCell(layer.input_size, layer.hidden_size, self.reset_inside)
        else:
            cell = {"rnn": cells.RNNCell, "lstm": cells.LSTMCell}[self.arch](layer.input_size, layer.hidden_size)
        cell.weight_input, cell.bias_input = self.input_weights
        cell.weight_hidden, cell.bias_hidden = self.hidden_weights
        return cell

    def _run_torch(self, x_TBE: Tensor, start: State, hidden_weight: Tensor | None) -> Sequence[Tensor]:
        """Run torch's fused layer; return the hidden states of all steps and each part of the last state (1, B, H)."""
        first = start if self.arch == "lstm" else start[0]
        if hidden_weight is None:
            h_TBH, last = self.fused(x_TBE, first)
            return (h_TBH, *last) if self.arch == "lstm" else (h_TBH, last)
        run: Callable[..., Sequence[Tensor]] = getattr(
            torch._VF, {"rnn": "rnn_tanh", "gru": "gru", "lstm": "lstm"}[self.arch]
        )
        (input_weight, input_bias), (_, hidden_bias) = self.input_weights, self.hidden_weights
        weights: Sequence[Tensor] = [input_weight, hidden_weight, input_bias, hidden_bias]
        if x_TBE.is_cuda:
            weights = _flatten_weights(weights)
        return run(x_TBE, first, weights, True, 1, 0.0, self.training, False, False)

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
            return (self._step_reset_inside(product_BG, h_BH, weight, bias),)
        if self.step_linears is not None:
            hidden_MG = self.step_linears[1](state[0])
        else:
            hidden_MG = nn.functional.linear(state[0], weight, bias)
        return recurrent_step(self.arch, table_VG, token_B, hidden_MG, state, parent_B)

    def _step_reset_inside(self, product_BG: Tensor, h_BH: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        size = self.hidden_size
        input_gates_BG, input_candidate_BH = torch.split(product_BG, [2 * size, size], dim=-1)
        hidden_gates_BG = nn.functional.linear(h_BH, weight[: 2 * size], bias[: 2 * size])
        reset_BH, update_BH = torch.sigmoid(input_gates_BG + hidden_gates_BG).chunk(2, dim=-1)
        inner_BH = nn.functional.linear(reset_BH * h_BH, weight[2 * size :], bias[2 * size :])
        candidate_BH = torch.tanh(input_candidate_BH + inner_BH)
        return candidate_BH + update_BH * (h_BH - candidate_BH)

    def _unroll_reset_inside(self, x_BTE: Tensor, state: State, hidden_weight: Tensor | None) -> tuple[Tensor, State]:
        """Compute the input products at once and the rest step by step, as no fused kernel has this kind of GRU."""
        products_BTG = nn.functional.linear(x_BTE, *self.input_weights)
        outputs = []
        for product_BG in products_BTG.unbind(1):
            state = self.step_from_product(product_BG, state, hidden_weight)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state


def _initialize(layer: RecurrentLayer) -> None:
    """Initialize input weights Xavier-uniform, hidden weights orthogonal, and the LSTM's forget bias to 1.

    Saxe et al. 2013 (arXiv:1312.6120) for orthogonal weights, Jozefowicz et al. 2015 for the forget bias.
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


def _flatten_weights(weights: Sequence[Tensor]) -> list[Tensor]:
    """Copy the weights into one contiguous block, the layout that cuDNN needs; gradients pass through."""
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    blocks = torch.split(flat, [weight.numel() for weight in weights])
    return [block.view(weight.shape) for block, weight in zip(blocks, weights, strict=True)]


def recurrent_step(
    arch: Arch,
    table_VG: Tensor,
    token_N: Tensor | None,
    hidden_MG: Tensor,
    state: State,
    parent_N: Tensor | None = None,
) -> State:
    """Compute the next state of each row from the products of inputs and states with their weights.

    A compiled kernel does so where no gradient is needed; otherwise torch does.

    Args:
        arch: `rnn`, `gru` (reset gate after the product) or `lstm`.
        table_VG: W x + b of all possible inputs, gates in torch's order.
        token_N: Row of the table for each row; None if the table has one row for each.
        hidden_MG: U h + b of each state.
        state: Previous states, (h_MH,) or (h_MH, c_MH).
        parent_N: Index of the state that each row continues; None if each has its own.
    """
    if inference_kernels_apply(table_VG, hidden_MG, *state):
        return _kernel_step(arch, table_VG, token_N, hidden_MG, state, parent_N)
    if parent_N is not None:
        hidden_MG, state = hidden_MG[parent_N], tuple(part[parent_N] for part in state)
    return reference_recurrent_step(arch, table_VG if token_N is None else table_VG[token_N], hidden_MG, state)


def reference_recurrent_step(arch: Arch, input_NG: Tensor, hidden_NG: Tensor, state: State) -> State:
    """Compute `recurrent_step` by its equations, those of `cells.py`, from W x + b and U h + b of each row."""
    if arch == "rnn":
        return (torch.tanh(input_NG + hidden_NG),)
    if arch == "lstm":
        i_NH, f_NH, g_NH, o_NH = (input_NG + hidden_NG).chunk(4, dim=-1)
        c_NH = torch.sigmoid(f_NH) * state[1] + torch.sigmoid(i_NH) * torch.tanh(g_NH)
        return torch.sigmoid(o_NH) * torch.tanh(c_NH), c_NH
    size = state[0].shape[1]
    reset_NH, update_NH = torch.sigmoid(input_NG[:, : 2 * size] + hidden_NG[:, : 2 * size]).chunk(2, dim=-1)
    candidate_NH = torch.tanh(input_NG[:, 2 * size :] + reset_NH * hidden_NG[:, 2 * size :])
    return (candidate_NH + update_NH * (state[0] - candidate_NH),)


def _kernel_step(
    arch: Arch, table_VG: Tensor, token_N: Tensor | None, hidden_MG: Tensor, state: State, parent_N: Tensor | None
) -> State:
    from rnnkit.kernels import decoder_step as kernels
    from rnnkit.kernels import threads

    size = state[0].shape[1]
    rows = len(state[0]) if parent_N is None else len(parent_N)
    token_N, parent_N = (torch.arange(rows) if index_N is None else index_N for index_N in (token_N, parent_N))
    next_h_NH = state[0].new_empty(rows, size)
    next_c_NH = torch.empty_like(next_h_NH) if arch == "lstm" else next_h_NH
    inputs = (table_VG, token_N, parent_N, hidden_MG, state[-1])
    tensors = [part.contiguous() for part in (*inputs, next_h_NH, next_c_NH)]
    threads.parallel_for(kernels.STEP_KERNELS[arch], [rows, size, *tensors], min(rows, 4 * torch.get_num_threads()))
    return (next_h_NH, next_c_NH) if arch == "lstm" else (next_h_NH,)


def reverse_index(lengths_B: Tensor, steps: int) -> Tensor:
    """Return the index (B, S) that reverses each sentence and leaves its padding in place."""
    step_1S = torch.arange(steps, device=lengths_B.device).unsqueeze(0)
    length_B1 = lengths_B.unsqueeze(1)
    return torch.where(step_1S < length_B1, length_B1 - 1 - step_1S, step_1S)


def gather_steps(x_BSD: Tensor, index_BS: Tensor) -> Tensor:
    """Reorder the time steps of each sentence by an index.

    Whole rows are copied, in a tenth of the time that `torch.gather` takes to copy number by number.
    """
    sentences, steps, dimension = x_BSD.shape
    row_BS = index_BS + steps * torch.arange(sentences, device=index_BS.device).unsqueeze(1)
    return x_BSD.reshape(-1, dimension).index_select(0, row_BS.flatten()).view(*index_BS.shape, dimension)
