"""Initial weights of a network: pretrained word embeddings (`--embeddings`) or another model (`--init-from`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnkit.embeddings import loading
from rnnkit.errors import ArtefactError, ConfigError, DataError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.json_types import JsonMapping

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import DataclassInstance
    from numpy.typing import NDArray
    from torch import nn

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.text.vocabulary import Vocabulary

EMBEDDINGS_INPUT = "embeddings"
"""Name under which the manifest of a model records the digest of the word vectors; of two files, `embeddings.LANG`."""

_BLOCK_TOKENS = 1 << 24


@dataclass(frozen=True)
class PretrainedEmbeddings:
    """Word vectors that initialize the embeddings.

    Attributes:
        paths: Files of word vectors: none; those of the source, or of both sides with shared embeddings; those of
            source and target.
        frozen: Whether embeddings initialized from vectors are not trained.
        joint: Whether there is a single embedding matrix: one side, or sides that share it.
        repair: Whether imperfect files are repaired while they are read.
    """

    paths: tuple[Path, ...]
    frozen: bool
    joint: bool
    repair: bool = False

    def check(self, tied: bool, init_from: Path | None) -> None:
        """Check the options before any work is done.

        Raises:
            UsageError: They cannot be combined.
        """
        if not self.paths and self.frozen:
            raise UsageError(
                "--freeze-embeddings needs --embeddings",
                "random embeddings would never be trained",
                option="--freeze-embeddings",
            )
        if len(self.paths) > (1 if self.joint else 2):
            expected = "one, as there is one embedding matrix" if self.joint else "at most two, of source and target"
            raise UsageError(
                f"--embeddings names {len(self.paths)} files of word vectors, expected {expected}",
                option="--embeddings",
            )
        if self.paths and init_from is not None:
            raise UsageError(
                "--embeddings and --init-from exclude each other",
                "both initialize the embeddings",
                option="--embeddings",
            )
        if self.frozen and tied and (self.joint or len(self.paths) > 1):
            raise UsageError(
                "--freeze-embeddings would freeze the output layer, too",
                "with --tied its weights are the target embeddings",
                hint="--no-tied gives it weights of its own"
                + ("" if self.joint else "; a single file of word vectors freezes only the source embeddings"),
                option="--freeze-embeddings",
            )

    def digests(self, sides: tuple[str, ...]) -> dict[str, str]:
        """Return the SHA-256 of each file, or of a directory's manifest, by its name as an input; a pipe has none.

        Raises:
            DataError: A file is missing.
        """
        names = [EMBEDDINGS_INPUT] if len(self.paths) == 1 else [f"{EMBEDDINGS_INPUT}.{side}" for side in sides]
        found = {name: _digest(path) for name, path in zip(names, self.paths, strict=False)}
        return {name: digest for name, digest in found.items() if digest is not None}

    def initialize(
        self,
        network: SequenceToSequence | LanguageModelNetwork | MaskedLM,
        vocabularies: list[Vocabulary],
        data: AlignedData,
        listen: Listener,
    ) -> None:
        """Initialize the embeddings from the word vectors, and emit a note of their coverage.

        Raises:
            ConfigError: The dimension of the vectors is not that of the embeddings.
            DataError: A file is missing, has no vectors, or has none for any token of the vocabulary.
        """
        from rnnkit.embeddings.vectors import WordVectors
        from rnnkit.models import pretrained_embeddings

        for path, sides, embedding in self._tables(network, data):
            vectors = WordVectors(loading.load_table(path, self.repair, listen))
            if vectors.dimension != embedding.embedding_dim:
                raise ConfigError(
                    f"the vectors of {path} have {vectors.dimension} dimensions, --embedding is "
                    f"{embedding.embedding_dim}",
                    hint=f"--embedding {vectors.dimension}",
                    path=path,
                    option="--embedding",
                )
            vocabulary = vocabularies[0 if data.sides[0] in sides else -1]
            found = pretrained_embeddings.match_vectors(vocabulary, vectors)
            if not len(found.rows):
                raise _no_match(path, vocabulary, vectors.words[:3])
            coverage = pretrained_embeddings.measure_coverage(found, count_tokens(data, sides))
            listen(Note(f"{' and '.join(sides)} embeddings from {path}: {coverage}"))
            pretrained_embeddings.init_embedding(embedding, found)

    def freeze(self, network: SequenceToSequence | LanguageModelNetwork | MaskedLM, data: AlignedData) -> None:
        """Exclude the embeddings that the vectors initialize from training, if they are to be frozen."""
        for _, _, embedding in self._tables(network, data):
            embedding.weight.requires_grad_(not self.frozen)

    def _tables(
        self, network: SequenceToSequence | LanguageModelNetwork | MaskedLM, data: AlignedData
    ) -> Iterator[tuple[Path, tuple[str, ...], nn.Embedding]]:
        """Yield each file of word vectors with the languages and the embedding that it initializes."""
        tables = network.input_embeddings
        sides = [data.sides] if len(tables) == 1 else [data.sides[:1], data.sides[1:]]
        yield from zip(self.paths, sides, tables, strict=False)


def recorded_embeddings(folder: Path) -> Mapping[str, str]:
    """Return the digests of the word vectors that a run was started with; a run with a checkpoint needs no files."""
    inputs = manifest.load(folder / manifest.NAME).inputs
    return {name: digest for name, digest in inputs.items() if name.partition(".")[0] == EMBEDDINGS_INPUT}


def _digest(path: Path) -> str | None:
    if not path.exists():
        raise DataError(f"there are no word vectors at {path}", path=path, option="--embeddings")
    return loading.digest_vectors(path)


def count_tokens(data: AlignedData, sides: tuple[str, ...]) -> NDArray[np.int64]:
    """Count the occurrences of each vocabulary entry in the training split, (V,)."""
    import numpy as np

    counts_V = np.zeros(data.vocabulary_size(sides[0]), np.int64)
    for side in sides:
        ids = data.side("train", side).ids
        for start in range(0, len(ids), _BLOCK_TOKENS):
            counts_V += np.bincount(ids[start : start + _BLOCK_TOKENS], minlength=len(counts_V))
    return counts_V


def _no_match(path: Path, vocabulary: Vocabulary, words: list[str]) -> DataError:
    from rnnkit.text import special_tokens

    tokens = vocabulary.tokens[len(special_tokens.NAMES) :][:3]
    return DataError(
        f"{path} has no vector for any token of the vocabulary",
        f"the vocabulary has {', '.join(tokens)}; the vectors are of {', '.join(words)}",
        hint="word vectors need text in words: `rnnkit tokenize --type words`",
        path=path,
    )


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
    from rnnkit.models import model_weights, sequence_to_sequence, store
    from rnnkit.text.vocabulary import Vocabulary

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
    differing = [
        f"{key}: {other.get(key)} there, {own[key]} here"
        for key in own
        if own[key] != other.get(key) and "drop" not in key and key != "guided_head"
    ]
    if differing:
        raise ConfigError(
            f"--init-from {source} has another architecture",
            *differing,
            hint="give the same model options",
            path=source,
            option="--init-from",
        )
