"""The shape of a sequence-to-sequence network: what `config.json` keeps."""

from __future__ import annotations

from dataclasses import dataclass

from rnnkit.nn import kinds


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Everything that fixes the shape of the network.

    Attributes:
        arch: Recurrent unit of both sides, `transformer`, or `hybrid`: a Transformer's encoder, a recurrent decoder.
        source_size: Rows of the source vocabulary.
        target_size: Rows of the target vocabulary.
        embedding: Size of the embeddings; in a Transformer that of the states.
        hidden: Size of the memory and of the decoder's states; even where the encoder is bidirectional.
        layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        bidirectional: Whether a recurrent encoder reads both ways.
        attention: Kind of attention over the source; a Transformer's is `multihead`.
        bridge: Where a recurrent decoder starts: the encoder's last states, or a projection of the memory's mean.
        input_feeding: Luong's wiring instead of the parallel one.
        tied: Whether the output matrix is the target embeddings; the readout then has their size.
        joint: Whether source and target share vocabulary and embeddings.
        reset_inside: For `gru`: the reset gate inside the product.
        dropout: Share of values dropped on embeddings, between layers and on the readout.
        heads: Heads of `multihead` attention and of a Transformer's self-attention.
        inner: Size within a Transformer's feed-forward networks; 0 is four times `hidden`.
        norm: Where a Transformer's layer norms are.
        positions: How a Transformer knows the order of tokens.
        cell: Recurrent cell of `hybrid`.
        residual: Whether recurrent stacks of three layers and more have a way around every layer but the first.
        layer_norm: Whether each recurrent layer but the first reads normalised states, and the last one's are.
        locked: Whether dropout has one mask for all steps of a sentence.
        weight_drop: Share of connections dropped from the matrices between a recurrent layer's states.
        dropout_embedding: Share of the vocabulary's rows dropped from what is read.
        copy: Whether tokens can be copied from the source (a pointer-generator).
        guided_head: Of several heads, whether the attention that is reported and copied by is the first one's, which
            was taught by links; else it is the mean of all.
        right_to_left: Whether the target is said from its end; whoever decodes or scores turns it round.
    """

    arch: kinds.TranslationArch
    source_size: int
    target_size: int
    embedding: int = 256
    hidden: int = 512
    layers: int = 1
    decoder_layers: int = 1
    bidirectional: bool = True
    attention: kinds.Attention = "dot"
    bridge: kinds.Bridge = "mean"
    input_feeding: bool = False
    tied: bool = True
    joint: bool = False
    reset_inside: bool = False
    dropout: float = 0.3
    heads: int = 4
    inner: int = 0
    norm: kinds.Norm = "pre"
    positions: kinds.Positions = "rotary"
    cell: kinds.Cell = "ssru"
    residual: bool = True
    layer_norm: bool = False
    locked: bool = False
    weight_drop: float = 0.0
    dropout_embedding: float = 0.0
    copy: bool = False
    guided_head: bool = False
    right_to_left: bool = False

    @property
    def readout(self) -> int:
        """Size of what goes into the output layer."""
        return self.embedding if self.tied else self.hidden
