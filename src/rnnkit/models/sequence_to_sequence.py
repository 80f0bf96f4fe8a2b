"""Sequence-to-sequence network: the probability of each target token given the source and the target tokens before it.

    memory = encoder(E_src source)                             recurrent_seq2seq.py, transformer_seq2seq.py
    r_t    = decoder(E_tgt y_1 … y_t, memory)                  recurrent_seq2seq.py, transformer_seq2seq.py
    p(y_{t+1}) = softmax(W r_t + b)                            W = E_tgt with tied embeddings (Press and Wolf 2017)

With a pointer-generator (nn/pointer_generator.py), p is mixed with the attention weights of the source tokens.
`encoder_decoder.py` defines the interfaces between the parts and the shape letters; V target vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from rnnkit.models.encoder_decoder import (
    Decoder,
    DecoderOutput,
    DecoderState,
    Encoder,
    Memory,
    Seq2SeqConfig,
    SourceBatch,
)
from rnnkit.models.recurrent_seq2seq import InputFeedingDecoder, RecurrentDecoder, RecurrentEncoder
from rnnkit.models.transformer_seq2seq import TransformerDecoder, TransformerEncoder
from rnnkit.nn import dropout, losses, pointer_generator
from rnnkit.nn.device import autocast, choose_precision
from rnnkit.nn.inference_layers import InferenceLayers, choose_inference_linear, replace_linear_layers
from rnnkit.nn.kinds import TRANSFORMERS
from rnnkit.text import special_tokens

T = TypeVar("T")

RENAMED_PARAMETERS = (
    (r"^(encoder|decoder)\.(\d+)\.", r"\1.layers.\2."),
    (r"^(attention|bridge|readout)\.", r"decoder.\1."),
)
"""Patterns of parameter names in files from before encoder and decoder were modules, and their replacements."""


class SequenceToSequence(nn.Module):
    """Network of the equations above: weights only, without tokenizer, files or search."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout.Dropout(config.dropout, config.locked)
        self.source_embedding = _make_embedding(config.source_size, config.embedding)
        self.target_embedding = (
            self.source_embedding if config.joint else _make_embedding(config.target_size, config.embedding)
        )
        # Embeddings have length one, as output weights should; scaled, they have unit variance, as inputs should.
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
        """Embedding tables of the inputs: source and target, or one joint table."""
        return (self.source_embedding,) if self.config.joint else (self.source_embedding, self.target_embedding)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, DecoderState]:
        """Encode source sentences.

        Args:
            source_BS: Ids, padded on the right.
            lengths_B: Length of each sentence, at least 1.

        Returns:
            The memory, and the initial state of the decoder.
        """
        source = SourceBatch.from_ids(source_BS)
        with autocast(source_BS.device, self.inference.encoder_dtype):
            encoded = self.encoder(self._embed(self.source_embedding, source_BS), lengths_B, source)
        if self.inference.encoder_dtype != torch.float32:
            encoded = encoded.to(torch.float32)
        memory = Memory(encoded.states_BSH, self.decoder.keys(encoded.states_BSH), source)
        return memory, self.decoder.initial_state(encoded, source)

    def decode(
        self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, need_weights: bool = False
    ) -> tuple[DecoderOutput, Memory]:
        """Run encoder and decoder with teacher forcing.

        Args:
            source_BS: Source ids, padded on the right.
            lengths_B: Source lengths.
            input_BT: Target ids shifted right.
            need_weights: Whether to return attention weights even if that costs extra computation.

        Returns:
            The decoder's output at each target position, and the memory.
        """
        memory, state = self.encode(source_BS, lengths_B)
        return self.decoder(self._embed(self.target_embedding, input_BT), memory, state, need_weights), memory

    def loss(
        self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor, target_BT: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss of the target with teacher forcing.

        Args:
            source_BS: Source ids, padded on the right.
            lengths_B: Source lengths.
            input_BT: Target ids shifted right.
            target_BT: Target ids; padding is removed before the output layer.
            smoothing: Label smoothing.

        Returns:
            The loss to minimize and the negative log-likelihood, in nats, summed over the target tokens.
        """
        decoded, _ = self.decode(source_BS, lengths_B, input_BT, need_weights=self.config.copy)
        return self.compute_loss(decoded, source_BS, target_BT, smoothing)

    def compute_loss(
        self, decoded: DecoderOutput, source_BS: Tensor, target_BT: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Compute `loss` from the decoder's output, which a network that copies needs with attention weights."""
        real_BT = target_BT != special_tokens.PAD
        readout_NR, target_N = decoded.readout_BTR[real_BT], target_BT[real_BT]
        if not self.config.copy:
            return losses.fused_loss(readout_NR, self.output_weight, self.output_bias, target_N, smoothing)
        assert decoded.weights_BTS is not None
        copy_N = pointer_generator.copy_probability(decoded.weights_BTS, source_BS, target_BT)[real_BT]
        unattended_BT1 = self._unattended_mass(decoded.weights_BTS)
        unattended_N = None if unattended_BT1 is None else unattended_BT1[real_BT].squeeze(1)
        logits_NV = nn.functional.linear(readout_NR, self.output_weight, self.output_bias)
        gate_N = self.gate(readout_NR).squeeze(1)
        return pointer_generator.mixture_loss(logits_NV, target_N, copy_N, gate_N, smoothing, unattended_N)

    def readouts(self, source_BS: Tensor, lengths_B: Tensor, input_BT: Tensor) -> Tensor:
        """Compute the input of the output layer at each target position (B, T, R), with teacher forcing."""
        return self.decode(source_BS, lengths_B, input_BT)[0].readout_BTR

    def step(self, token_BK: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Decode one token in each of K rows per sentence.

        Args:
            token_BK: The last tokens.
            memory: The encoded sentences, shared by their rows.
            state: State of the B x K rows.

        Returns:
            The readouts (B, K, R), the next state, and the attention weights (B, K, S) or None without attention.
        """
        if self.inference.projections_VG is None:
            decoded, state = self.decoder.step(self._embed(self.target_embedding, token_BK), memory, state)
        else:
            decoder = cast(RecurrentDecoder, self.decoder)
            decoded, state = decoder.step_from_projections(self.inference.projections_VG, token_BK, memory, state)
        return decoded.readout_BTR, state, decoded.weights_BTS

    def prepare_for_inference(self, int8: bool = False) -> None:
        """Precompute what decoding needs of the weights, which must not change afterwards.

        Args:
            int8: Whether to quantize the decoder's linear layers and the output layer to int8 (CPU only).
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
        dtype = choose_precision("auto" if int8 else "fp32", self.output_weight.device, self.config.hidden)
        self.inference = InferenceLayers(projections_VG, output, dtype)

    def output_layer(self, ids_C: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """Return the function from readouts to logits, restricted to the target ids `ids_C` if given."""
        inference_output = self.inference.output
        if inference_output is not None:
            return inference_output if ids_C is None else inference_output.select_outputs(ids_C)
        if ids_C is None:
            return partial(nn.functional.linear, weight=self.output_weight, bias=self.output_bias)
        return partial(nn.functional.linear, weight=self.output_weight[ids_C], bias=self.output_bias[ids_C])

    def log_probabilities(
        self, readout_BKR: Tensor, weights_BKS: Tensor | None = None, memory: Memory | None = None
    ) -> Tensor:
        """Compute the log-probabilities of all tokens (B, K, V), in nats.

        With an extended vocabulary in the memory, the result is (B, K, V + X). Extended tokens share the probability
        of <unk>; those that a sentence does not have get minus infinity.

        Args:
            readout_BKR: The readouts.
            weights_BKS: Attention weights; required, with `memory`, by a network that copies.
            memory: The encoded sentences.
        """
        log_p_BKV = torch.log_softmax(self.output_layer()(readout_BKR).float(), dim=-1)
        extended = None if memory is None else memory.source.extended
        if not self.config.copy and extended is None:
            return log_p_BKV
        assert memory is not None
        if weights_BKS is None:  # without attention all positions of the source count alike
            weights_BKS = _uniform_attention(memory.padding_BS).expand(*readout_BKR.shape[:2], -1)
        if extended is None:
            copy_BKV = pointer_generator.copy_distribution(
                weights_BKS.float(), memory.source.ids_BS, self.config.target_size
            )
        else:
            size = self.config.target_size + extended.present_BX.shape[1]
            copy_BKV = pointer_generator.copy_distribution(weights_BKS.float(), extended.ids_BS, size)
            log_p_BKV = pointer_generator.split_unknown(log_p_BKV, copy_BKV[..., self.config.target_size :])
        if self.config.copy:
            gate_BK1, unattended_BK1 = self.gate(readout_BKR).float(), self._unattended_mass(weights_BKS)
            log_p_BKV = pointer_generator.mixture_log_prob(log_p_BKV, copy_BKV, gate_BK1, unattended_BK1)
        if extended is not None:
            log_p_BKV[..., self.config.target_size :].masked_fill_(~extended.present_BX.unsqueeze(1), -torch.inf)
        return log_p_BKV

    def _unattended_mass(self, weights_BTS: Tensor) -> Tensor | None:
        """Return the mass missing from monotonic attention weights; None for other attention, whose sum is 1."""
        return pointer_generator.unattended_mass(weights_BTS) if self.config.attention == "monotonic" else None

    def _embed(self, table: nn.Embedding, ids_BT: Tensor) -> Tensor:
        """Look up scaled embeddings; in training with dropout, and embedding dropout if configured."""
        p = self.config.dropout_embedding if self.training else 0.0
        x_BTE = dropout.embedding_dropout(table.weight, ids_BT, p) if p else table(ids_BT)
        embedded_BTE: Tensor = self.dropout(self._scale * x_BTE)
        return embedded_BTE


def _uniform_attention(padding_BS: Tensor) -> Tensor:
    """Return equal weights for all tokens of a sentence (B, 1, S)."""
    return ((~padding_BS).float() / (~padding_BS).sum(-1, keepdim=True)).unsqueeze(1)


def upgrade_parameter_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the tensors of older files to today's parameter names."""
    renamed = dict(tensors)
    for old, new in RENAMED_PARAMETERS:
        renamed = {re.sub(old, new, name): tensor for name, tensor in renamed.items()}
    return renamed


def _make_embedding(vocabulary: int, size: int) -> nn.Embedding:
    """Build an embedding table whose vectors have length about one, so that a tied output layer has small logits."""
    table = nn.Embedding(vocabulary, size, padding_idx=special_tokens.PAD)
    nn.init.normal_(table.weight, std=1 / math.sqrt(size))
    nn.init.zeros_(table.weight[special_tokens.PAD].detach())
    return table


def _make_encoder(config: Seq2SeqConfig) -> RecurrentEncoder | TransformerEncoder:
    return TransformerEncoder(config) if config.arch in TRANSFORMERS else RecurrentEncoder(config)


def _make_decoder(config: Seq2SeqConfig) -> RecurrentDecoder | TransformerDecoder:
    if config.arch in TRANSFORMERS:
        return TransformerDecoder(config)
    return InputFeedingDecoder(config) if config.input_feeding else RecurrentDecoder(config)
