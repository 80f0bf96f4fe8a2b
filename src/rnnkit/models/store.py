"""Model directories: self-contained, so that a copy on another machine decodes raw text.

config.json  tokenizer/  vocab.tsv (or vocab.LANG.tsv)  best.safetensors  [average.safetensors]  meta.json

This module has what all kinds of models share, and the loader of sequence-to-sequence models; `lm_store.py` has those
of language models.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from rnnkit.errors import ArtefactError, DataError, FormatError, explain_os_errors
from rnnkit.io import artifact_output, manifest
from rnnkit.io.atomic import atomic_file, copy_directory
from rnnkit.io.safe_reading import read_json
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.models import model_weights
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence, upgrade_parameter_names
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.tokenizer_store import load_tokenizer
from rnnkit.text.vocabulary import Vocabulary

KIND = "model"
VERSION = 1
CONFIG_FILE = "config.json"
OWN_FILES = artifact_output.RUN_FILES[KIND]

STATES_FOLDER = "states"
"""Folder of the states of language models for the training texts, which is removed when training has ended."""

UNLISTED_FOLDERS = ("last", STATES_FOLDER)
"""Folders that the manifest does not list: one has its own, the other is temporary."""

SEQ2SEQ = "sequence-to-sequence"
LANGUAGE_MODEL = "language-model"
MASKED_LM = "cloze"
TAGGING = "tagging"
CLASSIFICATION = "classification"
"""Values of `task` in config.json."""

TASK_LABELS = {
    SEQ2SEQ: "sequence-to-sequence model",
    LANGUAGE_MODEL: "language model",
    MASKED_LM: "masked language model",
    TAGGING: "tagger",
    CLASSIFICATION: "text classifier",
}
TASK_DESCRIPTIONS = {
    SEQ2SEQ: "it is a sequence-to-sequence model: `rnnkit decode` translates source lines with it",
    LANGUAGE_MODEL: "it is a language model: `rnnkit score` evaluates it, `rnnkit decode` generates text with it",
    MASKED_LM: "it is a masked language model: `rnnkit decode --fill` predicts the tokens of gaps with it",
    TAGGING: "it is a tagger: `rnnkit decode` labels the words of each line with it",
    CLASSIFICATION: "it is a text classifier: `rnnkit decode` labels lines with it",
}

_MAX_CONFIG_VALUE = 1 << 40
"""Bound on the integers of a network's configuration; larger ones are damage, not sizes."""

N = TypeVar("N", bound=nn.Module)
CheckpointName = Literal["best", "last", "average"]
CHECKPOINTS: tuple[CheckpointName, ...] = ("best", "last", "average")


@dataclass(frozen=True)
class LoadedSeq2Seq:
    """A sequence-to-sequence model, loaded from its directory.

    Attributes:
        folder: The model directory.
        network: In evaluation mode, on its device.
        tokenizer: Tokenizer of source and target.
        source_vocabulary: Source vocabulary.
        target_vocabulary: Target vocabulary; the same object if the vocabulary is joint.
        languages: Source and target language.
        facts: Metadata of the weights, such as step and validation scores.
    """

    folder: Path
    network: SequenceToSequence
    tokenizer: Tokenizer
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    languages: tuple[str, str]
    facts: JsonMapping


def create_seq2seq(
    folder: Path, config: Seq2SeqConfig, languages: tuple[str, str], tokenizer: Path, vocabularies: list[Path]
) -> None:
    """Create the directory of a sequence-to-sequence model: config, tokenizer and vocabularies, without weights.

    Args:
        folder: The directory; created if it does not exist.
        config: Configuration of the network.
        languages: Source and target language.
        tokenizer: Tokenizer directory to copy.
        vocabularies: One joint vocabulary file, or the source's and the target's.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    names = vocabulary_names(len(vocabularies), languages)
    create_model_dir(folder, tokenizer, dict(zip(names, vocabularies, strict=True)))
    write_config(folder, SEQ2SEQ, languages, names, dataclasses.asdict(config))


def create_model_dir(folder: Path, tokenizer: Path | None, vocabularies: Mapping[str, Path]) -> None:
    """Copy tokenizer and vocabularies into a model directory.

    Args:
        folder: The directory; created if it does not exist.
        tokenizer: Tokenizer directory; None if the text was tokenized outside rnnkit.
        vocabularies: Vocabulary files, by their names in the directory.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if tokenizer is not None:
            copy_directory(tokenizer, folder / "tokenizer")
        for name, path in vocabularies.items():
            shutil.copyfile(path, folder / name)
            # `align` checks the vocabulary's tokenizer by its manifest when it prepares data for fine-tuning.
            shutil.copyfile(manifest.manifest_path(path), folder / f"{name}.{manifest.NAME}")


