"""How far back a loss looks: its gradient by the state of k steps before, or by what was read then.

    L_t = -log p(w_{t+1} | w_1 … w_t)       g_k = | d L_t / d S_{t-k} |        k = 0, 1, 2, …

S_t is all that a step hands on to the next: h_t of every layer and, for the LSTM, c_t beside it, as one vector. At
k = 0 it is h_t of the last layer, the only one that the output layer sees. A vanilla unit of one layer has

    d L_t / d h_{t-1} = W_h^T diag(1 - h_t^2) d L_t / d h_t

and so g_k is led by the k-th power of a matrix: it vanishes or explodes (Bengio, Simard and Frasconi 1994; Pascanu et
al. 2013, arXiv:1211.5063). A Transformer hands on no state; it compares with the others by g_k = | d L_t / d x_{t-k} |,
x_t being the embedding of w_t.

The network reads one step at a time, every state is a cut through which all that went before must pass, and one
backward pass gives the gradients by all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModel, LMConfig, LMOutput, LMState
from rnnkit.nn.kinds import Initialization
from rnnkit.text import special_tokens

WARMUP_TOKENS = 50
"""Tokens read ahead of the first step that is looked at, so that it starts from a state as there is in a text."""

BATCH_POSITIONS = 16
"""Places taken at once; the steps of all of them are in memory."""


@dataclass(frozen=True)
class GradientProfile:
    """The gradients of many places of a text.

    Attributes:
        norms: g_k for k = 0, 1, 2, …, the mean over all places.
        places: How many there are.
    """

    norms: tuple[float, ...]
    places: int

    @property
    def relative(self) -> tuple[float, ...]:
        """g_k / g_0; all zero where there is no gradient at all."""
        start = self.norms[0]
        return tuple(norm / start if start else 0.0 for norm in self.norms)

    @property
    def factor(self) -> float | None:
        """What a step leaves of the gradient, the geometric mean over those from k = 1 on; None where that is all."""
        _, first, *later = self.norms
        return (later[-1] / first) ** (1 / len(later)) if later and first else None

    def falls_below(self, share: float) -> int | None:
        """The first k where g_k is less than this share of g_0; None where no such k was looked at."""
        return next((steps for steps, norm in enumerate(self.relative) if norm < share), None)


GradientNorms = Callable[[LanguageModel, Tensor, Tensor, int], Tensor]
"""Norms (K + 1, N) of a network, input_NT, target_N and K."""


def measure_gradient_profile(
    network: LanguageModel, input_NT: Tensor, target_N: Tensor, steps: int, gradients: GradientNorms
) -> GradientProfile:
    """Average the gradients of many places.

    Args:
        network: In float64, so that what vanishes is still a number; read as in evaluation.
        input_NT: What is read up to each place, more than `steps` tokens; the last one is the place itself.
        target_N: The token that comes next.
        steps: The greatest k.
        gradients: `by_state` or `by_input`.

    Raises:
        ValueError: There are too few tokens, or no step is to be taken.
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


def state_gradient_norms(network: LanguageModel, input_NT: Tensor, target_N: Tensor, steps: int) -> Tensor:
    """Norms (K + 1, N) of the gradient by all that was handed on k steps before."""
    state = _read_ahead(network, input_NT[:, : input_NT.shape[1] - steps])
    cuts = [tuple(part.requires_grad_() for layer in state for part in layer)]
    for input_N in input_NT[:, input_NT.shape[1] - steps :].unbind(1):
        reading = network.hidden_states(input_N.unsqueeze(1), state)
        # A copy of its own, so that c_t does not count what reaches the loss through h_t of the same step.
        state = tuple(tuple(part.clone() for part in layer) for layer in reading.state)
        cuts.append(tuple(part for layer in state for part in layer))
    hidden_NE = reading.hidden_BTE[:, -1]
    wanted = [hidden_NE, *(part for cut in reversed(cuts[:-1]) for part in cut)]
    first, *rest = torch.autograd.grad(_loss(network, hidden_NE, target_N), wanted)
    parts = len(cuts[0])
    steps_back = [torch.cat(rest[begin : begin + parts], dim=1) for begin in range(0, len(rest), parts)]
    return torch.stack([torch.linalg.vector_norm(gradient_ND, dim=1) for gradient_ND in (first, *steps_back)])


