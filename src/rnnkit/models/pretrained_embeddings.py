"""Pretrained weights: word vectors in an embedding table, or all weights of another model (fine-tuning).

A token is looked up in the vectors as it is, then without its tokenizer's markers of word boundaries (`▁`, `￭`), then
lowercased; if the vectors have subwords, the vector of an unknown word is composed from its character n-grams.

All vectors are scaled by one factor so that their mean squared length is 1, as for random embeddings: inputs and a
tied output layer then start in the range that the network is made for, however the vectors were trained. Embeddings of
tokens without a vector, including special tokens, are drawn from a normal distribution with the mean and standard
deviation, per dimension, of the vectors.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rnnkit.embeddings.vectors import WordVectors
from rnnkit.errors import ArtefactError, ConfigError
from rnnkit.json_types import JsonMapping
from rnnkit.models import model_weights, sequence_to_sequence, store
from rnnkit.text import special_tokens
from rnnkit.text.rule_based_tokenizers import JOINER
from rnnkit.text.special_tokens import METASPACE
from rnnkit.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class MatchedVectors:
    """Vectors of the entries of a vocabulary.

    Attributes:
        rows: Ids of the entries that have a vector; those of composed vectors come last.
        vectors_ND: Their vectors, unscaled.
        composed: Number of vectors composed from subwords.
    """

    rows: NDArray[np.int64]
    vectors_ND: NDArray[np.float32]
    composed: int


@dataclass(frozen=True)
class VectorCoverage:
    """How much of a text has vectors.

    Attributes:
        words: Distinct tokens of the text.
        found: Distinct tokens with a vector of their own.
        composed: Distinct tokens whose vector was composed from subwords.
        share: Share of running tokens that have a vector, from 0 to 1.
    """

    words: int
    found: int
    composed: int
    share: float

    def __str__(self) -> str:
        composed = f", {self.composed:,} composed from subwords" if self.composed else ""
        return (
            f"{self.found:,} of {self.words:,} words found ({self.found / max(1, self.words):.1%}){composed}, "
            f"{self.share:.1%} of running tokens"
        )


def match_vectors(vocabulary: Vocabulary, vectors: WordVectors) -> MatchedVectors:
    """Find a vector for each entry of a vocabulary, except special tokens."""
    whole: dict[int, NDArray[np.float32]] = {}
    composed: dict[int, NDArray[np.float32]] = {}
    for row, token in enumerate(vocabulary.tokens):
        if row < len(special_tokens.NAMES):
            continue
        spelling = next((spelling for spelling in spelling_variants(token) if spelling in vectors), None)
        vector = vectors.table.vector(strip_markers(token) if spelling is None else spelling)
        if vector is not None and vector.any():  # a zero vector has no information
            (composed if spelling is None else whole)[row] = vector
    both = {**whole, **composed}
    vectors_ND = np.stack(list(both.values())) if both else np.zeros((0, vectors.dimension), np.float32)
    return MatchedVectors(np.array(list(both), np.int64), vectors_ND, len(composed))


def strip_markers(token: str) -> str:
    """Remove word-boundary markers from a token; a token that consists of markers stays."""
    return token.removeprefix(METASPACE).strip(JOINER) or token


def spelling_variants(token: str) -> Iterator[str]:
    """Yield the spellings under which a token may have a vector, in order of preference."""
    yield token
    yield strip_markers(token)
    yield token.lower()
    yield strip_markers(token).lower()


def measure_coverage(matched: MatchedVectors, counts_V: NDArray[np.int64]) -> VectorCoverage:
    """Measure how much of a text the matched vectors cover.

    Args:
        matched: Vectors of the vocabulary.
        counts_V: Frequency of each entry in the text; special tokens are ignored.
    """
    counts_V = counts_V.copy()
    counts_V[: len(special_tokens.NAMES)] = 0
    whole, composed = np.split(matched.rows, [len(matched.rows) - matched.composed])
    covered = int(counts_V[matched.rows].sum())
    return VectorCoverage(
        words=int(np.count_nonzero(counts_V)),
        found=int(np.count_nonzero(counts_V[whole])),
        composed=int(np.count_nonzero(counts_V[composed])),
        share=covered / max(1, int(counts_V.sum())),
    )


@torch.no_grad()
def init_embedding(embedding: nn.Embedding, matched: MatchedVectors) -> None:
    """Initialize an embedding table from vectors; its padding stays zero.

    Args:
        embedding: The table (V, D).
        matched: At least one vector, of dimension D. All other embeddings are drawn with torch's generator.
    """
    vectors_ND = torch.from_numpy(matched.vectors_ND)
    vectors_ND = vectors_ND / vectors_ND.square().sum(dim=1).mean().sqrt()
    deviation_D = torch.full((embedding.embedding_dim,), 1 / math.sqrt(embedding.embedding_dim))
    if len(vectors_ND) > 1:
        deviation_D = vectors_ND.std(dim=0, correction=0)
    table_VD = vectors_ND.mean(dim=0) + deviation_D * torch.randn(embedding.num_embeddings, embedding.embedding_dim)
    table_VD[torch.from_numpy(matched.rows)] = vectors_ND
    table_VD[special_tokens.PAD] = 0
    embedding.weight.copy_(table_VD)


def load_initial_weights(network: nn.Module, task: str, source: Path, vocabularies: Sequence[Vocabulary]) -> None:
    """Copy the best weights of the model in `source` into a network (fine-tuning).

    Args:
        network: The network; its `config` is a dataclass.
        task: Its task, as named in `models.store`.
        source: A model directory.
        vocabularies: Vocabularies of the network, in the order of a model directory.

    Raises:
        ArtefactError: The model has another task or another vocabulary, so that ids would change their meaning.
        ConfigError: The model has another configuration.
    """
    document = store.read_config(source)
    store.check_task(source, document["task"], task)
    source_vocabularies = [Vocabulary.load(source / Path(name).name) for name in document["vocabularies"]]
    for own, other in zip(vocabularies, source_vocabularies, strict=False):
        if own.tokens != other.tokens:
            raise ArtefactError(
                f"--init-from {source} has another vocabulary",
                f"{len(other):,} tokens there, {len(own):,} here; the ids of the embeddings would differ in meaning",
                hint=f"align the new data with --vocab {source}/vocab.tsv and its tokenizer",
                path=source,
                option="--init-from",
            )
    config = cast("DataclassInstance", network.config)
    # Keys that an older configuration lacks have the defaults that were the only behavior then.
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    _check_config(dataclasses.asdict(config), {**defaults, **document["network"]}, source)
    path = store.weights_path(source, "best")
    tensors, _ = model_weights.load(path)
    model_weights.copy_into(
        network, sequence_to_sequence.upgrade_parameter_names(tensors) if task == store.SEQ2SEQ else tensors, path
    )


def _check_config(own: JsonMapping, other: JsonMapping, source: Path) -> None:
    """Allow only dropout rates and the guided attention head to differ: no weights depend on them."""
    compared = {key: (_as_json(other.get(key)), _as_json(value)) for key, value in own.items()}
    differing = [
        f"{key}: {there} there, {here} here"
        for key, (there, here) in compared.items()
        if there != here and "drop" not in key and key != "guided_head"
    ]
    if differing:
        raise ConfigError(
            f"--init-from {source} has another architecture",
            *differing,
            hint="give the same model options",
            path=source,
            option="--init-from",
        )


def _as_json(value: object) -> object:
    """Return a tuple as the list that JSON makes of it."""
    return list(value) if isinstance(value, tuple) else value
