"""Model directories with a few words and random weights, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rnnkit.models import language_model, lm_store, masked_lm, model_weights, store
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.ngrams import store as ngram_store
from rnnkit.ngrams.ngram_estimation import estimate_ngram_model
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.ngrams.options import NgramOptions as CountOptions
from rnnkit.nn import kinds
from rnnkit.text import special_tokens
from rnnkit.text.rule_based_tokenizers import CharacterTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.tokenizer_store import save_tokenizer
from rnnkit.text.unicode import Normalizer
from rnnkit.text.vocabulary import Vocabulary

WORDS = ("the", "a", "king", "queen", "cat", "dog", "sat", "ran", "on", "mat", "very", "hungry", "i", "am", "￭.", "￭,")
SIZE = len(special_tokens.NAMES) + len(WORDS)

TEXT = (
    "the king sat",
    "the cat sat on the mat",
    "a dog ran",
    "the queen ran",
    "i am very hungry",
    "the cat ran",
    "a cat sat",
)


def vocabulary(*more: str) -> Vocabulary:
    """The words, the first the most frequent."""
    words = (*WORDS, *more)
    return Vocabulary.from_counts({word: len(words) - place for place, word in enumerate(words)})


def sharpen(network: nn.Module, seed: int, spread: float = 0.7) -> None:
    """Draw all weights with a spread large enough for distinct predictions."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, spread, generator=generator)


def speaker(arch: str = "lstm", seed: int = 1, size: int = SIZE, **changes: Any) -> LanguageModelNetwork:
    """A language model in evaluation mode."""
    shape = {"embedding": 7, "hidden": 5, "layers": 2, **changes}
    if arch == "transformer":
        shape = {**shape, "embedding": 6, "hidden": 6, "heads": 2}
    network = LanguageModelNetwork(language_model.LMConfig(arch, size, **shape))  # type: ignore[arg-type]
    sharpen(network, seed)
    return network.eval()


def filler(arch: str = "lstm", seed: int = 1, size: int = SIZE, **changes: Any) -> MaskedLM:
    """A masked language model in evaluation mode."""
    shape: dict[str, Any] = {"embedding": 7, "hidden": 5, "layers": 2, **changes}
    network = MaskedLM(masked_lm.MaskedLMConfig(arch, size, **shape))  # type: ignore[arg-type]
    sharpen(network, seed)
    return network.eval()


def translator(
    arch: str = "lstm", seed: int = 1, size: int = SIZE, spread: float = 0.7, **changes: Any
) -> SequenceToSequence:
    """A sequence-to-sequence model in evaluation mode, with a joint vocabulary."""
    shape: dict[str, Any] = {"embedding": 6, "hidden": 6, "heads": 2, "joint": True, **changes}
    if arch in kinds.TRANSFORMERS:
        shape = {"attention": "multihead", "inner": 5, **shape}
    network = SequenceToSequence(Seq2SeqConfig(arch, size, size, **shape))  # type: ignore[arg-type]
    sharpen(network, seed, spread)
    return network.eval()


def counts(lines: Sequence[str] = TEXT, order: int = 3, smoothing: str = "kneser-ney") -> BackoffModel:
    """N-grams of a few lines."""
    encoded = [[*vocabulary().encode(line.split()), special_tokens.EOS] for line in lines]
    offsets = np.cumsum([0, *(len(ids) for ids in encoded)])
    ids = np.concatenate([np.array(ids, dtype=np.uint16) for ids in encoded])
    return estimate_ngram_model(ids, offsets, SIZE, CountOptions(order=order, smoothing=smoothing))  # type: ignore[arg-type]


def tokenizer(kind: str) -> Tokenizer:
    """`words` or `spaces`."""
    return (WordTokenizer if kind == "words" else WhitespaceTokenizer)(Normalizer())


def speaker_folder(
    folder: Path, network: LanguageModelNetwork, kind: str | None = "words", more: Sequence[str] = ()
) -> Path:
    """The directory of a language model; `kind` is its tokenizer's, None for none."""
    parts = _parts(folder, kind, more)
    lm_store.create_language_model(folder / "model", network.config, "en", *parts)
    return _finish(folder / "model", network)


def filler_folder(folder: Path, network: MaskedLM, kind: str | None = "words", more: Sequence[str] = ()) -> Path:
    """The directory of a masked language model."""
    lm_store.create_masked_lm(folder / "model", network.config, "en", *_parts(folder, kind, more))
    return _finish(folder / "model", network)


def translator_folder(folder: Path, network: SequenceToSequence, kind: str = "words", more: Sequence[str] = ()) -> Path:
    """The directory of a sequence-to-sequence model with a joint vocabulary."""
    tokenizer_folder, table = _parts(folder, kind, more)
    assert tokenizer_folder is not None
    store.create_seq2seq(folder / "model", network.config, ("de", "en"), tokenizer_folder, [table])
    return _finish(folder / "model", network)


def counts_folder(folder: Path, model: BackoffModel, kind: str | None = "words") -> Path:
    """The directory of an n-gram model."""
    path = folder / "model"
    tokenizer_folder, table = _parts(folder, kind, ())
    store.create_model_dir(path, tokenizer_folder, {lm_store.VOCABULARY_FILE: table})
    ngram_store.save(path / ngram_store.NAME, model)
    network = {"arch": "ngram", "order": model.order}
    store.write_config(path, store.LANGUAGE_MODEL, ["en"], [lm_store.VOCABULARY_FILE], network)
    store.write_manifest(path, {}, {}, {}, finished=True)
    return path


def _parts(folder: Path, kind: str | None, more: Sequence[str]) -> tuple[Path | None, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary(*more).save(folder / "vocab.tsv")
    if kind is None:
        return None, folder / "vocab.tsv"
    save_tokenizer(tokenizer(kind), folder / "tokenizer")
    return folder / "tokenizer", folder / "vocab.tsv"


def _finish(path: Path, network: nn.Module) -> Path:
    model_weights.save(path / "best.safetensors", model_weights.unique_tensors(network), {"step": 1})
    store.write_manifest(path, {}, {}, {}, finished=True)
    return path


ALPHABET = ("▁", "e", "a", "t", "h", "k", "i", "n", "g", "s", ".", "u", "q", "d", "o", "r")
"""Characters of `character_model_folder`, the first the most frequent."""


def character_model_folder(folder: Path, network: LanguageModelNetwork, characters: Sequence[str] = ALPHABET) -> Path:
    """The directory of a language model over characters; `network` has `4 + len(characters)` vocabulary entries."""
    folder.mkdir(parents=True, exist_ok=True)
    table = Vocabulary.from_counts({name: len(characters) - place for place, name in enumerate(characters)})
    table.save(folder / "vocab.tsv")
    save_tokenizer(CharacterTokenizer(Normalizer()), folder / "tokenizer")
    lm_store.create_language_model(folder / "model", network.config, "en", folder / "tokenizer", folder / "vocab.tsv")
    return _finish(folder / "model", network)


def character_models(folder: Path, arch: str = "lstm", **changes: Any) -> list[Path]:
    """The directories of a forward and a backward language model over `ALPHABET`, of states of size 7 and 6."""
    size = len(special_tokens.NAMES) + len(ALPHABET)
    found = []
    for seed, (direction, embedding) in enumerate((("forward", 7), ("backward", 6)), start=1):
        network = speaker(arch, seed, size, direction=direction, embedding=embedding, **changes)
        found.append(character_model_folder(folder / direction, network))
    return found
