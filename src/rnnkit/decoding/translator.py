"""Translation models as one object: ensembles, shallow fusion with language models, vocabulary shortlists.

`run_batches` decodes several batches at a time on the CPU, and splits batches that do not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.alignment.shortlist import Shortlist
from rnnkit.decoding.ensemble import Direction, Ensemble, ExtendedVocabularyStepper, RemappedStepper, ShallowFusion
from rnnkit.decoding.stepper import AnyStepper
from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.models import lm_store, store
from rnnkit.models.steppers import NeuralPrompts, NgramPrompts, TranslationStepper, VocabularyShortlist
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.ngrams import store as ngram_store
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import vocabulary_mapping
from rnnkit.text.tokenizer_store import read_tokenizer_identity
from rnnkit.text.vocabulary import Vocabulary

T = TypeVar("T")
R = TypeVar("R")

FusionModel = Callable[[int], AnyStepper]
"""Returns the stepper of a language model for a number of empty prompts."""

_ENSEMBLE_HINT = "train the models of an ensemble on the same data"


@dataclass(frozen=True)
class TranslationEnsemble:
    """Models that translate together.

    Attributes:
        models: Translation models with the same tokenizer and vocabularies; at least one.
        fusion_models: Language models of the target, for shallow fusion.
        weights: Weights of the language models.
        shortlist: Restricts the output layer to likely translations of a batch's source tokens; None for all tokens.
    """

    models: tuple[LoadedSeq2Seq, ...]
    fusion_models: tuple[FusionModel, ...] = ()
    weights: tuple[float, ...] = ()
    shortlist: Shortlist | None = None

    @property
    def main(self) -> LoadedSeq2Seq:
        """The first model, whose tokenizer and vocabularies are used."""
        return self.models[0]

    @property
    def device(self) -> torch.device:
        """Device of the models."""
        return next(self.main.network.parameters()).device

    @property
    def has_attention(self) -> bool:
        """Whether any model has attention."""
        return any(model.network.config.attention != "none" for model in self.models)

    @property
    def copies(self) -> bool:
        """Whether any model has a copy mechanism, which also copies source tokens that are not in the vocabulary."""
        return any(model.network.config.copy for model in self.models)

    def encode(self, tokens: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """Return the ids of source tokens, and the out-of-vocabulary tokens that extend the vocabulary."""
        oov = source_oov_tokens(self.main, tokens) if self.copies else ()
        return encode_tokens(self.main.source_vocabulary, tokens, oov), oov

    @property
    def right_to_left(self) -> tuple[LoadedSeq2Seq, ...]:
        """The models that generate the target from its end."""
        return tuple(model for model in self.models if model.network.config.right_to_left)

    @property
    def left_to_right(self) -> tuple[LoadedSeq2Seq, ...]:
        """The models that generate the target from its beginning."""
        return tuple(model for model in self.models if not model.network.config.right_to_left)

    def start_batch(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Direction, ...]:
        """Encode a batch.

        Args:
            source_BS: Ids from `encode` with EOS, padded on the right.
            lengths_B: Length of each sentence.

        Returns:
            The directions of the models, left to right first.
        """
        return tuple(
            Direction(self._combine(models, source_BS, lengths_B), right_to_left, len(models) / len(self.models))
            for right_to_left, models in ((False, self.left_to_right), (True, self.right_to_left))
            if models
        )

    def _combine(self, models: Sequence[LoadedSeq2Seq], source_BS: Tensor, lengths_B: Tensor) -> AnyStepper:
        """Encode a batch with the models of one direction and combine their steppers."""
        steppers = []
        for model in models:
            device = next(model.network.parameters()).device
            candidates = None
            if self.shortlist is not None:
                ids = self.shortlist.batch_candidates(source_BS.numpy())
                candidates = VocabularyShortlist.from_members(*(torch.from_numpy(part).to(device) for part in ids))
            steppers.append(TranslationStepper(model.network, source_BS.to(device), lengths_B.to(device), candidates))
        stepper: AnyStepper = steppers[0] if len(steppers) == 1 else Ensemble(steppers)
        if not self.fusion_models:
            return stepper
        fusion_models: list[AnyStepper] = [start(len(lengths_B)) for start in self.fusion_models]
        size = len(self.main.target_vocabulary)
        if (oov := int(source_BS.max()) + 1 - size) > 0 and self.copies:
            fusion_models = [ExtendedVocabularyStepper(one, size, oov) for one in fusion_models]
        return ShallowFusion(stepper, fusion_models, self.weights)


def source_oov_tokens(model: LoadedSeq2Seq, tokens: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct out-of-vocabulary tokens of a source line, in order, without features.

    A copy mechanism extends the vocabulary of the line by these tokens (See et al. 2017, arXiv:1704.04368): their ids
    follow the last id of the vocabulary.
    """
    ids, is_feature = model.source_vocabulary.ids, model.tokenizer.is_feature
    return tuple(dict.fromkeys(token for token in tokens if token not in ids and not is_feature(token)))


