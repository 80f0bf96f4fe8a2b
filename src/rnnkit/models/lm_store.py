"""Model directories of neural language models and masked language models.

config.json  vocab.tsv  [tokenizer/]  best.safetensors  [average.safetensors]  meta.json

Without `tokenizer/` the training data was tokenized outside rnnkit; the model then reads tokens separated by spaces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from rnnkit.errors import FormatError, UsageError
from rnnkit.json_types import JsonMapping
from rnnkit.models import model_weights, store
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.models.masked_lm import MaskedLM, MaskedLMConfig
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.tokenizer_store import load_tokenizer
from rnnkit.text.vocabulary import Vocabulary

VOCABULARY_FILE = "vocab.tsv"
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class LoadedModel(Generic[N]):
    """A network of one language, loaded from a model directory.

    Attributes:
        folder: The model directory.
        network: In evaluation mode, on its device.
        tokenizer: Tokenizer of raw lines; None if the model reads tokens.
        vocabulary: The vocabulary.
        language: Language of the training text.
        facts: Metadata of the weights, such as step and validation scores.
    """

    folder: Path
    network: N
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    language: str
    facts: JsonMapping


LoadedLanguageModel = LoadedModel[LanguageModelNetwork]
LoadedMaskedLM = LoadedModel[MaskedLM]


def create_language_model(
    folder: Path, config: LMConfig, language: str, tokenizer: Path | None, vocabulary: Path
) -> None:
    """Create the model directory of a language model: config, tokenizer and vocabulary, without weights.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    _create(folder, store.LANGUAGE_MODEL, dataclasses.asdict(config), language, tokenizer, vocabulary)


def create_masked_lm(
    folder: Path, config: MaskedLMConfig, language: str, tokenizer: Path | None, vocabulary: Path
) -> None:
    """Create the model directory of a masked language model: config, tokenizer and vocabulary, without weights.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    _create(folder, store.MASKED_LM, dataclasses.asdict(config), language, tokenizer, vocabulary)


def _create(
    folder: Path, task: str, config: JsonMapping, language: str, tokenizer: Path | None, vocabulary: Path
) -> None:
    store.create_model_dir(folder, tokenizer, {VOCABULARY_FILE: vocabulary})
    store.write_config(folder, task, [language], [VOCABULARY_FILE], config)


def load_language_model(folder: Path, checkpoint: str, device: torch.device) -> LoadedLanguageModel:
    """Load a language model (a neural one) for inference; arguments and errors as for `load_network`."""
    return load_network(
        folder, store.LANGUAGE_MODEL, lambda shape: LanguageModelNetwork(LMConfig(**shape)), checkpoint, device
    )


def check_generates(folder: Path, config: LMConfig) -> None:
    """Raise UsageError for a backward language model, which cannot continue a line."""
    if config.direction == "backward":
        raise UsageError(
            f"{folder} is a backward language model and cannot generate text",
            "it predicts the tokens of a line from right to left (`rnnkit train-lm --direction backward`)",
            hint="use a forward language model; a backward one scores text, and taggers and text classifiers read it",
            path=folder,
        )


def load_masked_lm(folder: Path, checkpoint: str, device: torch.device) -> LoadedMaskedLM:
    """Load a masked language model for inference; arguments and errors as for `load_network`."""
    return load_network(folder, store.MASKED_LM, lambda shape: MaskedLM(MaskedLMConfig(**shape)), checkpoint, device)


def load_network(
    folder: Path, task: str, build: Callable[[JsonMapping], N], checkpoint: str, device: torch.device
) -> LoadedModel[N]:
    """Load a network of one language for inference.

    Args:
        folder: The model directory.
        task: Required task of the model.
        build: Builds the network from the `network` object of config.json, which has an entry `vocabulary`.
        checkpoint: `best`, `last` or `average`.
        device: Device of the network.

    Raises:
        DataError: The model or this checkpoint does not exist.
        ArtefactError: The model is for another task.
        FormatError: A file is damaged; the message names it.
    """
    document = store.read_config(folder)
    store.check_task(folder, document["task"], task)
    path = store.weights_path(folder, checkpoint)
    tensors, facts = model_weights.load(path)
    model_weights.check_finite_weights(tensors, path)
    network = store.build_network(folder, document["network"], build, tensors, path)
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    size = int(document["network"]["vocabulary"])
    if len(vocabulary) != size:
        raise FormatError(
            f"{folder / VOCABULARY_FILE} has {len(vocabulary)} entries, config.json expects {size}",
            path=folder / VOCABULARY_FILE,
        )
    return LoadedModel(
        folder=folder,
        network=network.to(device).eval(),
        tokenizer=find_tokenizer(folder),
        vocabulary=vocabulary,
        language=str(document["languages"][0]),
        facts=facts,
    )


def find_tokenizer(folder: Path) -> Tokenizer | None:
    """Load the tokenizer of a model directory; None if it has none."""
    return load_tokenizer(folder / "tokenizer") if (folder / "tokenizer").exists() else None
