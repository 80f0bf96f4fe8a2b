"""Masked language model: the probability of each token given the tokens on both sides of it in its line.

    x_t  = E[w_t]                                         embedding, of <s> w_1 … w_n </s>
    f_t  = forward layers over <s> w_1 … w_t              f_0 depends on <s> alone
    b_t  = backward layers over </s> w_n … w_t            b_{n+1} depends on </s> alone
    u_t  = P [f_{t-1}; b_{t+1}; f_{t-1} * b_{t+1}] + c
    p(w_t | w_1 … w_{t-1}, w_{t+1} … w_n) = softmax(W u_t + d)        W = E with tied embeddings

The forward and backward stacks do not exchange states, so u_t does not depend on w_t and one forward computation
predicts every position of a line (Mousa and Schuller 2017, "Contextual bidirectional LSTM recurrent neural network
language models"; Melamud et al. 2016, "context2vec"). The elementwise product lets one side change the meaning of the
other; without it p would be proportional to p_f(w_t) p_b(w_t).

Limitations: the probabilities are conditioned on the future, so their product over a line is not the probability of
the line (it is a pseudo-likelihood). In training, some input tokens are replaced by <unk>, which prepares the model
for lines with several gaps.

Shapes: B batch, T time, E embedding, H hidden, V vocabulary, N predictions.
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
from rnnkit.nn.kinds import LanguageArch
from rnnkit.nn.recurrent_layer import gather_steps, reverse_index
from rnnkit.text import special_tokens

INIT_RANGE = 0.1
"""Embeddings are initialized uniformly in [-INIT_RANGE, INIT_RANGE]."""


@dataclass(frozen=True)
class MaskedLMConfig:
    """Shape and regularization of the network; the `network` object of config.json.

    Attributes:
        arch: Recurrent architecture; any but `transformer`.
        vocabulary: Vocabulary size.
        embedding: Embedding dimension, also of the input of the output layer.
        hidden: Hidden size of each direction.
        layers: Number of layers in each direction.
        tied: Whether the output matrix is the embedding matrix.
        residual: Whether to add a layer's input to its output if their sizes agree.
        dropout: Variational dropout before the output layer.
        dropout_input: Variational dropout on the input embeddings.
        dropout_hidden: Variational dropout after each layer.
        dropout_embedding: Embedding dropout: probability of dropping a vocabulary entry from the input.
        weight_drop: DropConnect probability on the recurrent weights; `mingru` has none.
        blanked: Probability of replacing an input token by <unk> in training.
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


class MaskedLM(CheckpointedLayer):
    """Network of the equations above: weights only, without tokenizer, files or search.

    Raises:
        ValueError: The architecture is not recurrent.
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
        """Embedding tables of the input."""
        return (self.embedding,)

    def hidden_states(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Compute the input of the output layer for every position; in training mode with dropout.

        Args:
            ids_BT: Lines that end in EOS, padded on the right.
            lengths_B: Length of each line including EOS; at least 1.

        Returns:
            The hidden states (B, T, E). Those at EOS and at padding have no meaning.
        """
        ids_BT = self._replace_inputs(ids_BT)
        shifted_BT = torch.cat([torch.full_like(ids_BT[:, :1], special_tokens.BOS), ids_BT[:, :-1]], dim=1)
        reversal_BT = reverse_index(lengths_B, ids_BT.shape[1])
        left_BTH = self._run_stack(self.forwards, shifted_BT)
        right_BTH = gather_steps(self._run_stack(self.backwards, ids_BT.gather(1, reversal_BT)), reversal_BT)
        # Position t needs the backward state that has seen the line's end down to t + 1.
        right_BTH = torch.cat([right_BTH[:, 1:], torch.zeros_like(right_BTH[:, :1])], dim=1)
        hidden_BTE = self.projection(torch.cat([left_BTH, right_BTH, left_BTH * right_BTH], dim=-1))
        return dropout.locked_dropout(hidden_BTE, self.config.dropout, self.training)

    def loss(self, ids_BT: Tensor, lengths_B: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Compute the negative log-likelihood of all tokens except EOS, summed, in nats.

        Args:
            ids_BT: As for `hidden_states`.
            lengths_B: As for `hidden_states`.
            dtype: Precision of the output layer's matrix products; autocast's unless given.
        """
        real_BT = prediction_mask(ids_BT, lengths_B)
        hidden_NE = self.hidden_states(ids_BT, lengths_B)[real_BT]
        return losses.fused_loss(hidden_NE, self.output_weight, self.output_bias, ids_BT[real_BT], dtype=dtype)[0]

    def nll(self, hidden_NE: Tensor, target_N: Tensor) -> Tensor:
        """Compute the exact negative log-likelihood of each target (N,), in nats."""
        return losses.exact_nll(hidden_NE, self.output_weight, self.output_bias, target_N)

    def log_probabilities(self, hidden_NE: Tensor) -> Tensor:
        """Compute the log-probabilities of all tokens (N, V), in nats."""
        return losses.log_probabilities(hidden_NE, self.output_weight, self.output_bias)

    def _replace_inputs(self, ids_BT: Tensor) -> Tensor:
        """Replace random input tokens by <unk> in training; never EOS or padding."""
        if not self.training or self.config.blanked == 0:
            return ids_BT
        drawn_BT = torch.rand(ids_BT.shape, device=ids_BT.device) < self.config.blanked
        return ids_BT.masked_fill(
            drawn_BT & (ids_BT != special_tokens.EOS) & (ids_BT != special_tokens.PAD), special_tokens.UNK
        )

    def _run_stack(self, stack: nn.ModuleList, ids_BT: Tensor) -> Tensor:
        """Compute the hidden states of the last layer of one direction (B, T, H)."""
        config = self.config
        # Recurrent layers are fastest on time-major memory; the layout costs the other layers nothing.
        embedded_TBE = dropout.embedding_dropout(
            self.embedding.weight, ids_BT.t(), config.dropout_embedding, self.training
        )
        x_BTE = dropout.locked_dropout(embedded_TBE.transpose(0, 1), config.dropout_input, self.training)
        weight_drop = config.weight_drop if self.training else 0.0
        for layer in cast(Sequence[Layer], stack):
            h_BTH, _ = run_layer(layer, x_BTE, None, weight_drop, self.checkpointing)
            if config.residual and h_BTH.shape == x_BTE.shape:
                h_BTH = h_BTH + x_BTE
            x_BTE = dropout.locked_dropout(h_BTH, config.dropout_hidden, self.training)
        return x_BTE


def prediction_mask(ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """Return True at every position whose token is predicted, that is before its line's EOS (B, T)."""
    return torch.arange(ids_BT.shape[1], device=ids_BT.device) < (lengths_B - 1).unsqueeze(1)


def _make_layers(config: MaskedLMConfig) -> list[Layer]:
    sizes = [config.embedding, *[config.hidden] * config.layers]
    return [make_layer(config.arch, *pair) for pair in itertools.pairwise(sizes)]
