"""Text classifier: labels for a text as a whole.

    v = pool(h_1 ... h_T)                 one vector for the text
    s = W v + b                           scores of the labels

    last       the state of the forward direction at the last word, of the backward direction at the first
    mean       mean of the states of all words
    max        maximum of each element over all words (Collobert and Weston 2008; Conneau et al. 2017, arXiv:1705.02364)
    attention  sum_t a_t h_t, a = softmax_t(u . tanh(W h_t + b))            (Yang et al. 2016, hierarchical attention)
    all        max, mean and attention, concatenated                    (as McCann et al. 2017, arXiv:1708.00107, do)

The labels of a text exclude each other (softmax), or each has a probability of its own (`multi_label`, sigmoid), and
the text gets those whose probability is at least the label's threshold. Temperature and thresholds are fitted to the
validation data, as for a tagger.

Shapes: B batch, T words, C labels, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rnnkit.data.word_table import WordBatch
from rnnkit.models.labelling.labelling_encoder import EncodedWords, LabellingConfig, LabellingEncoder
from rnnkit.nn import dropout
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.nn.label_losses import label_cross_entropy, multi_label_cross_entropy, soft_label_cross_entropy


class AttentionPooling(nn.Module):
    """Weighted mean of states with learned weights."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.key = nn.Linear(hidden, hidden)
        self.query_H = nn.Parameter(torch.empty(hidden).uniform_(-0.1, 0.1))

    def forward(self, state_BTH: Tensor, real_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (B, H) and the weights (B, T), which are 0 at padding."""
        energy_BT = torch.tanh(self.key(state_BTH)) @ self.query_H
        weight_BT = torch.softmax(energy_BT.float().masked_fill(~real_BT, float("-inf")), dim=1)
        return (weight_BT.to(state_BTH.dtype).unsqueeze(1) @ state_BTH).squeeze(1), weight_BT


class ClassifierNetwork(CheckpointedLayer):
    """Network of the equations above, without tokenizer and files.

    Args:
        config: Configuration.
    """

    temperature_O: Tensor

    def __init__(self, config: LabellingConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = LabellingEncoder(config)
        uses_attention = config.pooling in ("attention", "all")
        self.attention = AttentionPooling(config.state_size) if uses_attention else None
        size = 3 * config.state_size if config.pooling == "all" else config.state_size
        self.outputs = nn.ModuleList(nn.Linear(size, count) for count in config.labels)
        self.register_buffer("temperature_O", torch.ones(len(config.labels)))
        if config.multi_label:
            for index, count in enumerate(config.labels):
                self.register_buffer(f"threshold_{index}", torch.full((count,), 0.5))

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """Embedding tables of the input."""
        return (self.encoder.embedding,)

    def scores(self, batch: WordBatch) -> list[Tensor]:
        """Compute the scores of the labels of each output, each (B, C)."""
        return self.scores_and_attention(batch)[0]

    def scores_and_attention(self, batch: WordBatch) -> tuple[list[Tensor], Tensor | None]:
        """Compute the scores of each output (B, C), and the attention weights (B, T) if the pooling has any."""
        pooled_BH, weight_BT = self._pool(self.encoder(batch))
        pooled_BH = dropout.elementwise_dropout(pooled_BH, self.config.dropout, self.training)
        return [output(pooled_BH).float() for output in self.outputs], weight_BT

    def _pool(self, encoded: EncodedWords) -> tuple[Tensor, Tensor | None]:
        state_BTH, length_B = encoded.state_BTH, encoded.length_B
        pooling = self.config.pooling
        if pooling == "last":
            return self._last(state_BTH, length_B), None
        real_BT = torch.arange(state_BTH.shape[1], device=state_BTH.device) < length_B[:, None]
        found, weight_BT = [], None
        if pooling in ("max", "all"):
            found.append(state_BTH.masked_fill(~real_BT.unsqueeze(2), float("-inf")).amax(1))
        if pooling in ("mean", "all"):
            found.append((state_BTH * real_BT.unsqueeze(2)).sum(1) / length_B.unsqueeze(1))
        if self.attention is not None:
            pooled_BH, weight_BT = self.attention(state_BTH, real_BT)
            found.append(pooled_BH)
        return torch.cat(found, dim=1), weight_BT

    def _last(self, state_BTH: Tensor, length_B: Tensor) -> Tensor:
        last_BH = state_BTH[torch.arange(len(length_B), device=state_BTH.device), length_B - 1]
        if not self.config.bidirectional or self.config.arch == "transformer":
            return last_BH
        half = state_BTH.shape[2] // 2
        return torch.cat([last_BH[:, :half], state_BTH[:, 0, half:]], dim=1)

    def thresholds(self, output: int) -> Tensor:
        """Probability from which on a text has a label (C,), of a network with `multi_label`."""
        found: Tensor = getattr(self, f"threshold_{output}")
        return found

    def loss(
        self,
        batch: WordBatch,
        labels: Sequence[Tensor],
        smoothing: float = 0.0,
        class_weights: Sequence[Tensor | None] | None = None,
        weight_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the training loss and the negative log-likelihood, summed over texts and outputs, in nats.

        Args:
            batch: The texts.
            labels: For each output the label of each text (B,), or the share of each label (B, C), which is 0 or 1 with
                `multi_label`.
            smoothing: Label smoothing, of texts with one label.
            class_weights: For each output, the weight of each class.
            weight_B: Weight of each text.
        """
        total, nll = torch.zeros(()), torch.zeros(())
        for index, (scores_BC, target) in enumerate(zip(self.scores(batch), labels, strict=True)):
            weight_C = None if class_weights is None else class_weights[index]
            if target.dim() == 1:
                loss_B, nll_B = label_cross_entropy(scores_BC, target, smoothing, weight_C)
            elif self.config.multi_label:
                loss_B, nll_B = multi_label_cross_entropy(scores_BC, target, weight_C)
            else:
                loss_B, nll_B = soft_label_cross_entropy(scores_BC, target, weight_C)
            total = total + (loss_B if weight_B is None else loss_B * weight_B).sum()
            nll = nll + nll_B.sum()
        return total, nll
