"""Inputs of a training command, checked to match: data, vocabularies, tokenizer, alignment links, word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from rnnkit.embeddings import queries
from rnnkit.errors import ArtefactError, ConfigError, DataError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.text.token_files import TRAIN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.models.labelling.tagger import TaggerNetwork
    from rnnkit.models.labelling.text_classifier import ClassifierNetwork
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.models.masked_lm import MaskedLM
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.training_step import AttentionSupervision

    Network = SequenceToSequence | LanguageModelNetwork | MaskedLM | TaggerNetwork | ClassifierNetwork
    DataT = TypeVar("DataT", AlignedData, LabelledData)
else:
    DataT = TypeVar("DataT")


@dataclass(frozen=True)
class TrainingInputs(Generic[DataT]):
    """Artifacts that match each other.

    Attributes:
        data: Encoded data with the splits `train` and `valid`.
        vocabularies: One vocabulary file for all sides, or the source's and the target's.
        tokenizer: Tokenizer directory; None if the text was tokenized elsewhere.
        digests: SHA-256 of each, and of what they were made from.
    """

    data: DataT
    vocabularies: list[Path]
    tokenizer: Path | None
    digests: dict[str, str]

    @property
    def joint(self) -> bool:
        """Whether all sides share one vocabulary."""
        return len(self.vocabularies) == 1


def open_pairs(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None
) -> TrainingInputs[AlignedData]:
    """Open parallel data and find the vocabularies and the tokenizer that it was made with.

    Args:
        work: Workspace with the default paths.
        data_folder: Encoded data.
        vocabularies: One joint vocabulary, or the source's and the target's; empty for those of the workspace.
        tokenizer: Tokenizer directory.

    Raises:
        DataError: Something is missing, or the data is not parallel or lacks a `train` or `valid` split.
        ArtefactError: The data was made with another vocabulary or tokenizer.
    """
    found = _open(work, data_folder, vocabularies, tokenizer, "parallel")
    if found.tokenizer is None:
        raise DataError(
            f"{found.data.folder} was made from text that was tokenized elsewhere",
            "a model directory includes its tokenizer, so that the model translates raw text",
            hint="give the raw text to `rnnkit tokenize`; use --type spaces for tokenized text",
            path=found.data.folder,
        )
    return found


def open_text(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None
) -> TrainingInputs[AlignedData]:
    """Open monolingual data with its vocabulary and, if it has one, its tokenizer; arguments as for `open_pairs`.

    Raises:
        DataError: Something is missing, or the data is parallel or lacks a `train` or `valid` split.
        ArtefactError: The data was made with another vocabulary or tokenizer.
    """
    return _open(work, data_folder, vocabularies, tokenizer, "text")


def _open(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None, task: str
) -> TrainingInputs[AlignedData]:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.text.tokenizer_store import read_tokenizer_identity

    workspace = Workspace(work)
    data = AlignedData.open(data_folder or workspace.data)
    _check_task(data, task)
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] if joint else [f"vocabulary.{side}" for side in data.sides]
    paths = vocabularies or [workspace.vocabulary(None if joint else side) for side in data.sides[: len(names)]]
    if len(paths) != len(names):
        raise UsageError(
            f"--vocab names {len(paths)} files, but {data.folder} was made with {len(names)}", option="--vocab"
        )
    for name, path in zip(names, paths, strict=True):
        check_match(data, name, path, manifest.sha256(path))
    folder = None
    if "tokenizer" in data.meta.inputs:
        folder = tokenizer or workspace.tokenizer
        check_match(data, "tokenizer", folder, read_tokenizer_identity(folder))
    elif tokenizer is not None:
        raise UsageError(
            f"--tokenizer {tokenizer} cannot be used: {data.folder} was made from text that was tokenized elsewhere",
            path=tokenizer,
            option="--tokenizer",
        )
    digests = {"data": manifest.sha256(data.folder / manifest.NAME), **data.meta.inputs}
    return TrainingInputs(data, paths, folder, digests)


_WRONG_SIDES = {
    "parallel": "{folder} has one side, {sides}; a sequence-to-sequence model needs two",
    "text": "{folder} has two sides, {sides}; a language model needs one",
}
_SIDES_HINT = {
    "parallel": "`rnnkit align --source LANG --target LANG` makes parallel data",
    "text": "`rnnkit align --text LANG --output DIR` makes data with one side",
}


def _check_task(data: AlignedData, task: str) -> None:
    """Refuse data with the wrong number of sides, or without a split that training needs."""
    if data.task != task:
        message = _WRONG_SIDES[task].format(folder=data.folder, sides=" and ".join(data.sides))
        raise DataError(message, hint=_SIDES_HINT[task], path=data.folder)
    for split in ("train", "valid"):
        if split not in data.splits or not len(data.side(split, data.sides[0])):
            raise DataError(
                f"{data.folder} has no {split} sentences",
                hint=f"give `rnnkit align` a {split} split as well",
                path=data.folder,
            )


def check_match(data: AlignedData | LabelledData, name: str, path: Path, digest: str) -> None:
    """Check that data was made with an input. Raises ArtefactError if it was made with another one."""
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not match {data.folder}",
            f"the data was made with a {name} with sha256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"{path} has {digest[:12]}…",
            hint="run `rnnkit align` again, or give the matching one",
            path=path,
        )


LINKS_INPUT = "links"
"""Name under which the manifest of a model records the digest of the alignment links."""

GUIDED_WEIGHT = 0.2
"""Default weight of the guided-attention loss."""


@dataclass(frozen=True)
class GuidedAttentionInput:
    """Alignment links that supervise the attention (guided attention, Chen et al. 2016, arXiv:1607.01628).

    Attributes:
        path: File of alignment links; None without guided attention.
        weight: Weight of the guided-attention loss; with 0 the file is not read.
    """

    path: Path | None
    weight: float

    @property
    def file(self) -> Path | None:
        """The file that is read."""
        return self.path if self.weight else None

    def check(self, attention: str | None) -> None:
        """Check the options before any work is done.

        Raises:
            UsageError: The weight is set without links, or the model has no attention.
        """
        if self.path is None and self.weight != GUIDED_WEIGHT:
            raise UsageError(
                f"--guided-weight {self.weight:g} needs --guided-attention",
                "it is the weight of the alignment links given there",
                option="--guided-weight",
            )
        if self.path is not None and attention == "none":
            raise UsageError(
                f"--guided-attention {self.path} needs attention, and --attention is none",
                option="--guided-attention",
            )

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the links under their name in the manifest. Raises DataError if the file is missing."""
        if self.file is None:
            return {}
        if not self.file.is_file():
            raise DataError(
                f"there are no alignment links at {self.file}",
                hint=manifest.CREATION_HINTS["links"],
                path=self.file,
            )
        return {LINKS_INPUT: manifest.sha256(self.file)}

    def load(self, data: AlignedData) -> AttentionSupervision | None:
        """Read the alignment links of the training split.

        Raises:
            DataError: A line is malformed or links a word outside its sentence, the number of lines is not the number
                of sentence pairs, or the file has no link.
            ArtefactError: The links belong to other data, or the file has changed since it was written.
            FormatError: The manifest of the links is damaged.
        """
        from rnnkit.alignment.alignment_links import check_links_match_data, read_links
        from rnnkit.alignment.bitext import make_side
        from rnnkit.training.training_step import AttentionSupervision

        if self.file is None:
            return None
        check_links_match_data(self.file, data.folder)
        sides = (make_side(data.side(TRAIN, side), data.vocabulary_size(side)) for side in data.sides)
        source_N, target_N = (side.length_N for side in sides)
        links = read_links(self.file, source_N, target_N)
        if not len(links.source_L):
            raise DataError(
                f"{self.file} has no alignment links",
                "all of its lines are empty",
                hint=manifest.CREATION_HINTS["links"],
                path=self.file,
            )
        return AttentionSupervision(links, self.weight)


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
        network: Network,
        vocabularies: list[Vocabulary],
        data: AlignedData | LabelledData,
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
            vectors = WordVectors(queries.load_table(path, self.repair, listen))
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

    def freeze(self, network: Network, data: AlignedData | LabelledData) -> None:
        """Exclude the embeddings that the vectors initialize from training, if they are to be frozen."""
        for _, _, embedding in self._tables(network, data):
            embedding.weight.requires_grad_(not self.frozen)

    def _tables(
        self, network: Network, data: AlignedData | LabelledData
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
    return queries.digest_vectors(path)


def count_tokens(data: AlignedData | LabelledData, sides: tuple[str, ...]) -> NDArray[np.int64]:
    """Count the occurrences of each vocabulary entry in the training split, (V,)."""
    import numpy as np

    from rnnkit.data.labelled_data import LabelledData

    if isinstance(data, LabelledData):
        return data.token_counts()
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
