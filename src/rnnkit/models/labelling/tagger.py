"""Tagger: a label for every word of a sentence.

    s_t = W h_t + b                                              scores of the labels of word t
    softmax   p(y_t | x) = softmax(s_t)                          words are labelled independently of each other
    CRF       p(y | x) = exp(sum_t s_t[y_t] + A[y_{t-1}, y_t]) / Z    (Lample et al. 2016, arXiv:1603.01360)

Several outputs, such as parts of speech and morphological features, share the encoder. The temperature T of a softmax
divides its scores wherever probabilities are reported; it is fitted to the validation data (Guo et al. 2017,
arXiv:1706.04599) and changes no decision. That of a CRF is 1.

Shapes: B batch, T words, C labels, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnkit.data.word_table import WordBatch
from rnnkit.models.labelling.labelling_encoder import LabellingConfig, LabellingEncoder
from rnnkit.nn.crf import LinearChainCRF
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.nn.label_losses import label_cross_entropy


class TaggerNetwork(CheckpointedLayer):
    """Network of the equations above, without tokenizer and files.

    Args:
        config: Configuration.
        crfs: The CRF of each output, with its forbidden transitions; none with softmax.
    """

    temperature_O: Tensor

    def __init__(
        self,
        config: LabellingConfig,
        crfs: Sequence[LinearChainCRF] = (),
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = LabellingEncoder(config)
        self.outputs = nn.ModuleList(nn.Linear(config.state_size, count) for count in config.labels)
        self.crfs = nn.ModuleList(crfs)
        self.register_buffer("temperature_O", torch.ones(len(config.labels)))

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """Embedding tables of the input."""
        return (self.encoder.embedding,)

    def scores(self, batch: WordBatch) -> tuple[list[Tensor], Tensor]:
        """Compute the scores of the labels of each output, each (B, T, C), and the words of each sentence (B,).

        The last word of a sentence is its end, which has no label and is not counted.
        """
        encoded = self.encoder(batch)
        state_BTH = encoded.state_BTH[:, :-1] if encoded.state_BTH.shape[1] > 1 else encoded.state_BTH
        return [output(state_BTH).float() for output in self.outputs], encoded.length_B - 1

    def loss(
        self,
        batch: WordBatch,
        labels: Sequence[Tensor],
        smoothing: float = 0.0,
        class_weights: Sequence[Tensor | None] | None = None,
        weight_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the training loss and the negative log-likelihood, summed over words and outputs, in nats.

        Args:
            batch: The sentences.
            labels: For each output, the labels (B, T), `IGNORED` at padding.
            smoothing: Label smoothing; of softmax outputs.
            class_weights: For each output, the weight of each class.
            weight_B: Weight of each sentence.
        """
        all_scores, length_B = self.scores(batch)
        total, nll = torch.zeros(()), torch.zeros(())
        for index, (scores_BTC, labels_BT) in enumerate(zip(all_scores, labels, strict=True)):
            weight_C = None if class_weights is None else class_weights[index]
            if self.config.crf:
                loss_B = self._crf_loss(index, scores_BTC, length_B, labels_BT, weight_C)
                nll_B = loss_B.detach()
            else:
                loss_N, nll_N = label_cross_entropy(scores_BTC.flatten(0, 1), labels_BT.flatten(), smoothing, weight_C)
                loss_B, nll_B = (each.view(labels_BT.shape).sum(1) for each in (loss_N, nll_N))
            total = total + (loss_B if weight_B is None else loss_B * weight_B).sum()
            nll = nll + nll_B.sum()
        return total, nll

    def predict(self, output: int, scores_BTC: Tensor, length_B: Tensor) -> Tensor:
        """Return the best labels of an output (B, T): of each word, or with a CRF of each sentence as a whole."""
        if not self.config.crf:
            return scores_BTC.argmax(2)
        labels_BT, _ = cast(LinearChainCRF, self.crfs[output]).viterbi(scores_BTC, length_B)
        return labels_BT

    def probabilities(self, output: int, scores_BTC: Tensor, length_B: Tensor) -> Tensor:
        """Return the calibrated probability of each label of each word (B, T, C): softmax, or marginals of the CRF."""
        scaled_BTC = scores_BTC / self.temperature_O[output]
        if not self.config.crf:
            return torch.softmax(scaled_BTC, dim=2)
        return cast(LinearChainCRF, self.crfs[output]).marginals(scaled_BTC, length_B)

    def _crf_loss(
        self, index: int, scores_BTC: Tensor, length_B: Tensor, labels_BT: Tensor, weight_C: Tensor | None
    ) -> Tensor:
        """Compute the negative log-likelihood of each sentence (B,).

        Sentences with a label that train lacks, or with tags that the scheme forbids, cost nothing.
        """
        crf = cast(LinearChainCRF, self.crfs[index])
        real_BT = torch.arange(labels_BT.shape[1], device=labels_BT.device) < length_B[:, None]
        usable_B = ((labels_BT >= 0) | ~real_BT).all(1) & crf.is_allowed(length_B, labels_BT.clamp(min=0))
        length_B = length_B * usable_B  # a sentence without labels has one sequence, with probability 1
        return crf.nll(scores_BTC, length_B, labels_BT.clamp(min=0), weight_C)
