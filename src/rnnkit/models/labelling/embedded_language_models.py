"""Character language models inside the model directory of a tagger or text classifier, which stays self-contained.

language-models/forward/   config.json  tokenizer/  vocab.tsv  best.safetensors  meta.json
language-models/backward/  the same

Each is a model directory of its own: `rnnkit score` reads it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from rnnkit.errors import ArtefactError, FormatError, UsageError, explain_os_errors
from rnnkit.io import manifest
from rnnkit.models import lm_store, store
from rnnkit.models.labelling.language_model_states import LanguageModelStates
from rnnkit.models.lm_store import VOCABULARY_FILE, LoadedLanguageModel
from rnnkit.nn.kinds import DIRECTIONS

FOLDER = "language-models"
WEIGHTS_FILE = "best.safetensors"
OPTION = "--language-model"

INPUT = "language_model"
"""Beginning of the names under which the manifest of a model records the digests of its language models."""

CHARACTERS = "chars"
"""Kind of the tokenizer that splits text into characters."""

TRAINING_HINT = "`rnnkit tokenize --type chars`, `vocab`, `align` and `train-lm --arch lstm` make a suitable one"


def open_language_models(folders: Sequence[Path], device: torch.device) -> LanguageModelStates:
    """Load the best weights of character language models, and check that their states can be used together.

    Args:
        folders: Directories of a forward and a backward language model in any order, or of one of them.
        device: Device of the networks.

    Raises:
        DataError: A directory does not exist.
        ArtefactError: A model is not a recurrent language model over characters, or the models differ in their
            characters.
        UsageError: There are more than two models, or two of one direction.
        FormatError: A file is damaged.
    """
    if len(folders) > len(DIRECTIONS):
        raise UsageError(
            f"{OPTION} names {len(folders)} language models, expected at most two",
            "a forward and a backward one represent a word by the text on both sides",
            option=OPTION,
        )
    for folder in folders:
        _check_recurrent(folder)
    models = [lm_store.load_language_model(folder, "best", device) for folder in folders]
    for model in models:
        _check_characters(model)
    if len(models) == len(DIRECTIONS):
        _check_pair(*models)
    return LanguageModelStates(sorted(models, key=lambda model: DIRECTIONS.index(model.network.config.direction)))


def _check_recurrent(folder: Path) -> None:
    """Check, before its weights are loaded, that a model is a recurrent language model."""
    document = store.read_config(folder)
    task, arch = document["task"], document["network"].get("arch")
    if task != store.LANGUAGE_MODEL:
        reason = store.TASK_DESCRIPTIONS.get(task, f"its task is {task}")
    elif arch == "ngram":
        reason = "it is an n-gram model, which has no states"
    elif arch == "transformer":
        reason = "it is a Transformer, which has no recurrent state"
    else:
        return
    raise ArtefactError(
        f"{folder} is not a recurrent language model", reason, hint=TRAINING_HINT, path=folder, option=OPTION
    )


def _check_characters(model: LoadedLanguageModel) -> None:
    tokenizer = model.tokenizer
    if tokenizer is not None and tokenizer.kind == CHARACTERS and not tokenizer.features:
        return
    reason = "its text was tokenized outside rnnkit" if tokenizer is None else f"its tokenizer is {tokenizer}"
    raise ArtefactError(
        f"{model.folder} is not a language model over characters",
        f"{reason}; words are represented by states between characters",
        hint=TRAINING_HINT,
        path=model.folder,
        option=OPTION,
    )


def _check_pair(first: LoadedLanguageModel, second: LoadedLanguageModel) -> None:
    """Check that two language models read the same characters in different directions."""
    direction = first.network.config.direction
    if second.network.config.direction == direction:
        other = next(name for name in DIRECTIONS if name != direction)
        raise UsageError(
            f"{first.folder} and {second.folder} are both {direction} language models",
            hint=f"replace one by a {other} one (`rnnkit train-lm --direction {other}`), or leave it out",
            path=second.folder,
            option=OPTION,
        )
    options = [None if model.tokenizer is None else model.tokenizer.options for model in (first, second)]
    differ = "tokenizers" if options[0] != options[1] else "vocabularies"
    if options[0] != options[1] or first.vocabulary.tokens != second.vocabulary.tokens:
        raise ArtefactError(
            f"{first.folder} and {second.folder} have different {differ}",
            "both directions read the same characters",
            hint="train both on the same data",
            path=second.folder,
            option=OPTION,
        )


def copy_language_models(states: LanguageModelStates, folder: Path) -> None:
    """Copy the language models into the model directory of a tagger or text classifier.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    for model in states.models:
        target = folder / FOLDER / model.network.config.direction
        store.create_model_dir(target, model.folder / "tokenizer", {VOCABULARY_FILE: model.folder / VOCABULARY_FILE})
        with explain_os_errors(target):
            for name in (store.CONFIG_FILE, WEIGHTS_FILE):
                shutil.copyfile(model.folder / name, target / name)
        meta = manifest.load(model.folder / manifest.NAME)
        facts = {name: value for name, value in meta.facts.items() if name in ("languages", "parameters", "best")}
        store.write_manifest(target, meta.options, meta.inputs, facts, finished=True)


def embedded_folders(folder: Path, directions: Sequence[str]) -> list[Path]:
    """Return the directories of the language models inside a model directory."""
    return [folder / FOLDER / direction for direction in directions]


def load_embedded(folder: Path, directions: Sequence[str], size: int, device: torch.device) -> LanguageModelStates:
    """Load the language models inside a model directory.

    Args:
        folder: The model directory.
        directions: Their directions, as config.json names them.
        size: The size of a word's states that config.json expects.
        device: Device of the networks.

    Raises:
        FormatError: They are missing, damaged, or not those of the model.
    """
    paths = embedded_folders(folder, directions)
    if missing := [path for path in paths if not path.is_dir()]:
        raise FormatError(
            f"{folder} is incomplete: {', '.join(map(str, missing))} {'is' if len(missing) == 1 else 'are'} missing",
            "config.json names its language models",
            hint="copy the model directory again",
            path=folder,
        )
    found = [store.read_config(path)["network"].get("direction", DIRECTIONS[0]) for path in paths]
    states = open_language_models(paths, device) if found == list(directions) else None
    if states is None or states.size != size:
        reads = f"{', '.join(found)} language models" if states is None else f"states of size {states.size}"
        raise FormatError(
            f"{folder / FOLDER} does not fit config.json",
            f"found {reads}, expected {', '.join(directions)} and states of size {size}",
            hint="copy the model directory again",
            path=folder / FOLDER,
        )
    return states


def weight_digests(states: LanguageModelStates) -> dict[str, str]:
    """Return the SHA-256 of the weights of each language model, by its name as an input."""
    return {
        f"{INPUT}.{model.network.config.direction}": manifest.sha256(model.folder / WEIGHTS_FILE)
        for model in states.models
    }