def write_config(
    folder: Path, task: str, languages: Sequence[str], vocabularies: Sequence[str], network: JsonMapping
) -> None:
    """Write `config.json`: task, languages, vocabulary files, and the configuration of the network."""
    document = {
        "task": task,
        "languages": list(languages),
        "vocabularies": list(vocabularies),
        "network": dict(network),
    }
    with atomic_file(folder / CONFIG_FILE) as file:
        file.write(json.dumps(document, indent=2) + "\n")


def vocabulary_names(count: int, languages: tuple[str, str]) -> list[str]:
    """Return the names of the vocabulary files in a model directory."""
    return ["vocab.tsv"] if count == 1 else [f"vocab.{language}.tsv" for language in languages]


def write_manifest(
    folder: Path, options: JsonMapping, inputs: Mapping[str, str], facts: JsonMapping, finished: bool
) -> None:
    """Write `meta.json` with the checksums of the directory's files.

    Weights and metrics change during training, so they are listed only if the run is `finished`; until then the headers
    of the weights and the `meta.json` of `last/` have their checksums.

    Args:
        folder: The model directory.
        options: Options of the command.
        inputs: Checksums of the input files.
        facts: Further metadata.
        finished: Whether training has ended.

    Raises:
        ArtefactError: A file that the previous manifest lists is missing.
    """
    check_complete(folder)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    # A listed file is removed by --overwrite, so files that a user has put into the directory are not listed.
    listed = [
        path
        for path in files
        if path.parts[0] not in UNLISTED_FOLDERS and artifact_output.matches_any(path.as_posix(), OWN_FILES)
    ]
    names = [path.as_posix() for path in listed if finished or path.suffix not in (".safetensors", ".jsonl", ".png")]
    described = manifest.describe_files(folder, names)
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, VERSION, options, inputs, described, facts))


def check_complete(folder: Path) -> None:
    """Raise ArtefactError if a file that the directory's manifest lists is missing."""
    path = folder / manifest.NAME
    if path.exists() and (missing := [name for name in manifest.load(path).files if not (folder / name).exists()]):
        raise ArtefactError(
            f"{folder} is incomplete: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            f"{manifest.NAME} lists the files that the directory had",
            hint="restore the missing files, or start again with --overwrite",
            path=folder,
        )


def read_config(folder: Path) -> JsonObject:
    """Read `config.json`.

    Raises:
        DataError: The directory does not exist or has no model.
        FormatError: The file is damaged or of a newer version.
    """
    manifest.read(folder, KIND, VERSION)
    path = folder / CONFIG_FILE
    try:
        document = read_json(path)
        if not isinstance(document, dict) or not document.keys() >= {"task", "languages", "vocabularies", "network"}:
            raise ValueError("it lacks task, languages, vocabularies or network")
        _check_config_types(document)
    except FileNotFoundError:
        raise FormatError(f"{path} is missing", hint="copy the model directory again", path=path) from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is damaged", str(error), hint="copy the model directory again", path=path) from error
    return document


def training_max_lengths(folder: Path, languages: tuple[str, str]) -> tuple[int, int] | None:
    """Read the length of the longest training source and target, including EOS; None if they are not recorded.

    Raises:
        FormatError: The manifest is damaged.
    """
    path = folder / manifest.NAME
    facts = manifest.load(path).facts
    if "longest" not in facts:
        return None
    with manifest.explain_damage(path):
        source, target = (int(facts["longest"][language]) for language in languages)
        return source, target