def encode_tokens(vocabulary: Vocabulary, tokens: Iterable[str], oov: Sequence[str] = ()) -> list[int]:
    """Convert tokens to ids of the vocabulary extended by `oov`."""
    ids = vocabulary.encode(tokens := list(tokens))
    if not oov:
        return ids
    extension = {token: index for index, token in enumerate(oov, start=len(vocabulary))}
    return [extension.get(token, index) for token, index in zip(tokens, ids, strict=True)]


def decode_ids(vocabulary: Vocabulary, ids: Iterable[int], oov: Sequence[str] = ()) -> list[str]:
    """Convert ids of the vocabulary extended by `oov` to tokens."""
    size = len(vocabulary)
    return [vocabulary.tokens[index] if index < size else oov[index - size] for index in ids]


@dataclass(frozen=True)
class TranslatorFiles:
    """Directories of the models that translate together.

    Attributes:
        models: Directories of the translation models.
        checkpoint: Checkpoint to load: best, last or average.
        fusion: Directories of neural or n-gram language models, with their weights.
        shortlist: Directory of a vocabulary shortlist.
    """

    models: Sequence[Path]
    checkpoint: str
    fusion: Sequence[tuple[Path, float]] = ()
    shortlist: Path | None = None


def load_translator(
    files: TranslatorFiles, device: torch.device, int8: bool = False, listen: Listener = null_listener
) -> TranslationEnsemble:
    """Load translation models, and language models for shallow fusion.

    Args:
        files: The models.
        device: Device of the networks.
        int8: Whether the translation models use int8 dynamic quantization.
        listen: Receives warnings about tokens that only one of two models has.

    Raises:
        DataError: A model or its checkpoint is missing.
        ArtefactError: A model is of another kind, or its tokenizer or vocabularies differ from the first model's; a
            language model has mostly other tokens; the shortlist is for another vocabulary, or a model has a copy
            mechanism and cannot use it.
        FormatError: A file is damaged; names the file.
    """
    models = tuple(store.load_seq2seq(folder, files.checkpoint, device) for folder in files.models)
    for folder in files.models[1:]:
        _check_compatible(files.models[0], folder)
    fusion_models = [_load_fusion_model(models[0], folder, device, listen) for folder, _ in files.fusion]
    for model in models:
        model.network.prepare_for_inference(int8)
    shortlist = None if files.shortlist is None else _load_shortlist(files.shortlist, models)
    return TranslationEnsemble(models, tuple(fusion_models), tuple(weight for _, weight in files.fusion), shortlist)


def _load_shortlist(folder: Path, models: Sequence[LoadedSeq2Seq]) -> Shortlist:
    """Open a vocabulary shortlist and check that the models can use it."""
    for model in models:
        if model.network.config.copy:
            raise ArtefactError(
                f"{model.folder} copies source words and cannot use the shortlist {folder}",
                "a copied word may not be on the shortlist",
                hint="decode without --shortlist",
                path=folder,
                option="--shortlist",
            )
    shortlist = Shortlist.open(folder)
    first = models[0].folder
    names = store.read_config(first)["vocabularies"]
    source, target = (manifest.sha256(first / Path(names[side]).name) for side in (0, -1))
    shortlist.check_vocabularies(source, target)
    return shortlist


