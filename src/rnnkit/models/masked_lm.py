"""A model that fills gaps: the probability of each token given all before it and all behind it in its line.

    x_t  = E[w_t]                                         embedding, of <s> w_1 … w_n </s>
    f_t  = forward layers over <s> w_1 … w_t              f_0 has read <s> alone
    b_t  = backward layers over </s> w_n … w_t            b_{n+1} has read </s> alone
    u_t  = P [f_{t-1}; b_{t+1}; f_{t-1} * b_{t+1}] + c
    p(w_t | w_1 … w_{t-1}, w_{t+1} … w_n) = softmax(W u_t + d)        W = E where it is tied

The two stacks never see each other's states, so that nothing of w_t comes into u_t, and all places of a line are
predicted in one pass (Mousa and Schuller 2017, "Contextual bidirectional LSTM recurrent neural network language
models"; Melamud et al. 2016, "context2vec"). Such a model sees the future: it is no language model, and the product of
its probabilities over a line is no probability of the line. The product of the two states lets one side change what the
other means; without it each would only cast its vote, p proportional to p_f(w_t) p_b(w_t).

In training a share of the tokens is read as <unk>, so that a gap beside a gap is nothing new.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.nn import dropout, losses
from rnnkit.nn.kinds import LanguageArch
from rnnkit.nn.layer import Layer, make_layer, run_layer
from rnnkit.nn.recompute import Recomputing
from rnnkit.nn.recurrent import gather_steps, reverse_index
from rnnkit.text import special_tokens

INIT_RANGE = 0.1
"""Embeddings start uniform within this."""


@dataclass(frozen=True)
class MaskedLMConfig:
    """Everything that fixes the shape of the network.

    Attributes:
        arch: Recurrent unit; every one but `transformer`.
        vocabulary: Rows of the vocabulary.
        embedding: Size of the embeddings, and of what goes into the output layer.
        hidden: Size of the states of each direction.
        layers: Layers of each direction.
        tied: Whether the output matrix is the embeddings.
        residual: Whether a layer's input is added to its output where sizes agree.
        dropout: Locked dropout on what goes into the output layer.
        dropout_input: Locked dropout on the embeddings of what is read.
        dropout_hidden: Locked dropout behind each layer.
        dropout_embedding: Share of the vocabulary's rows dropped from what is read.
        weight_drop: Share of connections dropped from the state matrices; `mingru` has none.
        blanked: Share of tokens read as <unk> in training.
    """

    arch: LanguageArch
    vocabulary: int
    embedding: int = 256
    hidden: int = 256
    layers: int = 1
    tied: bool = True
    residual: bool = False
    dropout: float = 0.2
    dropout_input: float = 0.2
    dropout_hidden: float = 0.2
    dropout_embedding: float = 0.0
    weight_drop: float = 0.0
    blanked: float = 0.05


class MaskedLM(Recomputing):
    """The network of this file's head. Weights only: no tokenizer, no files, no search.

    Raises:
        ValueError: The arch has no recurrent layer.
    """

    def __init__(self, config: MaskedLMConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        nn.init.uniform_(self.embedding.weight, -INIT_RANGE, INIT_RANGE)
        self.forwards = nn.ModuleList(_make_layers(config))
        self.backwards = nn.ModuleList(_make_layers(config))
        self.projection = nn.Linear(3 * config.hidden, config.embedding)
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary))
        if config.tied:
            self.output_weight = self.embedding.weight
        else:
            self.output_weight = nn.Parameter(
                torch.empty(config.vocabulary, config.embedding).uniform_(-INIT_RANGE, INIT_RANGE)
            )

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """The table of what is read."""
        return (self.embedding,)

    def hidden_states(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Read whole lines; in training mode with dropout.

        Args:
            ids_BT: Each line with EOS at its end, padded on the right.
            lengths_B: Tokens of each line, EOS counted; at least 1.

        Returns:
            What the output layer sees for each place (B, T, E). The place of a line's EOS, and those behind it, are
            no places: what stands there means nothing.
        """
        ids_BT = self._blank(ids_BT)
        ahead_BT = torch.cat([torch.full_like(ids_BT[:, :1], special_tokens.BOS), ids_BT[:, :-1]], dim=1)
        reversal_BT = reverse_index(lengths_B, ids_BT.shape[1])
        before_BTH = self._run(self.forwards, ahead_BT)
        behind_BTH = gather_steps(self._run(self.backwards, ids_BT.gather(1, reversal_BT)), reversal_BT)
        # The state behind place t is the one that has read from the end down to t + 1.
        behind_BTH = torch.cat([behind_BTH[:, 1:], torch.zeros_like(behind_BTH[:, :1])], dim=1)
        readout_BTE = self.projection(torch.cat([before_BTH, behind_BTH, before_BTH * behind_BTH], dim=-1))
        return dropout.locked_dropout(readout_BTE, self.config.dropout, self.training)

    def loss(self, ids_BT: Tensor, lengths_B: Tensor, kind: torch.dtype | None = None) -> Tensor:
        """Negative log-likelihood of every token but the end symbols, summed, in nats.

        Args:
            ids_BT: As for `read`.
            lengths_B: As for `read`.
            kind: Type of the output layer's products; as autocast says unless given.
        """
        real_BT = prediction_mask(ids_BT, lengths_B)
        readout_NE = self.hidden_states(ids_BT, lengths_B)[real_BT]
        return losses.fused_loss(readout_NE, self.output_weight, self.output_bias, ids_BT[real_BT], kind=kind)[0]

    def nll(self, readout_NE: Tensor, target_N: Tensor) -> Tensor:
        """Exact negative log-likelihood of each target (N,), in nats."""
        return losses.exact_nll(readout_NE, self.output_weight, self.output_bias, target_N)

    def log_probabilities(self, readout_NE: Tensor) -> Tensor:
        """Natural logarithms of the probabilities of all tokens (N, V)."""
        return losses.log_probabilities(readout_NE, self.output_weight, self.output_bias)

    def _blank(self, ids_BT: Tensor) -> Tensor:
        """The tokens as they are read: in training some are <unk>, and the end symbols and padding are not."""
        if not self.training or self.config.blanked == 0:
            return ids_BT
        drawn_BT = torch.rand(ids_BT.shape, device=ids_BT.device) < self.config.blanked
        return ids_BT.masked_fill(
            drawn_BT & (ids_BT != special_tokens.EOS) & (ids_BT != special_tokens.PAD), special_tokens.UNK
        )

    def _run(self, stack: nn.ModuleList, ids_BT: Tensor) -> Tensor:
        """The states of the last layer of one direction (B, T, H)."""
        config = self.config
        # Time first in memory: what recurrent layers want, and free for all others.
        rows_TBE = dropout.embedding_dropout(self.embedding.weight, ids_BT.t(), config.dropout_embedding, self.training)
        x_BTE = dropout.locked_dropout(rows_TBE.transpose(0, 1), config.dropout_input, self.training)
        share = config.weight_drop if self.training else 0.0
        for layer in cast(Sequence[Layer], stack):
            h_BTH, _ = run_layer(layer, x_BTE, None, share, self.recompute)
            if config.residual and h_BTH.shape == x_BTE.shape:
                h_BTH = h_BTH + x_BTE
            x_BTE = dropout.locked_dropout(h_BTH, config.dropout_hidden, self.training)
        return x_BTE


def prediction_mask(ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """True where a token stands that is predicted: before its line's EOS (B, T)."""
    return torch.arange(ids_BT.shape[1], device=ids_BT.device) < (lengths_B - 1).unsqueeze(1)


def _make_layers(config: MaskedLMConfig) -> list[Layer]:
    sizes = [config.embedding, *[config.hidden] * config.layers]
    return [make_layer(config.arch, *pair) for pair in itertools.pairwise(sizes)]
