"""What translates: one model or several that choose together, and the language models that have a say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnkit.alignment.shortlist import Shortlist
from rnnkit.decoding.ensemble import Direction, Ensemble, ExtendedVocabularyStepper, RemappedStepper, ShallowFusion
from rnnkit.decoding.stepper import Stepper
from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.models import lm_store, store
from rnnkit.models.prompts import NeuralPrompts, NgramPrompts
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.models.translation_stepper import TranslationStepper, VocabularyShortlist
from rnnkit.ngrams import store as ngram_store
from rnnkit.text import vocabulary_mapping
from rnnkit.text.tokenizers.store import read_tokenizer_identity
from rnnkit.text.vocabulary import Vocabulary

FusionModel = Callable[[int], Stepper[Any]]
"""A language model behind so many empty prompts."""


@dataclass(frozen=True)
class Translator:
    """Models that translate together.

    Attributes:
        models: At least one, all with the first one's tokenizer and vocabularies.
        speakers: Language models of the target.
        weights: Weight of each of them.
        shortlist: What the output layer may be asked for, given a batch's source words; everything, without one.
    """

    models: tuple[LoadedSeq2Seq, ...]
    speakers: tuple[FusionModel, ...] = ()
    weights: tuple[float, ...] = ()
    shortlist: Shortlist | None = None

    @property
    def main(self) -> LoadedSeq2Seq:
        """The model whose tokenizer and vocabularies are used."""
        return self.models[0]

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.main.network.parameters()).device

    @property
    def attends(self) -> bool:
        """Whether any of the models has attention."""
        return any(model.network.config.attention != "none" for model in self.models)

    @property
    def copies(self) -> bool:
        """Whether any of the models copies source tokens; those that the vocabulary lacks are then copied as well."""
        return any(model.network.config.copy for model in self.models)

    def encode(self, tokens: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """Ids of a source line's tokens, and the tokens whose ids stand behind the vocabulary; see `own_tokens`."""
        own = source_oov_tokens(self.main, tokens) if self.copies else ()
        return encode_tokens(self.main.source_vocabulary, tokens, own), own

    @property
    def right_to_left(self) -> tuple[LoadedSeq2Seq, ...]:
        """The models that say the target from its end."""
        return tuple(model for model in self.models if model.network.config.right_to_left)

    @property
    def left_to_right(self) -> tuple[LoadedSeq2Seq, ...]:
        """The models that say the target from its beginning."""
        return tuple(model for model in self.models if not model.network.config.right_to_left)

    def begin(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Direction, ...]:
        """Read a batch.

        Args:
            source_BS: Ids as `encode` gives them, padded on the right.
            lengths_B: Tokens of each sentence.

        Returns:
            The directions that there are, from left to right first.
        """
        return tuple(
            Direction(self._begin(models, source_BS, lengths_B), turned, len(models) / len(self.models))
            for turned, models in ((False, self.left_to_right), (True, self.right_to_left))
            if models
        )

    def _begin(self, models: Sequence[LoadedSeq2Seq], source_BS: Tensor, lengths_B: Tensor) -> Stepper[Any]:
        """Models of one direction that choose together."""
        steppers = []
        for model in models:
            device = next(model.network.parameters()).device
            listed = None
            if self.shortlist is not None:
                chosen = self.shortlist.choose(source_BS.numpy())
                listed = VocabularyShortlist.from_members(*(torch.from_numpy(part).to(device) for part in chosen))
            steppers.append(TranslationStepper(model.network, source_BS.to(device), lengths_B.to(device), listed))
        stepper: Stepper[Any] = steppers[0] if len(steppers) == 1 else Ensemble(steppers)
        if not self.speakers:
            return stepper
        speakers: list[Stepper[Any]] = [begin(len(lengths_B)) for begin in self.speakers]
        size = len(self.main.target_vocabulary)
        if (own := int(source_BS.max()) + 1 - size) > 0 and self.copies:
            speakers = [ExtendedVocabularyStepper(speaker, size, own) for speaker in speakers]
        return ShallowFusion(stepper, speakers, self.weights)


def source_oov_tokens(model: LoadedSeq2Seq, tokens: Iterable[str]) -> tuple[str, ...]:
    """The tokens of a source line that the vocabulary lacks, each once, in order; features are not among them.

    The ids of these are counted on from the vocabulary's last one, for each line anew (See et al. 2017).
    """
    known, is_feature = model.source_vocabulary.ids, model.tokenizer.is_feature
    return tuple(dict.fromkeys(token for token in tokens if token not in known and not is_feature(token)))


def encode_tokens(vocabulary: Vocabulary, tokens: Iterable[str], own: Sequence[str] = ()) -> list[int]:
    """Ids of tokens, of which `own` have ids behind the vocabulary's."""
    ids = vocabulary.encode(tokens := list(tokens))
    if not own:
        return ids
    behind = {token: row for row, token in enumerate(own, start=len(vocabulary))}
    return [behind.get(token, row) for token, row in zip(tokens, ids, strict=True)]


def decode_ids(vocabulary: Vocabulary, ids: Iterable[int], own: Sequence[str] = ()) -> list[str]:
    """Tokens of ids, of which those behind the vocabulary's are of `own`."""
    size = len(vocabulary)
    return [vocabulary.tokens[row] if row < size else own[row - size] for row in ids]


