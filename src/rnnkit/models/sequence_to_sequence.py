"""A sequence-to-sequence network: the probability of each target token given the source and the tokens before it.

    memory = encoder(E_src source)                             recurrent_encoder.py, transformer_encoder.py
    r_t    = decoder(E_tgt y_1 … y_t, memory)                  recurrent_decoder.py, transformer_decoder.py
    p(y_{t+1}) = softmax(W r_t + b)                            W = E_tgt where it is tied (Press and Wolf 2017)

and where tokens can be copied from the source, that mixed with attention (nn/copying.py). `memory.py` says what passes
from part to part.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from rnnkit.models.encoder_decoder import Decoder, DecoderOutput, DecoderState, Encoder, Memory, SourceBatch
from rnnkit.models.inference_layers import InferenceLayers, choose_inference_linear, replace_linear_layers
from rnnkit.models.recurrent_decoder import InputFeedingDecoder, RecurrentDecoder
from rnnkit.models.recurrent_encoder import RecurrentEncoder
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.models.transformer_seq2seq import TransformerDecoder, TransformerEncoder
from rnnkit.nn import copying, dropout, losses
from rnnkit.nn.device import autocast, choose_precision
from rnnkit.nn.kinds import TRANSFORMERS
from rnnkit.text import special_tokens

__all__ = ["DecoderState", "Memory", "Seq2SeqConfig", "SequenceToSequence", "upgrade_parameter_names"]

T = TypeVar("T")

RENAMED_PARAMETERS = (
    (r"^(encoder|decoder)\.(\d+)\.", r"\1.layers.\2."),
    (r"^(attention|bridge|readout)\.", r"decoder.\1."),
)
"""Names of weights in files from before encoder and decoder were modules, and what they became."""


class SequenceToSequence(nn.Module):
    """The network of this file's head. Weights only: no tokenizer, no files, no search."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout.Dropout(config.dropout, config.locked)
        self.source_embedding = _make_embedding(config.source_size, config.embedding)
        self.target_embedding = (
            self.source_embedding if config.joint else _make_embedding(config.target_size, config.embedding)
        )
        # Rows of length one as output weights, values of variance one as inputs.
        self._scale = math.sqrt(config.embedding)
        self.encoder: Encoder = _make_encoder(config)
        self.decoder: Decoder = _make_decoder(config)
        self.output_bias = nn.Parameter(torch.zeros(config.target_size))
        if config.tied:
            self.output_weight = self.target_embedding.weight
        else:
            self.output_weight = nn.Parameter(torch.empty(config.target_size, config.readout))
            nn.init.normal_(self.output_weight, std=1 / math.sqrt(config.readout))
        if config.copy:
            self.gate = nn.Linear(config.readout, 1)
        self.inference = InferenceLayers()

    @property
    def input_embeddings(self) -> tuple[nn.Embedding, ...]:
        """The tables of what is read: one for both sides where they share it, else the source's and the target's."""
        return (self.source_embedding,) if self.config.joint else (self.source_embedding, self.target_embedding)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, DecoderState]:
        """Read the source.

        Args:
            source_BS: Ids, padded on the right.
            lengths_B: Tokens of each sentence, at least 1.

        Returns:
            The memory, and the state in which the decoder starts.
        """
        source = SourceBatch.from_ids(source_BS)
        with autocast(source_BS.device, self.inference.encoding):
            encoded = self.encoder(self._read(self.source_embedding, source_BS), lengths_B, source)
        if self.inference.encoding != torch.float32:
            encoded = encoded.to(torch.float32)
        memory = Memory(encoded.states_BSH, self.decoder.keys(encoded.states_BSH), source)
        return memory, self.decoder.initial_state(encoded, source)

    def decode(
        self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, need_weights: bool = False
    ) -> tuple[DecoderOutput, Memory]:
        """Read source and target with teacher forcing.

        Args:
            source_BS: Source ids, padded on the right.
            lengths_B: Source lengths.
            input_BT: Target ids shifted right: what the decoder reads.
            need_weights: Whether attention weights must be among the results; else they are where they cost nothing.

        Returns:
            What the decoder says about each target position, and the memory.
        """
        memory, state = self.encode(source_BS, lengths_B)
        return self.decoder(self._read(self.target_embedding, input_BT), memory, state, need_weights), memory

    def loss(
        self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, target_BT: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Loss of the target with teacher forcing.

        Args:
            source_BS: Source ids, padded on the right.
            lengths_B: Source lengths.
            input_BT: Target ids shifted right: what the decoder reads.
            target_BT: Target ids: what it should say; padding is left out before the output layer.
            smoothing: Label smoothing.

        Returns:
            The loss to optimise and the negative log-likelihood, in nats, summed over the target tokens.
        """
        decoded, _ = self.decode(source_BS, lengths_B, input_BT, need_weights=self.config.copy)
        return self.compute_loss(decoded, source_BS, target_BT, smoothing)

    def compute_loss(
        self, decoded: DecoderOutput, source_BS: Tensor, target_BT: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """`loss` of what the decoder has said; where the network copies, with its attention weights."""
        real_BT = target_BT != special_tokens.PAD
        readout_NR, target_N = decoded.readout_BTR[real_BT], target_BT[real_BT]
        if not self.config.copy:
            return losses.fused_loss(readout_NR, self.output_weight, self.output_bias, target_N, smoothing)
        assert decoded.weights_BTS is not None
        share_N = copying.copied_targets(decoded.weights_BTS, source_BS, target_BT)[real_BT]
        left_BT1 = self._left_over(decoded.weights_BTS)
        left_N = None if left_BT1 is None else left_BT1[real_BT].squeeze(1)
        logits_NV = nn.functional.linear(readout_NR, self.output_weight, self.output_bias)
        return copying.mixture_loss(logits_NV, target_N, share_N, self.gate(readout_NR).squeeze(1), smoothing, left_N)

    def readouts(self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor) -> Tensor:
        """What goes into the output layer for each target position (B, T, R), with teacher forcing."""
        return self.decode(source_BS, lengths_B, input_BT)[0].readout_BTR

    def step(self, token_BK: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step of decoding, with K rows a sentence.

        Args:
            token_BK: The tokens chosen last.
            memory: The sentences' memory, shared by their rows.
            state: The rows' state, B x K of them.

        Returns:
            The readouts (B, K, R), the next state, and the attention weights (B, K, S) or None without attention.
        """
        if self.inference.projections_VG is None:
            decoded, state = self.decoder.step(self._read(self.target_embedding, token_BK), memory, state)
        else:
            decoder = cast(RecurrentDecoder, self.decoder)
            decoded, state = decoder.step_from_projections(self.inference.projections_VG, token_BK, memory, state)
        return decoded.readout_BTR, state, decoded.weights_BTS

    def prepare_for_inference(self, int8: bool = False) -> None:
        """Make ready for decoding: what every step needs of the weights alone is made once. They must not change after.

        Args:
            int8: Whether maps of single steps and the output layer go by weights of eight bits, on the CPU.
        """
        projections_VG = None
        if isinstance(self.decoder, RecurrentDecoder) and self.output_weight.device.type == "cpu":
            with torch.inference_mode():
                projections_VG = self.decoder.input_projections(self._scale * self.target_embedding.weight)
        if isinstance(self.decoder, RecurrentDecoder):
            self.decoder.fold_readout_into_memory()
        make, output = choose_inference_linear(self.output_weight.device, int8), None
        if make is not None:
            output = make(self.output_weight, self.output_bias)
            replace_linear_layers(cast(nn.Module, self.decoder), make)
        encoding = choose_precision("auto" if int8 else "fp32", self.output_weight.device, self.config.hidden)
        self.inference = InferenceLayers(projections_VG, output, encoding)

    def output_layer(self, ids_C: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """The map from readouts to logits, of these target ids alone where any are given."""
        whole = self.inference.output
        if whole is not None:
            return whole if ids_C is None else whole.rows(ids_C)
        if ids_C is None:
            return partial(nn.functional.linear, weight=self.output_weight, bias=self.output_bias)
        return partial(nn.functional.linear, weight=self.output_weight[ids_C], bias=self.output_bias[ids_C])

    def log_probabilities(
        self, readout_BKR: Tensor, weights_BKS: Tensor | None = None, memory: Memory | None = None
    ) -> Tensor:
        """Log-probability of each token of the vocabulary (B, K, V), in nats.

        Where the memory has own tokens of the sentences, they stand behind the vocabulary (B, K, V + X); those that
        a sentence does not have are minus infinity.

        Args:
            readout_BKR: The readouts.
            weights_BKS: Attention weights; a network that copies needs them, and the memory.
            memory: The sentences' memory.
        """
        log_p_BKV = torch.log_softmax(self.output_layer()(readout_BKR).float(), dim=-1)
        own = None if memory is None else memory.source.own
        if not self.config.copy and own is None:
            return log_p_BKV
        assert memory is not None
        if weights_BKS is None:  # without attention an own token is as probable as its share of the source
            weights_BKS = _uniform_attention(memory.padding_BS).expand(*readout_BKR.shape[:2], -1)
        if own is None:
            share_BKV = copying.copied(weights_BKS.float(), memory.source.ids_BS, self.config.target_size)
        else:
            size = self.config.target_size + own.real_BX.shape[1]
            share_BKV = copying.copied(weights_BKS.float(), own.ids_BS, size)
            log_p_BKV = copying.share_unknown(log_p_BKV, share_BKV[..., self.config.target_size :])
        if self.config.copy:
            gate_BK1, left_BK1 = self.gate(readout_BKR).float(), self._left_over(weights_BKS)
            log_p_BKV = copying.mix(log_p_BKV, share_BKV, gate_BK1, left_BK1)
        if own is not None:
            log_p_BKV[..., self.config.target_size :].masked_fill_(~own.real_BX.unsqueeze(1), -torch.inf)
        return log_p_BKV

    def _left_over(self, weights_BTS: Tensor) -> Tensor | None:
        """What monotonic attention has given to no place of the source; None of the others, whose weights sum to 1."""
        return copying.left_over(weights_BTS) if self.config.attention == "monotonic" else None

    def _read(self, table: nn.Embedding, ids_BT: Tensor) -> Tensor:
        """Embeddings of what is read, some words dropped in training."""
        share = self.config.dropout_embedding if self.training else 0.0
        x_BTE = dropout.embedding_dropout(table.weight, ids_BT, share) if share else table(ids_BT)
        read_BTE: Tensor = self.dropout(self._scale * x_BTE)
        return read_BTE


def _uniform_attention(padding_BS: Tensor) -> Tensor:
    """The same weight for every token of a sentence (B, 1, S)."""
    return ((~padding_BS).float() / (~padding_BS).sum(-1, keepdim=True)).unsqueeze(1)


def upgrade_parameter_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under the names that this version gives them."""
    found = dict(tensors)
    for old, new in RENAMED_PARAMETERS:
        found = {re.sub(old, new, name): tensor for name, tensor in found.items()}
    return found


def _make_embedding(rows: int, size: int) -> nn.Embedding:
    """Rows of length about one, so that a tied output layer starts with small logits."""
    table = nn.Embedding(rows, size, padding_idx=special_tokens.PAD)
    nn.init.normal_(table.weight, std=1 / math.sqrt(size))
    nn.init.zeros_(table.weight[special_tokens.PAD].detach())
    return table


def _make_encoder(config: Seq2SeqConfig) -> RecurrentEncoder | TransformerEncoder:
    return TransformerEncoder(config) if config.arch in TRANSFORMERS else RecurrentEncoder(config)


def _make_decoder(config: Seq2SeqConfig) -> RecurrentDecoder | TransformerDecoder:
    if config.arch in TRANSFORMERS:
        return TransformerDecoder(config)
    return InputFeedingDecoder(config) if config.input_feeding else RecurrentDecoder(config)
