"""The model directory: self-contained, so that it can be copied to another machine and decodes raw text there.

config.json  tokenizer/  vocab.tsv (or vocab.LANG.tsv)  best.safetensors  [average.safetensors]  meta.json
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import artifact_output, manifest
from rnnkit.io.atomic import atomic_file
from rnnkit.io.durable import copy_directory, explain_os_errors
from rnnkit.io.safe_reading import read_json
from rnnkit.models import model_weights
from rnnkit.models.seq2seq_config import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence, upgrade_parameter_names
from rnnkit.text.tokenizers.store import load_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

KIND = "model"
VERSION = 1
CONFIG_FILE = "config.json"
OWN_FILES = artifact_output.RUN_FILES[KIND]
SEQ2SEQ = "sequence-to-sequence"
_MAX_CONFIG_VALUE = 1 << 40
LANGUAGE_MODEL = "language-model"
MASKED_LM = "cloze"
TASK_DESCRIPTIONS = {
    SEQ2SEQ: "it translates: `rnnkit decode` takes its source lines",
    LANGUAGE_MODEL: "it is a language model: `rnnkit score` measures text, `rnnkit decode` goes on from a prompt",
    MASKED_LM: "it is a cloze model: `rnnkit decode --fill` fills the gaps of a line",
}
"""What a model of each task is good for."""

N = TypeVar("N", bound=nn.Module)
CheckpointName = Literal["best", "last", "average"]
CHECKPOINTS: tuple[CheckpointName, ...] = ("best", "last", "average")


@dataclass(frozen=True)
class LoadedSeq2Seq:
    """A model directory, loaded.

    Attributes:
        folder: Where it came from.
        network: In evaluation mode, on its device.
        tokenizer: Cuts source lines and joins target tokens.
        source_vocabulary: Tokens of the source.
        target_vocabulary: Tokens of the target; the same object where there is one joint vocabulary.
        languages: Source and target.
        facts: What the weights' file says of their moment, such as the step and the validation scores.
    """

    folder: Path
    network: SequenceToSequence
    tokenizer: Tokenizer
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    languages: tuple[str, str]
    facts: Mapping[str, Any]


def create_seq2seq(
    folder: Path, config: Seq2SeqConfig, languages: tuple[str, str], tokenizer: Path, vocabularies: list[Path]
) -> None:
    """Start a model directory: its configuration, tokenizer and vocabulary; no weights yet.

    Args:
        folder: The directory; made where it is missing.
        config: Shape of the network.
        languages: Source and target.
        tokenizer: Tokenizer directory to copy.
        vocabularies: One joint vocabulary file, or the source's and the target's.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    names = vocabulary_names(len(vocabularies), languages)
    create_model_dir(folder, tokenizer, dict(zip(names, vocabularies, strict=True)))
    write_config(folder, SEQ2SEQ, languages, names, dataclasses.asdict(config))