def load_translator(
    folders: Sequence[Path],
    checkpoint: str,
    speakers: Sequence[tuple[Path, float]],
    device: torch.device,
    shortlist: Path | None = None,
    eight_bits: bool = False,
    listen: Listener = null_listener,
) -> Translator:
    """Load translation models, and language models to fuse them with.

    Args:
        folders: Directories of translation models.
        checkpoint: Which weights of them.
        speakers: Directories of language models, neural or counted, and their weights.
        device: Where the networks go.
        shortlist: Folder of a shortlist.
        eight_bits: Whether the models' maps go by weights of eight bits.
        listen: Warned of tokens that a translation model or a language model lacks.

    Raises:
        DataError: A model is missing, or has no such checkpoint.
        ArtefactError: A model is for something else, or has another tokenizer or vocabulary than the first; or a
            language model has mostly other tokens; or the shortlist has another vocabulary, or the model copies and
            cannot use one.
        FormatError: A file is damaged; the message names it.
    """
    models = tuple(store.load_seq2seq(folder, checkpoint, device) for folder in folders)
    for folder in folders[1:]:
        _check_compatible(folders[0], folder)
    begins = [_load_fusion_model(models[0], folder, device, listen) for folder, _ in speakers]
    for model in models:
        model.network.prepare_for_inference(eight_bits)
    chosen = None if shortlist is None else _load_shortlist(shortlist, models)
    return Translator(models, tuple(begins), tuple(weight for _, weight in speakers), chosen)


def _load_shortlist(folder: Path, models: Sequence[LoadedSeq2Seq]) -> Shortlist:
    """Open a shortlist that the models can use."""
    for model in models:
        if model.network.config.copy:
            raise ArtefactError(
                f"{model.folder} copies source words and cannot use the shortlist {folder}",
                "what is copied may not be on it",
                hint="decode without --shortlist",
            )
    shortlist = Shortlist.open(folder)
    first = models[0].folder
    names = store.read_config(first)["vocabularies"]
    source, target = (manifest.sha256(first / Path(names[place]).name) for place in (0, -1))
    shortlist.check_vocabularies(source, target)
    return shortlist


def _load_fusion_model(model: LoadedSeq2Seq, folder: Path, device: torch.device, listen: Listener) -> FusionModel:
    """Open a language model that reads the target tokens of a translation model, matched by spelling."""
    begin, vocabulary, weight_V = _open_language_model(folder, device)
    target = model.target_vocabulary
    if vocabulary.tokens == target.tokens:
        return begin
    found = vocabulary_mapping.map_vocabulary(
        target, vocabulary, vocabulary_mapping.token_frequencies(target), weight_V
    )
    joint = model.source_vocabulary is target
    vocabulary_mapping.check_overlap(
        found,
        str(model.folder),
        str(folder),
        vocabulary_mapping.MIN_JOINT_COVERAGE if joint else vocabulary_mapping.MIN_COVERAGE,
    )
    if warning := vocabulary_mapping.describe_mismatches(found, str(model.folder), str(folder)):
        listen(WarningEvent(warning))
    row_V = torch.from_numpy(found.other_id_V)
    return lambda sentences: RemappedStepper(begin(sentences), row_V)


def _open_language_model(
    folder: Path, device: torch.device
) -> tuple[FusionModel, Vocabulary, vocabulary_mapping.Frequencies]:
    """A language model with its tokens and how frequent they are."""
    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.LANGUAGE_MODEL)
    vocabulary = Vocabulary.load(folder / lm_store.VOCABULARY_FILE)
    if document["network"].get("arch") == "ngram":
        counts = ngram_store.load(folder / ngram_store.NAME)
        weight_V = vocabulary_mapping.token_frequencies(vocabulary, counts.unigrams())
        return lambda sentences: NgramPrompts(counts, [()] * sentences), vocabulary, weight_V
    network = lm_store.load_language_model(folder, "best", device).network
    return (
        lambda sentences: NeuralPrompts(network, [()] * sentences),
        vocabulary,
        vocabulary_mapping.token_frequencies(vocabulary),
    )


def _check_compatible(first: Path, other: Path) -> None:
    """Refuse a model that reads or says other tokens than the first."""
    for side, place in (("target", -1), ("source", 0)):
        ours, theirs = (
            folder / Path(store.read_config(folder)["vocabularies"][place]).name for folder in (first, other)
        )
        _check_vocabulary(side, ours, theirs, hint="models of an ensemble are trained on the same data")
    if read_tokenizer_identity(first / "tokenizer") != read_tokenizer_identity(other / "tokenizer"):
        raise ArtefactError(
            f"{first} and {other} have different tokenizers", hint="models of an ensemble are trained on the same data"
        )


def _check_vocabulary(side: str, first: Path, other: Path, hint: str) -> None:
    digests = [manifest.sha256(path) for path in (first, other)]
    if digests[0] != digests[1] and Vocabulary.load(first).tokens != Vocabulary.load(other).tokens:
        raise ArtefactError(
            f"{first.parent} and {other.parent} have different {side} vocabularies",
            f"{first} has sha256 {digests[0][:12]}…, {other} {digests[1][:12]}…",
            hint=hint,
        )
