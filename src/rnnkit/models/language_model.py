"""A language model: the probability of each token given all before it.

    x_t   = E[w_t]                                     embedding
    h^1_t = layer_1(x_t, h^1_{t-1}), … h^L_t           recurrent layers, or Transformer blocks over x_1 … x_t
    p(w_{t+1} | w_1 … w_t) = softmax(W h^L_t + b)      W = E where it is tied (Press and Wolf 2017, arXiv:1608.05859)

Regularised as in Merity et al. 2017 (arXiv:1708.02182): locked dropout on embeddings, between the layers and on the
output, whole rows of E dropped, and connections of the state matrices dropped once for all steps.

Text is one endless stream, `… w w </s> w w w </s> …`, or lines that start from nothing each; either way `</s>` is read
before the first token, so that every token is predicted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.nn import dropout, losses
from rnnkit.nn.kinds import LanguageArch, LineContext
from rnnkit.nn.layer import Layer, make_layer, run_layer
from rnnkit.nn.recompute import Recomputing
from rnnkit.nn.sampled_softmax import Proposal, sampled_loss
from rnnkit.nn.transformer import TransformerLayer
from rnnkit.text import special_tokens

LMLayer = Layer | TransformerLayer

LMState = tuple[tuple[Tensor, ...], ...]
"""What each layer remembers; every tensor has the batch first."""

INIT_RANGE = 0.1
"""Embeddings start uniform within this."""


@dataclass(frozen=True)
class LMConfig:
    """Everything that fixes the shape of the network and what it reads.

    Attributes:
        arch: Recurrent unit, or `transformer`.
        vocabulary: Rows of the vocabulary.
        embedding: Size of the embeddings.
        hidden: Size of the states. With tied embeddings the last recurrent layer has the size of the embeddings.
        layers: How many.
        tied: Whether the output matrix is the embeddings.
        residual: Whether a recurrent layer's input is added to its output where sizes agree; a Transformer has its own.
        context: `stream`, where lines follow each other, or `line`, where each starts from nothing.
        heads: Attention heads; `transformer` only.
        memory: Tokens that a `transformer` looks back on.
        dropout: Locked dropout on the output.
        dropout_input: Locked dropout on the embeddings of what is read.
        dropout_hidden: Locked dropout between layers.
        dropout_embedding: Share of the vocabulary's rows dropped from what is read.
        weight_drop: Share of connections dropped from the state matrices.
    """

    arch: LanguageArch
    vocabulary: int
    embedding: int = 256
    hidden: int = 256
    layers: int = 1
    tied: bool = True
    residual: bool = False
    context: LineContext = "stream"
    heads: int = 4
    memory: int = 128
    dropout: float = 0.2
    dropout_input: float = 0.2
    dropout_hidden: float = 0.2
    dropout_embedding: float = 0.0
    weight_drop: float = 0.0


@dataclass(frozen=True)
class LMOutput:
    """What reading a batch came to.

    Attributes:
        raw_BTE: States of the last layer.
        hidden_BTE: The same as the output layer sees them, after dropout.
        state: What the layers remember at the end.
    """

    raw_BTE: Tensor
    hidden_BTE: Tensor
    state: LMState


class LanguageModel(Recomputing):
    """The network of this file's head. Weights only: no tokenizer, no files, no search."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        nn.init.uniform_(self.embedding.weight, -INIT_RANGE, INIT_RANGE)
        self.layers = nn.ModuleList(_make_layers(config))
        rows = config.vocabulary
        self.output_weight = self.embedding.weight if config.tied else _output_matrix(rows, config.hidden)
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary))
        # A Transformer's layers drop from what each of their parts adds, not from what is handed on.
        self._residual = config.residual and config.arch != "transformer"
        self._between = 0.0 if config.arch == "transformer" else config.dropout_hidden

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """The table of what is read."""
        return (self.embedding,)

    def initial_state(self, batch: int) -> LMState:
        """What is remembered before anything was read, for this many rows."""
        like = self.output_bias.new_empty(batch, 1)
        return tuple(layer.zero_state(like) for layer in self._layers())

    def hidden_states(self, input_BT: Tensor, state: LMState) -> LMOutput:
        """Read on from a state; in training mode with dropout."""
        config = self.config
        # Time first in memory: what recurrent layers want, and free for all others.
        rows_TBE = dropout.embedding_dropout(
            self.embedding.weight, input_BT.t(), config.dropout_embedding, self.training
        )
        x_BTE = self._lock(rows_TBE.transpose(0, 1), config.dropout_input)
        last: list[tuple[Tensor, ...]] = []
        raw_BTE = x_BTE
        for number, (layer, before) in enumerate(zip(self._layers(), state, strict=True)):
            raw_BTE, after = self._run(layer, x_BTE, before)
            last.append(after)
            if self._residual and raw_BTE.shape == x_BTE.shape:
                raw_BTE = raw_BTE + x_BTE
            between = number + 1 < config.layers
            x_BTE = self._lock(raw_BTE, self._between if between else config.dropout)
        return LMOutput(raw_BTE, x_BTE, tuple(last))

    def loss(self, hidden_NE: Tensor, target_N: Tensor, kind: torch.dtype | None = None) -> Tensor:
        """Negative log-likelihood of the targets, summed, in nats; products in `kind`, or autocast's type."""
        return losses.fused_loss(hidden_NE, self.output_weight, self.output_bias, target_N, kind=kind)[0]

    def sampled_loss(
        self, hidden_NE: Tensor, target_N: Tensor, proposal: Proposal, kind: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """The loss of a sampled softmax, summed, and its estimate of the negative log-likelihood, summed, in nats."""
        output = self.output_weight, self.output_bias
        loss, nll_N = sampled_loss(hidden_NE, *output, target_N, proposal.draw(), proposal.log_inclusion_V, kind)
        return loss, nll_N.sum()

    def nll(self, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
        """Exact negative log-likelihood of each target (N,), in nats."""
        return losses.exact_nll(hidden_NE, self.output_weight, self.output_bias, target_N)

    def log_probabilities(self, hidden_NE: Tensor) -> Tensor:
        """Natural logarithms of the probabilities of all tokens (N, V)."""
        return losses.log_probabilities(hidden_NE, self.output_weight, self.output_bias)

    def _lock(self, x_BTE: Tensor, share: float) -> Tensor:
        return dropout.locked_dropout(x_BTE, share, self.training)

    def _layers(self) -> Sequence[LMLayer]:
        return cast(Sequence[LMLayer], self.layers)

    def _run(self, layer: LMLayer, x_BTE: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if isinstance(layer, TransformerLayer):
            read: tuple[Tensor, tuple[Tensor, ...]] = self.run(layer, x_BTE, state)
            return read
        return run_layer(layer, x_BTE, state, self.config.weight_drop if self.training else 0.0, self.recompute)


def _make_layers(config: LMConfig) -> Sequence[LMLayer]:
    if config.arch == "transformer":
        shape = config.hidden, config.heads, config.memory
        last = config.layers - 1
        return [
            TransformerLayer(*shape, dropout=config.dropout_hidden, last=number == last)
            for number in range(config.layers)
        ]
    size = config.embedding if config.tied else config.hidden
    sizes = [config.embedding, *[config.hidden] * (config.layers - 1), size]
    return [make_layer(config.arch, *pair) for pair in itertools.pairwise(sizes)]


def _output_matrix(rows: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(rows, size).uniform_(-INIT_RANGE, INIT_RANGE))


def flatten_time_major(steps_BT: Tensor) -> Tensor:
    """One row a prediction, time first: the order in which recurrent layers leave them, so that nothing is copied."""
    return steps_BT.transpose(0, 1).flatten(0, 1)


def select_predictions(hidden_BTE: Tensor, target_BT: Tensor, padded: bool) -> tuple[Tensor, Tensor]:
    """What the output layer sees and should say, one row a prediction; padding, where there is some, left out."""
    hidden_NE, target_N = flatten_time_major(hidden_BTE), flatten_time_major(target_BT)
    if not padded:
        return hidden_NE, target_N
    wanted_N = target_N != special_tokens.PAD
    return hidden_NE[wanted_N], target_N[wanted_N]


def detach_state(state: LMState) -> LMState:
    """The same state, through which no gradient flows back: where truncated backpropagation cuts."""
    return tuple(tuple(part.detach() for part in layer) for layer in state)


def select_state(state: LMState, rows: Tensor) -> LMState:
    """The states of these rows, in this order."""
    return tuple(tuple(part[rows] for part in layer) for layer in state)
