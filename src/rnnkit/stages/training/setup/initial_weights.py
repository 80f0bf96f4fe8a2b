"""Word vectors that a network's embeddings start from: `--embeddings` and `--freeze-embeddings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rnnkit.embeddings import loading
from rnnkit.errors import ArtefactError, ConfigError, DataError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.models.language_model import LanguageModel
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.text.vocabulary import Vocabulary

EMBEDDINGS_INPUT = "embeddings"
"""Under this name, with the language behind it where there are two, the manifest of a model has the checksums."""

_BLOCK = 1 << 24


@dataclass(frozen=True)
class PretrainedEmbeddings:
    """What the options say of word vectors.

    Attributes:
        paths: None; those of the source, or of both sides where they share their embeddings; the source's and the
            target's.
        frozen: Whether embeddings that start from vectors stay as they are.
        joint: Whether there is one table: the sides share their embeddings, or there is one side.
        repair: Whether imperfect files are read too.
    """

    paths: tuple[Path, ...]
    frozen: bool
    joint: bool
    repair: bool = False

    def check(self, tied: bool, init_from: Path | None) -> None:
        """Refuse what makes no sense, before any work is done.

        Raises:
            UsageError: Options that do not go together.
        """
        if not self.paths and self.frozen:
            raise UsageError("--freeze-embeddings needs --embeddings", "random ones would never learn anything")
        if len(self.paths) > (1 if self.joint else 2):
            wanted = "one, for there is one table" if self.joint else "the source's and the target's"
            raise UsageError(f"--embeddings names {len(self.paths)} files of vectors", f"it wants {wanted}")
        if self.paths and init_from is not None:
            raise UsageError("--embeddings and --init-from both say what the embeddings start from")
        if self.frozen and tied and (self.joint or len(self.paths) > 1):
            raise UsageError(
                "--freeze-embeddings would freeze the output layer too",
                "with --tied its matrix is the target embeddings",
                hint="--no-tied gives it a matrix of its own"
                + ("" if self.joint else "; one file of vectors alone freezes the source's embeddings only"),
            )

    def digests(self, sides: tuple[str, ...]) -> dict[str, str]:
        """sha256 of each file of vectors, of a directory's manifest, by the part it plays; a pipe has none.

        Raises:
            DataError: One is missing.
        """
        names = [EMBEDDINGS_INPUT] if len(self.paths) == 1 else [f"{EMBEDDINGS_INPUT}.{side}" for side in sides]
        found = {name: _digest(path) for name, path in zip(names, self.paths, strict=False)}
        return {name: digest for name, digest in found.items() if digest is not None}

    def fill(
        self,
        network: SequenceToSequence | LanguageModel | MaskedLM,
        vocabularies: list[Vocabulary],
        data: AlignedData,
        listen: Listener,
    ) -> None:
        """Start the embeddings from the vectors, and say how much they cover.

        Raises:
            ConfigError: The vectors are of another size than the embeddings.
            DataError: A file is missing or holds no vectors, or none for any token of the vocabulary.
        """
        from rnnkit.embeddings.vectors import Vectors
        from rnnkit.models import pretrained_embeddings

        for path, sides, embedding in self._tables(network, data):
            vectors = Vectors(loading.load_table(path, self.repair, listen))
            if vectors.dimension != embedding.embedding_dim:
                raise ConfigError(
                    f"the vectors of {path} have {vectors.dimension} dimensions, --embedding is "
                    f"{embedding.embedding_dim}",
                    hint=f"--embedding {vectors.dimension}",
                )
            vocabulary = vocabularies[0 if data.sides[0] in sides else -1]
            found = pretrained_embeddings.match_vectors(vocabulary, vectors)
            if not len(found.rows):
                raise _nothing_found(path, vocabulary, vectors.words[:3])
            coverage = pretrained_embeddings.measure_coverage(found, count_tokens(data, sides))
            listen(Note(f"{' and '.join(sides)} embeddings from {path}: {coverage}"))
            pretrained_embeddings.init_embedding(embedding, found)

    def freeze(self, network: SequenceToSequence | LanguageModel | MaskedLM, data: AlignedData) -> None:
        """Take the embeddings that start from vectors out of what is learned, where that was asked for."""
        for _, _, embedding in self._tables(network, data):
            embedding.weight.requires_grad_(not self.frozen)

    def _tables(
        self, network: SequenceToSequence | LanguageModel | MaskedLM, data: AlignedData
    ) -> Iterator[tuple[Path, tuple[str, ...], nn.Embedding]]:
        """Each file of vectors with the languages and the embedding that it is for."""
        tables = network.input_embeddings
        sides = [data.sides] if len(tables) == 1 else [data.sides[:1], data.sides[1:]]
        yield from zip(self.paths, sides, tables, strict=False)


def recorded_embeddings(folder: Path) -> Mapping[str, str]:
    """The checksums of the vectors that a run was started with: its checkpoint needs the files no more."""
    inputs = manifest.load(folder / manifest.NAME).inputs
    return {name: digest for name, digest in inputs.items() if name.partition(".")[0] == EMBEDDINGS_INPUT}


def _digest(path: Path) -> str | None:
    if not path.exists():
        raise DataError(f"there are no vectors at {path}")
    return loading.digest_vectors(path)


def count_tokens(data: AlignedData, sides: tuple[str, ...]) -> NDArray[np.int64]:
    """How often each row of the vocabulary occurs in the training part."""
    import numpy as np

    counts_V = np.zeros(data.vocabulary_size(sides[0]), np.int64)
    for side in sides:
        ids = data.side("train", side).ids
        for start in range(0, len(ids), _BLOCK):
            counts_V += np.bincount(ids[start : start + _BLOCK], minlength=len(counts_V))
    return counts_V


def _nothing_found(path: Path, vocabulary: Vocabulary, words: list[str]) -> DataError:
    from rnnkit.text import special_tokens

    tokens = vocabulary.tokens[len(special_tokens.NAMES) :][:3]
    return DataError(
        f"{path} has no vector for any token of the vocabulary",
        f"the vocabulary has {', '.join(tokens)}; the vectors are of {', '.join(words)}",
        hint="vectors of words want text in words: `rnnkit tokenize --type words`",
    )


if TYPE_CHECKING:
    from torch import nn

    from rnnkit.text.vocabulary import Vocabulary


def load_initial_weights(network: nn.Module, task: str, source: Path, vocabularies: Sequence[Vocabulary]) -> None:
    """Give a network the best weights of the model in `source`.

    Args:
        network: What gets them; its `config` is a dataclass.
        task: What it is for, as `models.store` names it.
        source: A model directory.
        vocabularies: The network's own, in the order in which model directories list them.

    Raises:
        ArtefactError: The model is for something else, or has another vocabulary, so that rows of the embeddings would
            not mean the same.
        ConfigError: The model has another shape.
    """
    from rnnkit.models import model_weights, sequence_to_sequence, store
    from rnnkit.text.vocabulary import Vocabulary

    document = store.read_config(source)
    store.check_task(source, document["task"], task)
    theirs = [Vocabulary.load(source / Path(name).name) for name in document["vocabularies"]]
    for mine, other in zip(vocabularies, theirs, strict=False):
        if mine.tokens != other.tokens:
            raise ArtefactError(
                f"--init-from {source} has another vocabulary",
                f"{len(other):,} tokens there, {len(mine):,} here; rows of the embeddings would not mean the same",
                hint=f"align the new data with --vocab {source}/vocab.tsv and its tokenizer",
            )
    config = cast(Any, network.config)
    # What a configuration does not say yet is as it was before there was a choice.
    theirs_before = {field.name: field.default for field in dataclasses.fields(config)}
    _check_shape(dataclasses.asdict(config), {**theirs_before, **document["network"]}, source)
    path = store.weights_path(source, "best")
    tensors, _ = model_weights.load(path)
    model_weights.copy_into(
        network, sequence_to_sequence.upgrade_parameter_names(tensors) if task == store.SEQ2SEQ else tensors, path
    )


def _check_shape(ours: Mapping[str, Any], theirs: Mapping[str, Any], source: Path) -> None:
    """Only what is dropped in training may differ, and which head's attention is reported: no weights depend on it."""
    differing = [
        f"{key}: {theirs.get(key)} there, {ours[key]} here"
        for key in ours
        if ours[key] != theirs.get(key) and "drop" not in key and key != "guided_head"
    ]
    if differing:
        raise ConfigError(f"--init-from {source} is another network", *differing, hint="give the same model options")
