"""The directory of a cloze model: config.json, vocab.tsv, tokenizer/ where there is one, weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from rnnkit.models import language_store, store
from rnnkit.models.cloze import Cloze, Config
from rnnkit.models.language_store import VOCABULARY, Loaded

Filler = Loaded[Cloze]
"""The directory of a cloze model, loaded."""


def create(folder: Path, config: Config, language: str, tokenizer: Path | None, vocabulary: Path) -> None:
    """Start a model directory: its configuration, tokenizer and vocabulary; no weights yet.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    store.lay_out(folder, tokenizer, {VOCABULARY: vocabulary})
    store.write_config(folder, store.CLOZE, [language], [VOCABULARY], dataclasses.asdict(config))


def load(folder: Path, checkpoint: str, device: torch.device) -> Filler:
    """Load the directory of a cloze model for use; arguments and errors as of `language_store.load_network`."""
    return language_store.load_network(folder, store.CLOZE, lambda shape: Cloze(Config(**shape)), checkpoint, device)
