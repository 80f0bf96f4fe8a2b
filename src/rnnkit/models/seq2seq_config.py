"""Configuration of a sequence-to-sequence network: the `network` object of config.json."""

from __future__ import annotations

from dataclasses import dataclass

from rnnkit.nn import kinds


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Shape and regularization of the network.

    Attributes:
        arch: Recurrent architecture of both sides, `transformer`, or `hybrid`: a Transformer encoder with a recurrent
            decoder.
        source_size: Size of the source vocabulary.
        target_size: Size of the target vocabulary.
        embedding: Embedding dimension; in a Transformer equal to `hidden`.
        hidden: Hidden size of the encoder output and the decoder; even if the encoder is bidirectional.
        layers: Number of encoder layers.
        decoder_layers: Number of decoder layers.
        bidirectional: Whether a recurrent encoder is bidirectional.
        attention: Attention mechanism over the source; `multihead` in a Transformer.
        bridge: Initial state of a recurrent decoder: `last` takes the encoder's final states, `mean` projects the mean
            encoder state.
        input_feeding: Whether to feed the last readout to the next step (Luong et al. 2015), instead of the parallel
            decoder.
        tied: Whether the output matrix is the target embedding matrix; the readout then has its dimension.
        joint: Whether source and target share vocabulary and embeddings.
        reset_inside: For `gru`: apply the reset gate before the recurrent product (Cho et al. 2014), not after it.
        dropout: Dropout on embeddings, between layers and on the readout.
        heads: Number of heads of `multihead` attention and of self-attention.
        inner: Inner dimension of the feed-forward networks; 0 means 4 x `hidden`.
        norm: Position of a Transformer's layer norms, `pre` or `post`.
        positions: Positional encoding of a Transformer.
        cell: Recurrent cell of `hybrid`.
        residual: Whether recurrent stacks of three or more layers have residual connections.
        layer_norm: Whether to normalize the input of every recurrent layer but the first, and the output of the last.
        locked: Whether dropout is variational: one mask for all time steps of a sentence.
        weight_drop: DropConnect probability on the recurrent weights.
        dropout_embedding: Embedding dropout: probability of dropping a vocabulary entry from the input.
        copy: Whether to copy tokens from the source (pointer-generator network).
        guided_head: With several heads: report, and copy by, the attention of the first head, which guided attention
            has trained, instead of the mean of all heads.
        right_to_left: Whether the target is generated right to left; decoding and scoring reverse it.
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
        """Dimension of the readout, the input of the output layer."""
        return self.embedding if self.tied else self.hidden
