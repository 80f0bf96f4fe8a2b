"""Language model: the probability of each token given all tokens before it.

    x_t   = E[w_t]                                     embedding
    h^1_t = layer_1(x_t, h^1_{t-1}), … h^L_t           recurrent layers, or Transformer blocks over x_1 … x_t
    p(w_{t+1} | w_1 … w_t) = softmax(W h^L_t + b)      W = E if tied (Press and Wolf 2017, arXiv:1608.05859)

Regularization follows AWD-LSTM (Merity et al. 2017, arXiv:1708.02182): variational dropout on the embeddings, between
the layers and on the output; embedding dropout on whole rows of E; DropConnect on the recurrent weights, with one mask
for all time steps.

The text is either one endless stream, `… w w </s> w w w </s> …`, or separate lines that each start from a zero state.
Both feed `</s>` before the first token, so every token is predicted.

A backward model reads each line right to left: w_1 is the last token of a line, and `</s>` follows the first.

Shapes: B batch, T time, E embedding (or hidden size of the last layer), V vocabulary, N predictions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.nn import dropout, losses
from rnnkit.nn.bidirectional import Layer, make_layer, run_layer
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.nn.kinds import Direction, LanguageArch, LineContext
from rnnkit.nn.losses import Proposal, sampled_loss
from rnnkit.nn.transformer import TransformerLayer, TransformerSettings
from rnnkit.text import special_tokens

LMLayer = Layer | TransformerLayer

LMState = tuple[tuple[Tensor, ...], ...]
"""Recurrent state (or key-value cache) of each layer; every tensor is batch-first."""

INIT_RANGE = 0.1
"""Embeddings are initialized uniformly in [-INIT_RANGE, INIT_RANGE]."""


@dataclass(frozen=True)
class LMConfig:
    """Shape, regularization and context of the network; the `network` object of config.json.

    Attributes:
        arch: Recurrent architecture, or `transformer`.
        vocabulary: Vocabulary size.
        embedding: Embedding dimension.
        hidden: Hidden size. With tied embeddings the last recurrent layer has the embedding dimension instead.
        layers: Number of layers.
        tied: Weight tying: the output matrix is the embedding matrix.
        residual: Whether to add a recurrent layer's input to its output if their sizes agree; a Transformer always has
            residual connections.
        context: `stream` carries the state from line to line; `line` resets it at every line.
        direction: `forward` reads lines left to right, `backward` right to left; callers reverse the input.
        heads: Number of attention heads; `transformer` only.
        memory: Context length of a `transformer`, in tokens.
        dropout: Variational dropout before the output layer.
        dropout_input: Variational dropout on the input embeddings.
        dropout_hidden: Variational dropout between layers.
        dropout_embedding: Embedding dropout: probability of dropping a vocabulary entry from the input.
        weight_drop: DropConnect probability on the recurrent weights.
    """

    arch: LanguageArch
    vocabulary: int
    embedding: int = 256
    hidden: int = 256
    layers: int = 1
    tied: bool = True
    residual: bool = False
    context: LineContext = "stream"
    direction: Direction = "forward"
    heads: int = 4
    memory: int = 128
    dropout: float = 0.2
    dropout_input: float = 0.2
    dropout_hidden: float = 0.2
    dropout_embedding: float = 0.0
    weight_drop: float = 0.0


@dataclass(frozen=True)
class LMOutput:
    """Hidden states of a batch.

    Attributes:
        raw_BTE: Hidden states of the last layer before dropout.
        hidden_BTE: The same after dropout: the input of the output layer.
        state: State after the last token.
    """

    raw_BTE: Tensor
    hidden_BTE: Tensor
    state: LMState


class LanguageModelNetwork(CheckpointedLayer):
    """Network of the equations above: weights only, without tokenizer, files or search."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        nn.init.uniform_(self.embedding.weight, -INIT_RANGE, INIT_RANGE)
        self.layers = nn.ModuleList(_make_layers(config))
        size = config.vocabulary
        self.output_weight = self.embedding.weight if config.tied else _output_matrix(size, config.hidden)
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary))
        # A Transformer block applies dropout and residual connections inside its sublayers, not between blocks.
        self._residual = config.residual and config.arch != "transformer"
        self._dropout_between = 0.0 if config.arch == "transformer" else config.dropout_hidden

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """Embedding tables of the input."""
        return (self.embedding,)

    def initial_state(self, batch_size: int) -> LMState:
        """Return the zero state of a batch of this size."""
        like = self.output_bias.new_empty(batch_size, 1)
        return tuple(layer.zero_state(like) for layer in self._layers())

    def hidden_states(self, input_BT: Tensor, state: LMState) -> LMOutput:
        """Run the layers over the input, starting from a state; in training mode with dropout."""
        config = self.config
        # Recurrent layers are fastest on time-major memory; the layout costs the other layers nothing.
        embedded_TBE = dropout.embedding_dropout(
            self.embedding.weight, input_BT.t(), config.dropout_embedding, self.training
        )
        x_BTE = self._locked_dropout(embedded_TBE.transpose(0, 1), config.dropout_input)
        next_state: list[tuple[Tensor, ...]] = []
        raw_BTE = x_BTE
        for index, (layer, before) in enumerate(zip(self._layers(), state, strict=True)):
            raw_BTE, after = self._run_layer(layer, x_BTE, before)
            next_state.append(after)
            if self._residual and raw_BTE.shape == x_BTE.shape:
                raw_BTE = raw_BTE + x_BTE
            is_last = index + 1 == config.layers
            x_BTE = self._locked_dropout(raw_BTE, config.dropout if is_last else self._dropout_between)
        return LMOutput(raw_BTE, x_BTE, tuple(next_state))

    def loss(self, hidden_NE: Tensor, target_N: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Compute the negative log-likelihood of the targets, summed, in nats.

        Args:
            hidden_NE: Inputs of the output layer.
            target_N: Target ids.
            dtype: Precision of the output layer's matrix products; autocast's unless given.
        """
        return losses.fused_loss(hidden_NE, self.output_weight, self.output_bias, target_N, dtype=dtype)[0]

    def sampled_loss(
        self, hidden_NE: Tensor, target_N: Tensor, proposal: Proposal, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the sampled softmax loss and its estimate of the negative log-likelihood, both summed, in nats."""
        output = self.output_weight, self.output_bias
        loss, nll_N = sampled_loss(hidden_NE, *output, target_N, proposal.draw(), dtype)
        return loss, nll_N.sum()

    def nll(self, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
        """Compute the exact negative log-likelihood of each target (N,), in nats."""
        return losses.exact_nll(hidden_NE, self.output_weight, self.output_bias, target_N)

    def log_probabilities(self, hidden_NE: Tensor) -> Tensor:
        """Compute the log-probabilities of all tokens (N, V), in nats."""
        return losses.log_probabilities(hidden_NE, self.output_weight, self.output_bias)

    def _locked_dropout(self, x_BTE: Tensor, p: float) -> Tensor:
        return dropout.locked_dropout(x_BTE, p, self.training)

    def _layers(self) -> Sequence[LMLayer]:
        return cast(Sequence[LMLayer], self.layers)

    def _run_layer(self, layer: LMLayer, x_BTE: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if isinstance(layer, TransformerLayer):
            output: tuple[Tensor, tuple[Tensor, ...]] = self.run(layer, x_BTE, state)
            return output
        return run_layer(layer, x_BTE, state, self.config.weight_drop if self.training else 0.0, self.checkpointing)


def _make_layers(config: LMConfig) -> Sequence[LMLayer]:
    if config.arch == "transformer":
        settings = TransformerSettings(config.hidden, config.heads, config.memory, dropout=config.dropout_hidden)
        return [TransformerLayer(settings, last=index == config.layers - 1) for index in range(config.layers)]
    size = config.embedding if config.tied else config.hidden
    sizes = [config.embedding, *[config.hidden] * (config.layers - 1), size]
    return [make_layer(config.arch, *pair) for pair in itertools.pairwise(sizes)]


def _output_matrix(vocabulary: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(vocabulary, size).uniform_(-INIT_RANGE, INIT_RANGE))


def flatten_time_major(x_BT: Tensor) -> Tensor:
    """Flatten to one row per prediction, time-major: the memory order of recurrent layers, so nothing is copied."""
    return x_BT.transpose(0, 1).flatten(0, 1)


def select_predictions(hidden_BTE: Tensor, target_BT: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
    """Return the output layer's inputs (N, E) and targets (N,), without padding.

    Args:
        hidden_BTE: Inputs of the output layer.
        target_BT: Target ids.
        padded: Whether `target_BT` has padding; without it nothing is copied.
    """
    hidden_NE, target_N = flatten_time_major(hidden_BTE), flatten_time_major(target_BT)
    if not padded:
        return hidden_NE, target_N
    real_N = target_N != special_tokens.PAD
    return hidden_NE[real_N], target_N[real_N]


def detach_state(state: LMState) -> LMState:
    """Detach a state from the graph: the cut of truncated backpropagation through time (BPTT)."""
    return tuple(tuple(part.detach() for part in layer) for layer in state)


def select_state(state: LMState, rows: Tensor) -> LMState:
    """Select batch rows of a state, in the order of `rows`."""
    return tuple(tuple(part[rows] for part in layer) for layer in state)
