"""The encoder that taggers and text classifiers share: embeddings, characters, recurrent or Transformer layers.

    x_s = [E[w_s]; c(w_s); v(w_s); P l(w_s)]    token embedding; of its word: characters, static vector, states of
                                                language models
    h_1 ... h_S = layers(x_1 ... x_S)           bidirectional by default

The character representation c of a word (`character_encoder.py`) is computed once for each distinct word of a batch,
which has half as many of them as words.

Static vectors v (`static_vectors.py`) and the states l of frozen character language models
(`language_model_states.py`) are optional. All pieces of a word have its characters, its vector and its states.

As states are large, they are projected by a learned matrix P, and divided by the square root of their number D before:
Adam moves all weights of P by the same step, so that without it a step would change the projection D^0.5 times as much
as the embedding of a word, whose length is about 1. The tagger would learn from the states alone, and worse.

In training, the embedding of a word that occurs n times in the training text is replaced by that of <unk> with
probability a / (a + n), which trains <unk> and makes the network rely on characters and context (Kiperwasser and
Goldberg 2016, arXiv:1603.04351).

A `causal` encoder has the layers of a language model and runs in one direction (`causal_encoder.py`). Characters,
vectors and states would change the input of its first layer, so they join its states instead:

    h_s = [layers(x_1 ... x_s); c(w_s); v(w_s); P l(w_s)]         x_s = E[w_s]

Shapes: B batch, S tokens, T words, W distinct words of the batch, E embedding, H hidden, F features of a word, D states
of language models, P their projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnnkit.data.word_table import WordBatch
from rnnkit.models.encoder_decoder import Seq2SeqConfig, SourceBatch
from rnnkit.models.labelling.causal_encoder import CausalEncoder
from rnnkit.models.labelling.character_encoder import CharacterEncoder
from rnnkit.models.language_model import LMConfig
from rnnkit.models.recurrent_seq2seq import RecurrentEncoder
from rnnkit.models.transformer_seq2seq import TransformerEncoder
from rnnkit.nn import dropout
from rnnkit.nn.kinds import CharacterEncoding, LanguageArch, Pooling
from rnnkit.text import special_tokens


@dataclass(frozen=True)
class LabellingConfig:
    """Shape and regularization of a tagger or text classifier; the `network` object of config.json.

    Attributes:
        arch: Architecture of the encoder.
        vocabulary: Vocabulary size.
        labels: Number of labels of each output.
        embedding: Embedding dimension.
        hidden: Hidden size of the encoder's output, of both directions together.
        layers: Number of layers.
        bidirectional: Whether recurrent layers run in both directions.
        characters: How the characters of a word are encoded.
        alphabet: Number of characters, or of hashed n-grams.
        character_embedding: Embedding dimension of a character.
        character_hidden: Dimension of the character representation.
        crf: Whether each output is a linear-chain CRF, which models the order of the tags.
        pooling: How a classifier makes one vector of the states of a text; unused by a tagger.
        multi_label: Whether a text can have several labels, each with a probability of its own.
        heads: Attention heads of a Transformer.
        inner: Inner size of a Transformer's feed-forward networks; 0 means 4 x `hidden`.
        residual: Whether recurrent stacks of three or more layers have residual connections.
        layer_norm: Whether to normalize the input of every recurrent layer but the first.
        dropout: Variational dropout on the input and the output of every layer.
        dropout_embedding: Embedding dropout: probability of dropping a vocabulary entry from the input.
        dropout_ngrams: Probability of leaving a character n-gram out of the mean of its word.
        weight_drop: DropConnect probability on the recurrent weights.
        unknown: The constant a of the equation above; 0 keeps all words.
        word_vectors: Dimension of the static word vectors; 0 for none.
        language_models: Directions of the language models whose states represent words, in the order of the states.
        language_model_states: Size of their states for a word, of all together.
        language_model_projection: Size of the projection of these states.
        causal: Whether the layers are those of a language model, in one direction.
        last_hidden: Size of the last layer of a `causal` recurrent encoder.
        memory: Context length of a `causal` Transformer, in tokens.
    """

    arch: LanguageArch
    vocabulary: int
    labels: Sequence[int]
    embedding: int = 100
    hidden: int = 400
    layers: int = 2
    bidirectional: bool = True
    characters: CharacterEncoding = "lstm"
    alphabet: int = 0
    character_embedding: int = 32
    character_hidden: int = 128
    crf: bool = False
    pooling: Pooling = "max"
    multi_label: bool = False
    heads: int = 4
    inner: int = 0
    residual: bool = True
    layer_norm: bool = False
    dropout: float = 0.4
    dropout_embedding: float = 0.0
    dropout_ngrams: float = 0.0
    weight_drop: float = 0.0
    unknown: float = 0.25
    word_vectors: int = 0
    language_models: Sequence[str] = ()
    language_model_states: int = 0
    language_model_projection: int = 0
    causal: bool = False
    last_hidden: int = 0
    memory: int = 0

    @property
    def input_size(self) -> int:
        """Dimension of the encoder's input."""
        return self.embedding + (0 if self.causal else self._feature_size)

    @property
    def state_size(self) -> int:
        """Dimension of the encoder's output."""
        if not self.causal:
            return self.hidden
        return (self.hidden if self.arch == "transformer" else self.last_hidden) + self._feature_size

    @property
    def _feature_size(self) -> int:
        characters = 0 if self.characters == "none" else self.character_hidden
        states = self.language_model_projection if self.language_models else 0
        return characters + self.word_vectors + states