def input_gradient_norms(network: LanguageModel, input_NT: Tensor, target_N: Tensor, steps: int) -> Tensor:
    """Norms (K + 1, N) of the gradient by the embedding of what was read k steps before."""
    begin = input_NT.shape[1] - steps - 1
    state = _read_ahead(network, input_NT[:, :begin])
    read_NT = input_NT[:, begin:]
    # Each token read gets a row of its own in a table that stands in for the embeddings.
    table_VE = network.embedding.weight.detach()[read_NT.flatten()].requires_grad_()
    rows_NT = torch.arange(read_NT.numel()).view_as(read_NT)
    reading: LMOutput = torch.func.functional_call(
        _Reader(network), {"network.embedding.weight": table_VE}, (rows_NT, state), tie_weights=False
    )
    (gradient_VE,) = torch.autograd.grad(_loss(network, reading.hidden_BTE[:, -1], target_N), table_VE)
    norm_NT: Tensor = torch.linalg.vector_norm(gradient_VE, dim=1).view_as(read_NT)
    return norm_NT.t().flip(0)


class _Reader(nn.Module):
    """A network whose only use is to read."""

    def __init__(self, network: LanguageModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_BT: Tensor, state: LMState) -> LMOutput:
        return self.network.hidden_states(input_BT, state)


@torch.no_grad()
def _read_ahead(network: LanguageModel, input_NT: Tensor) -> LMState:
    """What is remembered after these tokens, of which there may be none."""
    state = network.initial_state(len(input_NT))
    return network.hidden_states(input_NT, state).state if input_NT.shape[1] else state


def _loss(network: LanguageModel, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
    """The sum of all places' losses: no row is in another's loss, so its gradient has each one's own."""
    logits_NV = nn.functional.linear(hidden_NE, network.output_weight, network.output_bias)
    return nn.functional.cross_entropy(logits_NV, target_N, reduction="sum")


def choose_positions(ids: IntArray, steps: int, places: int) -> tuple[Tensor, Tensor]:
    """Cut a text into what is read up to each place, and what comes next.

    Args:
        ids: The text, each line with its EOS.
        steps: The greatest k.
        places: How many are wanted, evenly spread; fewer where the text does not have so many.

    Returns:
        The tokens read, shape (places, T) with T > `steps`, and those that come next (places,).

    Raises:
        ValueError: The text has no place with so many tokens before it.
    """
    stream = np.concatenate(([special_tokens.EOS], np.asarray(ids, dtype=np.int64)))
    if len(stream) < steps + 2:
        raise ValueError(f"{steps} steps back need {steps + 1} tokens, the text has {len(ids)}")
    length = min(WARMUP_TOKENS + steps + 1, len(stream) - 1)
    starts_N = np.unique(np.linspace(0, len(stream) - 1 - length, places).astype(np.int64))
    window_NT = stream[starts_N[:, None] + np.arange(length + 1)]
    return torch.from_numpy(window_NT[:, :-1]), torch.from_numpy(window_NT[:, -1])


def random_positions(vocabulary: int, steps: int, places: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tokens drawn at random, for networks that know no text. As `choose_places`."""
    random = np.random.default_rng(seed)
    window_NT = random.integers(len(special_tokens.NAMES), vocabulary, size=(places, WARMUP_TOKENS + steps + 2))
    return torch.from_numpy(window_NT[:, :-1]), torch.from_numpy(window_NT[:, -1])


def initialize_model(config: LMConfig, start: Initialization, seed: int) -> LanguageModel:
    """A new network; random states outside are left as they are.

    Args:
        config: Its shape.
        start: How its recurrent layers start: as all of them do here, with orthogonal state matrices and the LSTM's
            forget gate open; or with all weights uniform within 1 / sqrt(H), as those of torch do.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LanguageModel(config)
        if start == "uniform" and config.arch != "transformer":
            _draw_uniform(network.layers)
    return network


def _draw_uniform(layers: nn.ModuleList) -> None:
    for layer in layers:
        bound = int(layer.hidden_size) ** -0.5  # type: ignore[arg-type]  # as every recurrent layer has it
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)
