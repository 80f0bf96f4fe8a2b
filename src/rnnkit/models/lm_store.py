"""The directory of a language model: config.json, vocab.tsv, tokenizer/ where there is one, weights or counts.

Data that was cut into tokens by somebody else has no tokenizer; its models read tokens parted by spaces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from rnnkit.errors import FormatError
from rnnkit.models import model_weights, store
from rnnkit.models.language_model import LanguageModel, LMConfig
from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig
from rnnkit.text.tokenizers.store import load_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

VOCABULARY_FILE = "vocab.tsv"
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class LoadedModel(Generic[N]):
    """The directory of a network that reads text of one language, loaded.

    Attributes:
        folder: Where it came from.
        network: In evaluation mode, on its device.
        tokenizer: Cuts raw lines and joins tokens; None where text comes in tokens.
        vocabulary: Its tokens.
        language: Of the text it learned from.
        facts: What the weights' file says of their moment, such as the step and the validation scores.
    """

    folder: Path
    network: N
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    language: str
    facts: Mapping[str, Any]


LoadedLanguageModel = LoadedModel[LanguageModel]
"""The directory of a neural language model, loaded."""


def create_language_model(
    folder: Path, config: LMConfig, language: str, tokenizer: Path | None, vocabulary: Path
) -> None:
    """Start a model directory: its configuration, tokenizer and vocabulary; no weights yet.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    store.create_model_dir(folder, tokenizer, {VOCABULARY_FILE: vocabulary})
    store.write_config(folder, store.LANGUAGE_MODEL, [language], [VOCABULARY_FILE], dataclasses.asdict(config))


def load_language_model(folder: Path, checkpoint: str, device: torch.device) -> LoadedLanguageModel:
    """Load the directory of a neural language model for use; arguments and errors as of `load_network`."""
    return load_network(
        folder, store.LANGUAGE_MODEL, lambda shape: LanguageModel(LMConfig(**shape)), checkpoint, device
    )


def load_network(
    folder: Path, task: str, build: Callable[[Mapping[str, Any]], N], checkpoint: str, device: torch.device
) -> LoadedModel[N]:
    """Load the directory of a network that reads text of one language.

    Args:
        folder: The directory.
        task: What the model has to be for.
        build: Makes the network of a shape; the shape names the size of its `vocabulary`.
        checkpoint: `best`, `last` or `average`.
        device: Where the network goes.

    Raises:
        DataError: There is no model, or it has no such checkpoint.
        ArtefactError: It is a model for something else.
        FormatError: A file is damaged; the message names it.
    """
    document = store.read_config(folder)
    store.check_task(folder, document["task"], task)
    path = store.weights_path(folder, checkpoint)
    tensors, facts = model_weights.load(path)
    model_weights.check_finite_weights(tensors, path)
    network = store.build_network(folder, document["network"], build, tensors, path)
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    rows = int(document["network"]["vocabulary"])
    if len(vocabulary) != rows:
        raise FormatError(f"{folder / VOCABULARY_FILE} has {len(vocabulary)} rows, config.json says {rows}")
    return LoadedModel(
        folder=folder,
        network=network.to(device).eval(),
        tokenizer=find_tokenizer(folder),
        vocabulary=vocabulary,
        language=str(document["languages"][0]),
        facts=facts,
    )


def find_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer of a model directory; None where text comes in tokens."""
    return load_tokenizer(folder / "tokenizer") if (folder / "tokenizer").exists() else None


LoadedMaskedLM = LoadedModel[MaskedLM]
"""The directory of a cloze model, loaded."""


def create_masked_lm(
    folder: Path, config: MaskedLMConfig, language: str, tokenizer: Path | None, vocabulary: Path
) -> None:
    """Start a model directory: its configuration, tokenizer and vocabulary; no weights yet.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    store.create_model_dir(folder, tokenizer, {VOCABULARY_FILE: vocabulary})
    store.write_config(folder, store.MASKED_LM, [language], [VOCABULARY_FILE], dataclasses.asdict(config))


def load_masked_lm(folder: Path, checkpoint: str, device: torch.device) -> LoadedMaskedLM:
    """Load the directory of a cloze model for use; arguments and errors as of `language_store.load_network`."""
    return load_network(folder, store.MASKED_LM, lambda shape: MaskedLM(MaskedLMConfig(**shape)), checkpoint, device)
