"""The directory of a cloze model: config.json, vocab.tsv, tokenizer/ where there is one, weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rnnkit.errors import FormatError
from rnnkit.models import store, weights
from rnnkit.models.cloze import Cloze, Config
from rnnkit.models.language_store import VOCABULARY, find_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Filler:
    """The directory of a cloze model, loaded.

    Attributes:
        folder: Where it came from.
        network: In evaluation mode, on its device.
        tokenizer: Cuts raw lines and joins tokens; None where text comes in tokens.
        vocabulary: Its tokens.
        language: Of the text it learned from.
        facts: What the weights' file says of their moment, such as the step and the validation scores.
    """

    folder: Path
    network: Cloze
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    language: str
    facts: Mapping[str, Any]


def create(folder: Path, config: Config, language: str, tokenizer: Path | None, vocabulary: Path) -> None:
    """Start a model directory: its configuration, tokenizer and vocabulary; no weights yet.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    store.lay_out(folder, tokenizer, {VOCABULARY: vocabulary})
    store.write_config(folder, store.CLOZE, [language], [VOCABULARY], dataclasses.asdict(config))


def load(folder: Path, checkpoint: str, device: torch.device) -> Filler:
    """Load the directory of a cloze model for use.

    Args:
        folder: The directory.
        checkpoint: `best`, `last` or `average`.
        device: Where the network goes.

    Raises:
        DataError: There is no model, or it has no such checkpoint.
        ArtefactError: It is a model for something else.
        FormatError: A file is damaged; the message names it.
    """
    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.CLOZE)
    try:
        network = Cloze(Config(**document["network"]))
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise FormatError(f"{folder / store.CONFIG} describes no network", str(error)) from error
    path = store.weights_path(folder, checkpoint)
    tensors, facts = weights.load(path)
    weights.restore(network, tensors, path)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    if len(vocabulary) != network.config.vocabulary:
        raise FormatError(
            f"{folder / VOCABULARY} has {len(vocabulary)} rows, config.json says {network.config.vocabulary}"
        )
    return Filler(
        folder=folder,
        network=network.to(device).eval(),
        tokenizer=find_tokenizer(folder),
        vocabulary=vocabulary,
        language=str(document["languages"][0]),
        facts=facts,
    )
