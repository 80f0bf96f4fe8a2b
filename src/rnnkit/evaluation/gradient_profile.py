"""Gradient flow: the gradient of a token's loss with respect to the hidden state, or the input, k steps earlier.

    L_t = -log p(w_{t+1} | w_1 … w_t)       g_k = | d L_t / d S_{t-k} |        k = 0, 1, 2, …

S_t is the full recurrent state after step t: h_t of every layer and, for an LSTM, c_t, as one vector. At k = 0 it is
h_t of the last layer, the only input of the output layer. For a simple RNN with one layer,

    d L_t / d h_{t-1} = W_h^T diag(1 - h_t^2) d L_t / d h_t

so that g_k behaves like the k-th power of a matrix: it vanishes or explodes (Bengio, Simard and Frasconi 1994; Pascanu
et al. 2013, arXiv:1211.5063). A Transformer has no recurrent state; it is compared with the other architectures by
g_k = | d L_t / d x_{t-k} |, where x_t is the embedding of w_t.

The network runs step by step. Each state separates the graph into before and after, so one backward pass yields the
gradients with respect to all states.

Shapes: N positions, T input tokens, K steps back, D size of the state, E embedding, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig, LMOutput, LMState
from rnnkit.nn.kinds import Initialization
from rnnkit.text import special_tokens

WARMUP_TOKENS = 50
"""Tokens processed before the first measured step, so that it starts from a typical state instead of zeros."""

BATCH_POSITIONS = 16
"""Positions processed at once; the graph of all their steps is in memory."""


@dataclass(frozen=True)
class GradientProfile:
    """Gradient norms as a function of the distance k.

    Attributes:
        norms: g_k for k = 0, 1, 2, …, averaged over all positions.
        positions: Number of positions.
    """

    norms: tuple[float, ...]
    positions: int

    @property
    def relative(self) -> tuple[float, ...]:
        """g_k / g_0 for each k; all zero if g_0 is zero."""
        start = self.norms[0]
        return tuple(norm / start if start else 0.0 for norm in self.norms)

    @property
    def factor(self) -> float | None:
        """Geometric mean of g_{k+1} / g_k for k >= 1; None if it is undefined."""
        _, first, *later = self.norms
        return (later[-1] / first) ** (1 / len(later)) if later and first else None

    def falls_below(self, share: float) -> int | None:
        """Return the first k with g_k below this fraction of g_0; None if there is none."""
        return next((steps for steps, norm in enumerate(self.relative) if norm < share), None)


GradientNorms = Callable[[LanguageModelNetwork, Tensor, Tensor, int], Tensor]
"""Computes the norms (K + 1, N) from a network, input_NT, target_N and K."""


def measure_gradient_profile(
    network: LanguageModelNetwork, input_NT: Tensor, target_N: Tensor, steps: int, gradients: GradientNorms
) -> GradientProfile:
    """Average the gradient norms over many positions.

    Args:
        network: The model in float64, so that vanishing gradients do not underflow; it runs in evaluation mode.
        input_NT: Input up to each position, more than `steps` tokens.
        target_N: The next token at each position.
        steps: Maximum k, at least 1.
        gradients: `state_gradient_norms` or `input_gradient_norms`.

    Raises:
        ValueError: There are too few tokens, or `steps` is below 1.
    """
    if not 1 <= steps < input_NT.shape[1]:
        raise ValueError(f"{steps} steps back need more than {input_NT.shape[1]} tokens")
    training = network.training
    network.eval()
    try:
        pairs = zip(torch.split(input_NT, BATCH_POSITIONS), torch.split(target_N, BATCH_POSITIONS), strict=True)
        norms_KN = torch.cat([gradients(network, inputs, targets, steps) for inputs, targets in pairs], dim=1)
    finally:
        network.train(training)
    return GradientProfile(tuple(norms_KN.mean(dim=1).tolist()), len(target_N))


def state_gradient_norms(network: LanguageModelNetwork, input_NT: Tensor, target_N: Tensor, steps: int) -> Tensor:
    """Compute the norms (K + 1, N) of the gradient with respect to the recurrent state k steps earlier."""
    state = _warm_up(network, input_NT[:, : input_NT.shape[1] - steps])
    cuts = [tuple(part.requires_grad_() for layer in state for part in layer)]
    for input_N in input_NT[:, input_NT.shape[1] - steps :].unbind(1):
        output = network.hidden_states(input_N.unsqueeze(1), state)
        # Clone, so that the gradient of c_t excludes its path to the loss through h_t of the same step.
        state = tuple(tuple(part.clone() for part in layer) for layer in output.state)
        cuts.append(tuple(part for layer in state for part in layer))
    hidden_NE = output.hidden_BTE[:, -1]
    variables = [hidden_NE, *(part for cut in reversed(cuts[:-1]) for part in cut)]
    first, *rest = torch.autograd.grad(_loss(network, hidden_NE, target_N), variables)
    parts = len(cuts[0])
    steps_back = [torch.cat(rest[begin : begin + parts], dim=1) for begin in range(0, len(rest), parts)]
    return torch.stack([torch.linalg.vector_norm(gradient_ND, dim=1) for gradient_ND in (first, *steps_back)])


def input_gradient_norms(network: LanguageModelNetwork, input_NT: Tensor, target_N: Tensor, steps: int) -> Tensor:
    """Compute the norms (K + 1, N) of the gradient with respect to the input embedding k steps earlier."""
    begin = input_NT.shape[1] - steps - 1
    state = _warm_up(network, input_NT[:, :begin])
    measured_NT = input_NT[:, begin:]
    # A temporary embedding table with a separate row for each input token separates the gradients of equal tokens.
    table_VE = network.embedding.weight.detach()[measured_NT.flatten()].requires_grad_()
    id_NT = torch.arange(measured_NT.numel()).view_as(measured_NT)
    output: LMOutput = torch.func.functional_call(
        _HiddenStates(network), {"network.embedding.weight": table_VE}, (id_NT, state), tie_weights=False
    )
    (gradient_VE,) = torch.autograd.grad(_loss(network, output.hidden_BTE[:, -1], target_N), table_VE)
    norm_NT: Tensor = torch.linalg.vector_norm(gradient_VE, dim=1).view_as(measured_NT)
    return norm_NT.t().flip(0)


class _HiddenStates(nn.Module):
    """A module whose `forward` is `LanguageModel.hidden_states`, for `torch.func.functional_call`."""

    def __init__(self, network: LanguageModelNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_BT: Tensor, state: LMState) -> LMOutput:
        return self.network.hidden_states(input_BT, state)


@torch.no_grad()
def _warm_up(network: LanguageModelNetwork, input_NT: Tensor) -> LMState:
    """Return the state after these tokens, of which there may be none."""
    state = network.initial_state(len(input_NT))
    return network.hidden_states(input_NT, state).state if input_NT.shape[1] else state


def _loss(network: LanguageModelNetwork, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
    """Sum the losses of all positions. Rows are independent, so the gradient of the sum has each row's own gradient."""
    logits_NV = nn.functional.linear(hidden_NE, network.output_weight, network.output_bias)
    return nn.functional.cross_entropy(logits_NV, target_N, reduction="sum")