@dataclass(frozen=True)
class EncodedWords:
    """Encoder states of a batch.

    Attributes:
        state_BTH: One state per word, after dropout; padded on the right.
        length_B: Words of each sentence.
    """

    state_BTH: Tensor
    length_B: Tensor


class LabellingEncoder(nn.Module):
    """Network of the equations above, up to the states of words.

    Args:
        config: Configuration.
    """

    def __init__(self, config: LabellingConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.embedding, padding_idx=special_tokens.PAD)
        nn.init.normal_(self.embedding.weight, std=config.embedding**-0.5)
        with torch.no_grad():
            self.embedding.weight[special_tokens.PAD] = 0
        self.character_encoder = None if config.characters == "none" else _character_encoder(config)
        projected = config.arch == "transformer" and not config.causal
        self.projection = nn.Linear(config.input_size, config.hidden) if projected else None
        self.layers = _make_layers(config)
        self.state_projection = None
        if config.language_models:
            self.state_projection = nn.Linear(config.language_model_states, config.language_model_projection)
        self._unknown_rate_V: Tensor | None = None

    def set_token_counts(self, counts_V: NDArray[np.int64]) -> None:
        """Set the frequency of each vocabulary entry in the training text, for the replacement by <unk>."""
        self._unknown_rate_V = _unknown_rates(counts_V, self.config.unknown)

    def use_sparse_gradients(self) -> None:
        """Make the gradients of the embeddings of tokens and n-grams sparse, for updates of used rows alone."""
        self.embedding.sparse = True
        if self.character_encoder is not None and isinstance(self.character_encoder.embedding, nn.EmbeddingBag):
            self.character_encoder.embedding.sparse = True

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters by depth: those of each layer, the last one first, and at the end the input's."""
        layers = self.layers
        stack = layers.blocks if isinstance(layers, TransformerEncoder) else layers.layers
        by_layer = [list(layer.parameters()) for layer in stack]
        if isinstance(layers, RecurrentEncoder):
            for parameters, norm in zip(by_layer, layers.skips.norms, strict=False):
                parameters.extend(norm.parameters())
        if isinstance(layers, TransformerEncoder):
            by_layer[-1].extend(layers.closing.parameters())
        inputs: list[nn.Module | None] = [self.embedding, self.projection]
        if not self.config.causal:
            inputs += [self.character_encoder, self.state_projection]
        bottom = [parameter for module in inputs if module is not None for parameter in module.parameters()]
        return [*reversed(by_layer), bottom]

    def forward(self, batch: WordBatch) -> EncodedWords:
        """Encode the words of a batch."""
        device = self.embedding.weight.device
        token_BS, length_B = torch.from_numpy(batch.token_BS).to(device), torch.from_numpy(batch.length_B).to(device)
        if isinstance(self.layers, CausalEncoder):
            state_BSH = self._causal_states(self.layers, token_BS, batch)
        else:
            x_BSE = _concat([self._embed(token_BS), *self._word_features(batch)])
            x_BSE = dropout.locked_dropout(x_BSE, self.config.dropout, self.training)
            if self.projection is not None:
                x_BSE = self.projection(x_BSE)
            state_BSH = self.layers(x_BSE, length_B, SourceBatch.from_ids(token_BS)).states_BSH
        if batch.end_BT is None:
            return EncodedWords(state_BSH, length_B)
        end_BT = torch.from_numpy(batch.end_BT).to(device)
        state_BTH = state_BSH.gather(1, end_BT.unsqueeze(2).expand(-1, -1, state_BSH.shape[2]))
        return EncodedWords(state_BTH, torch.from_numpy(batch.word_length_B).to(device))

    def _causal_states(self, layers: CausalEncoder, token_BS: Tensor, batch: WordBatch) -> Tensor:
        """Run the layers over `</s>` and the tokens, as a language model does, and append the features of words."""
        rate, training = self.config.dropout, self.training
        start_B1 = token_BS.new_full((len(token_BS), 1), special_tokens.EOS)
        x_BSE = dropout.locked_dropout(self._embed(torch.cat([start_B1, token_BS], dim=1)), rate, training)
        features = [dropout.locked_dropout(each_BSF, rate, training) for each_BSF in self._word_features(batch)]
        return _concat([layers(x_BSE)[:, 1:], *features])

    def _embed(self, token_BS: Tensor) -> Tensor:
        """Look up embeddings (B, S, E)."""
        rate, sparse = self.config.dropout_embedding, self.embedding.sparse
        token_BS = self._replace_tokens(token_BS)
        return dropout.embedding_dropout(self.embedding.weight, token_BS, rate, self.training, sparse)

    def _word_features(self, batch: WordBatch) -> list[Tensor]:
        """Return characters, static vectors and states of language models for the word of each token (B, S, F)."""
        features = []
        weight = self.embedding.weight
        word_BS = torch.from_numpy(batch.word_BS).to(weight.device)
        if self.character_encoder is not None and batch.features is not None:
            features.append(nn.functional.embedding(word_BS, self.character_encoder(batch.features)))
        if self.config.word_vectors:
            if batch.vectors_WD is None:
                raise ValueError("the batch has no static word vectors")
            vectors_WD = torch.from_numpy(batch.vectors_WD).to(weight.device, weight.dtype)
            features.append(nn.functional.embedding(word_BS, vectors_WD))
        if self.state_projection is not None:
            features.append(self._project_states(batch))
        return features

    def _project_states(self, batch: WordBatch) -> Tensor:
        """Project the states of each word, and repeat them for each of its pieces (B, S, P)."""
        if self.state_projection is None or batch.states_BTD is None:
            raise ValueError("the batch has no states of language models")
        weight = self.state_projection.weight
        states_BTD = torch.from_numpy(batch.states_BTD).to(weight.device, weight.dtype)
        projected_BTP: Tensor = self.state_projection(states_BTD * weight.shape[1] ** -0.5)
        if batch.position_BS is None:
            return projected_BTP
        position_BS = torch.from_numpy(batch.position_BS).to(weight.device)
        return projected_BTP.gather(1, position_BS.unsqueeze(2).expand(-1, -1, projected_BTP.shape[2]))

    def _replace_tokens(self, token_BS: Tensor) -> Tensor:
        """In training, replace rare tokens by UNK at random."""
        if not self.training or self._unknown_rate_V is None:
            return token_BS
        drawn_BS = (
            torch.rand(token_BS.shape, device=token_BS.device) < self._unknown_rate_V.to(token_BS.device)[token_BS]
        )
        return token_BS.masked_fill(drawn_BS, special_tokens.UNK)