def _check_config_types(document: JsonMapping) -> None:
    """Raise ValueError if a value of `config.json` has the wrong type."""
    for key in ("languages", "vocabularies"):
        names = document[key]
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(n, str) and manifest.is_safe_name(n) for n in names)
        ):
            raise ValueError(f"{key} are {str(names)[:80]}")
    network = document["network"]
    if not isinstance(network, dict) or not isinstance(document["task"], str):
        raise ValueError("network or task has the wrong type")
    names = network.get("language_models", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and manifest.is_safe_name(n) for n in names):
        raise ValueError(f"language models are {str(names)[:80]}")
    for key, value in network.items():
        if isinstance(value, int) and not 0 <= value <= _MAX_CONFIG_VALUE:
            raise ValueError(f"{key} is {value}")


def check_task(folder: Path, task: str, expected: str) -> None:
    """Raise ArtefactError, which names the model's task, if that is not the expected one."""
    if task != expected:
        description = TASK_DESCRIPTIONS.get(task, f"its task is {task}")
        raise ArtefactError(f"{folder} is not a {TASK_LABELS[expected]}", description, path=folder)


def load_seq2seq(folder: Path, checkpoint: str, device: torch.device) -> LoadedSeq2Seq:
    """Load a sequence-to-sequence model for inference.

    Args:
        folder: The model directory.
        checkpoint: `best`, `last` or `average`.
        device: Device of the network.

    Raises:
        DataError: The model or this checkpoint does not exist.
        ArtefactError: The model is for another task.
        FormatError: A file is damaged; the message names it.
    """
    document = read_config(folder)
    check_task(folder, document["task"], SEQ2SEQ)
    languages = document["languages"]
    if len(languages) != 2:
        raise FormatError(
            f"{folder / CONFIG_FILE} is damaged",
            f"a sequence-to-sequence model has 2 languages, not {len(languages)}",
            path=folder / CONFIG_FILE,
        )
    path = weights_path(folder, checkpoint)
    loaded, facts = model_weights.load(path)
    model_weights.check_finite_weights(loaded, path)
    tensors = upgrade_parameter_names(loaded)
    network = build_network(
        folder, document["network"], lambda shape: SequenceToSequence(Seq2SeqConfig(**shape)), tensors, path
    )
    config = network.config
    names = document["vocabularies"]
    vocabularies = [Vocabulary.load(folder / name) for name in names]
    for index, size in ((0, config.source_size), (-1, config.target_size)):
        if len(vocabularies[index]) != size:
            raise FormatError(
                f"{folder / names[index]} has {len(vocabularies[index])} entries, config.json expects {size}",
                path=folder / names[index],
            )
    return LoadedSeq2Seq(
        folder=folder,
        network=network.to(device).eval(),
        tokenizer=load_tokenizer(folder / "tokenizer"),
        source_vocabulary=vocabularies[0],
        target_vocabulary=vocabularies[-1],
        languages=(languages[0], languages[1]),
        facts=facts,
    )


def build_network(
    folder: Path, shape: JsonMapping, make: Callable[[JsonMapping], N], tensors: Mapping[str, Tensor],
    path: Path,
) -> N:  # fmt: skip
    """Build the network that `config.json` describes and copy weights into it.

    Args:
        folder: The model directory.
        shape: The `network` object of config.json.
        make: Builds a network from it.
        tensors: The weights.
        path: Their file, for messages.

    Raises:
        FormatError: `shape` describes no valid network, or the weights do not fit it. A network far larger than its
            weights is refused without allocating its memory.
    """
    config_path = folder / CONFIG_FILE
    try:
        if model_weights.may_exceed_weights(shape, tensors):
            with torch.device("meta"):  # shapes without memory
                model_weights.check_shapes(make(shape), tensors, path)
        network = make(shape)
    except (TypeError, ValueError, LookupError, RuntimeError, ZeroDivisionError, AttributeError) as error:
        raise FormatError(f"{config_path} does not describe a valid network", str(error), path=config_path) from error
    model_weights.copy_into(network, tensors, path)
    return network


def weights_path(folder: Path, checkpoint: str) -> Path:
    """Return the weights file of a checkpoint. Raises DataError if the model lacks the checkpoint."""
    path = folder / "last" / "weights.safetensors" if checkpoint == "last" else folder / f"{checkpoint}.safetensors"
    if not path.exists():
        hints = {
            "average": f"`rnnkit average {folder}` creates it",
            "best": "continue training with --resume until its first validation",
        }
        raise DataError(
            f"{folder} has no {checkpoint} checkpoint", hint=hints.get(checkpoint), path=folder, option="--checkpoint"
        )
    return path