def create_model_dir(folder: Path, tokenizer: Path | None, vocabularies: Mapping[str, Path]) -> None:
    """Copy what a model needs to read raw text into its directory.

    Args:
        folder: The directory; made where it is missing.
        tokenizer: Tokenizer directory; None where the text was cut into tokens by somebody else.
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
            # Its manifest says which tokenizer it belongs to: `align` asks for that when data is made for fine-tuning.
            shutil.copyfile(manifest.manifest_path(path), folder / f"{name}.{manifest.NAME}")


def write_config(
    folder: Path, task: str, languages: Sequence[str], vocabularies: Sequence[str], network: Mapping[str, Any]
) -> None:
    """Write `config.json`: what the model is for, and the shape of its network."""
    document = {
        "task": task,
        "languages": list(languages),
        "vocabularies": list(vocabularies),
        "network": dict(network),
    }
    with atomic_file(folder / CONFIG_FILE) as file:
        file.write(json.dumps(document, indent=2) + "\n")


def vocabulary_names(count: int, languages: tuple[str, str]) -> list[str]:
    """Names of the vocabulary files inside a model directory."""
    return ["vocab.tsv"] if count == 1 else [f"vocab.{language}.tsv" for language in languages]


def write_manifest(
    folder: Path, options: Mapping[str, Any], inputs: Mapping[str, str], facts: Mapping[str, Any], finished: bool
) -> None:
    """Write `meta.json` with the checksums of the files.

    Raises:
        ArtefactError: A file that the manifest of before lists is gone.

    Weights and metrics change while a run goes on, so they are listed only once it is `finished`; until then the
    weights' own headers and the `meta.json` of `last/` vouch for them.
    """
    check_complete(folder)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    # Files that a user puts into the folder are not the model's: --overwrite would remove them with it.
    listed = [
        path for path in files if path.parts[0] != "last" and artifact_output.matches_any(path.as_posix(), OWN_FILES)
    ]
    names = [path.as_posix() for path in listed if finished or path.suffix not in (".safetensors", ".jsonl", ".png")]
    described = manifest.describe_files(folder, names)
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, VERSION, options, inputs, described, facts))


def check_complete(folder: Path) -> None:
    """Raise ArtefactError where a file that the folder's manifest lists is gone, as during or after a run."""
    place = folder / manifest.NAME
    if place.exists() and (gone := [name for name in manifest.load(place).files if not (folder / name).exists()]):
        raise ArtefactError(
            f"{folder} is incomplete: {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing",
            "the manifest lists what was there before",
            hint="bring it back, or start anew with --overwrite",
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The model's `config.json`.

    Raises:
        DataError: There is no model.
        FormatError: The file is damaged or of a newer version.
    """
    manifest.read(folder, KIND, VERSION)
    try:
        document = read_json(folder / CONFIG_FILE)
        if not isinstance(document, dict) or not document.keys() >= {"task", "languages", "vocabularies", "network"}:
            raise ValueError("keys are missing")
        _check_config_types(document)
    except FileNotFoundError:
        raise FormatError(f"{folder / CONFIG_FILE} is missing", hint="copy the model directory again") from None
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{folder / CONFIG_FILE} is damaged", str(error), hint="copy the model directory again"
        ) from error
    return document


def training_max_lengths(folder: Path, languages: tuple[str, str]) -> tuple[int, int] | None:
    """Tokens of the longest source and target of training, the end symbol counted; None where they are not recorded.

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


def _check_config_types(document: Mapping[str, Any]) -> None:
    """Raise ValueError where a part of `config.json` is of another kind than it must be."""
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
        raise ValueError("network or task is of another kind")
    if wrong := [
        key for key, value in network.items() if isinstance(value, int) and not 0 <= value <= _MAX_CONFIG_VALUE
    ]:
        raise ValueError(f"{wrong[0]} is {network[wrong[0]]}")


def check_task(folder: Path, found: str, wanted: str) -> None:
    """Refuse a model that is for something else. Raises ArtefactError, and says what the model is for."""
    if found != wanted:
        raise ArtefactError(f"{folder} is no {wanted} model", TASK_DESCRIPTIONS.get(found, f"its task is {found}"))


def load_seq2seq(folder: Path, checkpoint: str, device: torch.device) -> LoadedSeq2Seq:
    """Load a model directory for use.

    Args:
        folder: The directory.
        checkpoint: `best`, `last` or `average`.
        device: Where the network goes.

    Raises:
        DataError: There is no model, or it has no such checkpoint.
        FormatError: A file is damaged; the message names it.
    """
    document = read_config(folder)
    check_task(folder, document["task"], SEQ2SEQ)
    languages = document["languages"]
    if len(languages) != 2:
        raise FormatError(
            f"{folder / CONFIG_FILE} is damaged", f"a translation has two languages, not {len(languages)}"
        )
    path = weights_path(folder, checkpoint)
    loaded, facts = model_weights.load(path)
    model_weights.check_finite_weights(loaded, path)
    tensors = upgrade_parameter_names(loaded)
    network = build_network(
        folder, document["network"], lambda shape: SequenceToSequence(Seq2SeqConfig(**shape)), tensors, path
    )
    config = network.config
    vocabularies = [Vocabulary.load(folder / name) for name in document["vocabularies"]]
    for vocabulary, size in zip(
        (vocabularies[0], vocabularies[-1]), (config.source_size, config.target_size), strict=True
    ):
        if len(vocabulary) != size:
            raise FormatError(f"a vocabulary of {folder} has {len(vocabulary)} rows, config.json says {size}")
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
    folder: Path, shape: Mapping[str, Any], make: Callable[[Mapping[str, Any]], N], tensors: Mapping[str, Tensor],
    path: Path,
) -> N:  # fmt: skip
    """Make the network that `config.json` describes, with these weights.

    Args:
        folder: The model directory.
        shape: The network's part of `config.json`.
        make: Makes a network of a shape.
        tensors: The weights.
        path: Their file, for messages.

    Raises:
        FormatError: No such network can be made, or the weights do not fit it. No memory is taken for a network that is
            far larger than its weights.
    """
    try:
        if model_weights.may_exceed_weights(shape, tensors):
            with torch.device("meta"):  # which has shapes and no values
                model_weights.check_shapes(make(shape), tensors, path)
        network = make(shape)
    except (TypeError, ValueError, LookupError, RuntimeError, ZeroDivisionError, AttributeError) as error:
        raise FormatError(f"{folder / CONFIG_FILE} describes no network", str(error)) from error
    model_weights.copy_into(network, tensors, path)
    return network


def weights_path(folder: Path, checkpoint: str) -> Path:
    """The file of one checkpoint's weights. Raises DataError where the model does not have it."""
    path = folder / "last" / "weights.safetensors" if checkpoint == "last" else folder / f"{checkpoint}.safetensors"
    if not path.exists():
        hints = {"average": f"`rnnkit average {folder}` makes it", "best": "train with --resume until it validates"}
        raise DataError(f"{folder} has no {checkpoint} checkpoint", hint=hints.get(checkpoint))
    return path