def _concat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=2)


def _character_encoder(config: LabellingConfig) -> CharacterEncoder:
    size, hidden = config.character_embedding, config.character_hidden
    rate = config.dropout_ngrams if config.characters == "ngrams" else config.dropout
    return CharacterEncoder(config.characters, config.alphabet, size, hidden, rate)


def _unknown_rates(counts_V: NDArray[np.int64], constant: float) -> Tensor:
    """Return the probability of replacing each vocabulary entry; special tokens are kept."""
    rate_V = constant / (constant + np.maximum(counts_V, 1))
    rate_V[: len(special_tokens.NAMES)] = 0
    return torch.from_numpy(rate_V.astype(np.float32))


def _make_layers(config: LabellingConfig) -> CausalEncoder | RecurrentEncoder | TransformerEncoder:
    if config.causal:
        return CausalEncoder(_language_model_config(config))
    shape = _encoder_config(config)
    return TransformerEncoder(shape) if config.arch == "transformer" else RecurrentEncoder(shape)


def _language_model_config(config: LabellingConfig) -> LMConfig:
    """Describe the layers as those of a language model."""
    return LMConfig(
        arch=config.arch,
        vocabulary=config.vocabulary,
        embedding=config.embedding,
        hidden=config.hidden,
        layers=config.layers,
        tied=config.last_hidden == config.embedding,  # a tied model's last layer has the size of the embeddings
        residual=config.residual,
        heads=config.heads,
        memory=config.memory,
        dropout=config.dropout,
        dropout_hidden=config.dropout,
        weight_drop=config.weight_drop,
    )


def _encoder_config(config: LabellingConfig) -> Seq2SeqConfig:
    """Describe the layers as the encoder of a sequence-to-sequence model."""
    return Seq2SeqConfig(
        arch=config.arch,
        source_size=config.vocabulary,
        target_size=1,
        embedding=config.input_size,
        hidden=config.hidden,
        layers=config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        heads=config.heads,
        inner=config.inner,
        residual=config.residual,
        layer_norm=config.layer_norm,
        locked=True,
        weight_drop=config.weight_drop,
    )
