"""A language model as `score` uses it: a neural or an n-gram model with its vocabulary and tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import UsageError
from rnnkit.io import manifest
from rnnkit.text.normalizer import NONE

if TYPE_CHECKING:
    import torch

    from rnnkit.models.language_model import LanguageModel
    from rnnkit.ngrams.ngram_model import NgramModel
    from rnnkit.text.tokenizers.tokenizer import Tokenizer
    from rnnkit.text.vocabulary import Vocabulary

NGRAM = "ngram"
WHITESPACE_TOKENIZERS = ("blanks", "spaces")
"""Tokenizer types of imported models: the text is already tokenized, and they split it without changing it."""


@dataclass(frozen=True)
class Scorer:
    """A model directory that assigns probabilities to tokens; exactly one of `network` and `ngram_model` is set.

    Attributes:
        folder: The model directory.
        vocabulary: The model's tokens.
        vocabulary_digest: SHA-256 of the vocabulary file.
        tokenizer: Tokenizes raw lines; None if the model reads tokenized text.
        tokenizer_identity: Digest of the tokenizer; None without one.
        language: Language of the training text.
        network: The neural model, in evaluation mode on its device.
        ngram_model: The n-gram model.
    """

    folder: Path
    vocabulary: Vocabulary
    vocabulary_digest: str
    tokenizer: Tokenizer | None
    tokenizer_identity: str | None
    language: str
    network: LanguageModel | None = None
    ngram_model: NgramModel | None = None

    @property
    def tokenizes(self) -> bool:
        """Whether the model splits raw text itself, rather than reading text that is already tokenized."""
        plain = [{"type": kind, "normalise": NONE, "lowercase": False} for kind in WHITESPACE_TOKENIZERS]
        return self.tokenizer is not None and self.tokenizer.options not in plain

    @property
    def ngrams(self) -> NgramModel:
        """The n-gram model. Raises ValueError for a neural model."""
        if self.ngram_model is None:
            raise ValueError(f"{self.folder} is not an n-gram model")
        return self.ngram_model


def open_scorer(folder: Path, checkpoint: str, device: torch.device) -> Scorer:
    """Open a neural or n-gram language model.

    Args:
        folder: The model directory.
        checkpoint: Which weights of a neural model to load.
        device: Device of a neural model.

    Raises:
        DataError: The model or the checkpoint is missing.
        ArtefactError: The model is not a language model.
        FormatError: A file is damaged.
        UsageError: A checkpoint other than `best` is selected for an n-gram model.
    """
    from rnnkit.models import lm_store, store
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.tokenizers.store import read_tokenizer_identity
    from rnnkit.text.vocabulary import Vocabulary

    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.LANGUAGE_MODEL)
    path = folder / lm_store.VOCABULARY_FILE
    is_ngram = document["network"].get("arch") == NGRAM
    if is_ngram and checkpoint != "best":
        raise UsageError(
            f"--checkpoint {checkpoint}: {folder} is an n-gram model, which has no checkpoints",
            path=folder,
            option="--checkpoint",
        )
    return Scorer(
        folder=folder,
        vocabulary=Vocabulary.load(path),
        vocabulary_digest=manifest.sha256(path),
        tokenizer=lm_store.find_tokenizer(folder),
        tokenizer_identity=read_tokenizer_identity(folder / "tokenizer") if (folder / "tokenizer").exists() else None,
        language=str(document["languages"][0]),
        network=None if is_ngram else lm_store.load_language_model(folder, checkpoint, device).network,
        ngram_model=ngram_store.load(folder / ngram_store.NAME) if is_ngram else None,
    )