def choose_positions(ids: IntArray, steps: int, positions: int) -> tuple[Tensor, Tensor]:
    """Select evenly spaced positions of a text.

    Args:
        ids: The text, each line ending in EOS.
        steps: Maximum k.
        positions: Number of positions; fewer if the text is too short.

    Returns:
        The input up to each position, (positions, T) with T > `steps`, and the next tokens, (positions,).

    Raises:
        ValueError: No position has enough tokens before it.
    """
    stream = np.concatenate(([special_tokens.EOS], np.asarray(ids, dtype=np.int64)))
    if len(stream) < steps + 2:
        raise ValueError(f"{steps} steps back need {steps + 1} tokens, the text has {len(ids)}")
    length = min(WARMUP_TOKENS + steps + 1, len(stream) - 1)
    starts_N = np.unique(np.linspace(0, len(stream) - 1 - length, positions).astype(np.int64))
    window_NT = stream[starts_N[:, None] + np.arange(length + 1)]
    return torch.from_numpy(window_NT[:, :-1]), torch.from_numpy(window_NT[:, -1])


def random_positions(vocabulary: int, steps: int, positions: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sample random tokens, for untrained networks. Returns as `choose_positions`."""
    random = np.random.default_rng(seed)
    window_NT = random.integers(len(special_tokens.NAMES), vocabulary, size=(positions, WARMUP_TOKENS + steps + 2))
    return torch.from_numpy(window_NT[:, :-1]), torch.from_numpy(window_NT[:, -1])


def initialize_model(config: LMConfig, start: Initialization, seed: int) -> LanguageModelNetwork:
    """Create an untrained network. The global random state is not changed.

    Args:
        config: Architecture and sizes.
        start: Initialization of the recurrent layers: `orthogonal` is that of this package, with orthogonal recurrent
            matrices and the LSTM's forget gate open; `uniform` is torch's, all weights uniform within 1 / sqrt(H).
        seed: Random seed of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LanguageModelNetwork(config)
        if start == "uniform" and config.arch != "transformer":
            _initialize_uniformly(network.layers)
    return network


def _initialize_uniformly(layers: nn.ModuleList) -> None:
    for layer in layers:
        bound = int(layer.hidden_size) ** -0.5  # type: ignore[arg-type]  # all recurrent layers have it
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)