def _load_fusion_model(model: LoadedSeq2Seq, folder: Path, device: torch.device, listen: Listener) -> FusionModel:
    """Load a language model for shallow fusion; tokens are matched by spelling if the vocabularies differ."""
    start, vocabulary, weight_V = _open_language_model(folder, device)
    target = model.target_vocabulary
    if vocabulary.tokens == target.tokens:
        return start
    matched = vocabulary_mapping.map_vocabulary(
        target, vocabulary, vocabulary_mapping.token_frequencies(target), weight_V
    )
    is_joint = model.source_vocabulary is target
    threshold = vocabulary_mapping.MIN_JOINT_COVERAGE if is_joint else vocabulary_mapping.MIN_COVERAGE
    vocabulary_mapping.check_overlap(matched, str(model.folder), str(folder), threshold)
    if warning := vocabulary_mapping.describe_mismatches(matched, str(model.folder), str(folder)):
        listen(WarningEvent(warning))
    id_V = torch.from_numpy(matched.other_id_V)
    return lambda sentences: RemappedStepper(start(sentences), id_V)


def _open_language_model(
    folder: Path, device: torch.device
) -> tuple[FusionModel, Vocabulary, vocabulary_mapping.Frequencies]:
    """Open a neural or n-gram language model with its vocabulary and the frequencies of its tokens."""
    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.LANGUAGE_MODEL)
    vocabulary = Vocabulary.load(folder / lm_store.VOCABULARY_FILE)
    if document["network"].get("arch") == "ngram":
        counts = ngram_store.load(folder / ngram_store.NAME)
        weight_V = vocabulary_mapping.token_frequencies(vocabulary, counts.unigrams())
        return lambda sentences: NgramPrompts(counts, [()] * sentences), vocabulary, weight_V
    network = lm_store.load_language_model(folder, "best", device).network
    lm_store.check_generates(folder, network.config)
    return (
        lambda sentences: NeuralPrompts(network, [()] * sentences),
        vocabulary,
        vocabulary_mapping.token_frequencies(vocabulary),
    )


def _check_compatible(first: Path, other: Path) -> None:
    """Raise ArtefactError if a model has another tokenizer or other vocabularies than the first."""
    for side, index in (("target", -1), ("source", 0)):
        paths = [folder / Path(store.read_config(folder)["vocabularies"][index]).name for folder in (first, other)]
        _check_vocabularies(side, *paths)
    if read_tokenizer_identity(first / "tokenizer") != read_tokenizer_identity(other / "tokenizer"):
        raise ArtefactError(f"{first} and {other} have different tokenizers", hint=_ENSEMBLE_HINT, path=other)


def _check_vocabularies(side: str, first: Path, other: Path) -> None:
    digests = [manifest.sha256(path) for path in (first, other)]
    if digests[0] != digests[1] and Vocabulary.load(first).tokens != Vocabulary.load(other).tokens:
        raise ArtefactError(
            f"{first.parent} and {other.parent} have different {side} vocabularies",
            f"{first} has sha256 {digests[0][:12]}…, {other} {digests[1][:12]}…",
            hint=_ENSEMBLE_HINT,
            path=other,
        )


def run_batches(
    work: Callable[[Sequence[T]], list[R]],
    batches: Iterable[Sequence[T]],
    too_large: Callable[[T], Exception],
    workers: int = 1,
) -> Iterator[list[R]]:
    """Run a function on batches and yield its results in order.

    Args:
        work: Returns a result for each item of a batch.
        batches: The batches, none of them empty.
        too_large: Makes the exception for an item that does not fit into memory even alone.
        workers: Threads, each with a batch and one thread for torch; 1 uses the calling thread and all its threads.
    """

    def run(batch: Sequence[T]) -> list[R]:
        return split_on_oom(work, batch, too_large)

    if workers <= 1:
        yield from map(run, batches)
        return
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(run, batches)


def split_on_oom(
    work: Callable[[Sequence[T]], list[R]], items: Sequence[T], too_large: Callable[[T], Exception]
) -> list[R]:
    """Run a function on a batch; if memory does not suffice, on both halves, down to single items.

    Args:
        work: Returns a result for each item.
        items: The batch; not empty.
        too_large: Makes the exception for an item that does not fit into memory even alone.
    """
    try:
        return work(items)
    except (MemoryError, RuntimeError) as failure:
        if not is_out_of_memory(failure):
            raise
    # Outside the handler the failure and all tensors that its traceback holds are released.
    if len(items) == 1:
        raise too_large(items[0])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [*split_on_oom(work, items[:middle], too_large), *split_on_oom(work, items[middle:], too_large)]
