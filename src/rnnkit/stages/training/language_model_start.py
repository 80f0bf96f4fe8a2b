"""Start of a tagger or text classifier from a language model, and fine-tuning layer by layer.

With `--init-from` and a language model, the encoder has its architecture and sizes; with `--unfreeze` and
`--layer-decay`, its layers are trained later or more slowly than the output layers (`training/layerwise.py`).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import ArtefactError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.stages.training.labelling_options import (
    GRADUAL,
    NONE,
    OptionsT,
    TrainClassifierOptions,
    TrainTaggerOptions,
)

if TYPE_CHECKING:
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.models.labelling.lm_initialization import CausalShape
    from rnnkit.models.labelling.tagger import TaggerNetwork
    from rnnkit.models.labelling.text_classifier import ClassifierNetwork
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.stages.training.training_run import TrainingRun
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.layerwise import LayerwiseTraining

CHARACTER_TOKENIZERS = ("chars", "bytes")
"""Tokenizers that cut words into characters."""


def is_language_model(folder: Path) -> bool:
    """Return whether a model directory has a language model. Raises DataError or FormatError as `store.read_config`."""
    from rnnkit.models import store

    return bool(store.read_config(folder)["task"] == store.LANGUAGE_MODEL)


def adopt_shape(options: OptionsT) -> OptionsT:
    """Return the options with architecture and sizes of the language model of `--init-from`, if it is one.

    Raises:
        UsageError: An option was given with another value.
        DataError: The model does not exist.
        ArtefactError: It is an n-gram model, or reads from right to left.
        FormatError: It is damaged.
    """
    from rnnkit.models.labelling.lm_initialization import read_causal_shape

    folder = options.init_from
    shape = None if folder is None else read_causal_shape(folder)
    if folder is None or shape is None:
        return options
    if options.bidirectional:
        raise UsageError(
            "--bidirectional cannot be combined with --init-from and a language model",
            f"{folder} reads from left to right, and so does the encoder that starts from it",
            hint="leave out --bidirectional",
            path=folder,
            option="--bidirectional",
        )
    values = _option_values(shape)
    for name, value in values.items():
        given = getattr(options, name)
        if given not in (None, value):
            raise _conflict(folder, name, given, value)
    characters = options.characters or "none"
    return dataclasses.replace(options, characters=characters, **values)


def _option_values(shape: CausalShape) -> dict[str, Any]:
    """Return the options that the language model determines."""
    values: dict[str, Any] = {
        "arch": shape.arch,
        "layers": shape.layers,
        "hidden": shape.hidden,
        "embedding": shape.embedding,
        "bidirectional": False,
        "layer_norm": False,
    }
    if shape.arch == "transformer":
        return {**values, "heads": shape.heads, "inner": 4 * shape.hidden}
    return {**values, "residual": shape.residual}


def _conflict(folder: Path, name: str, given: object, value: object) -> UsageError:
    """Return the error of an option that contradicts the language model."""
    flag = f"--{name.replace('_', '-')}"
    what = f"{flag} is {given}, but the language model {folder} has {value}"
    if isinstance(value, bool):
        flag = flag if given else f"--no-{name.replace('_', '-')}"
        what = f"{flag} contradicts the language model {folder}"
    return UsageError(
        what,
        "the encoder has the layers of the language model",
        hint=f"leave out {flag}, or start from another language model",
        path=folder,
        option=flag,
    )


def causal_shape_of(run: TrainingRun[TrainTaggerOptions] | TrainingRun[TrainClassifierOptions]) -> CausalShape | None:
    """Return the shape of an encoder that starts from a language model; of a resumed run, as its directory records it.

    Raises:
        DataError: The model does not exist.
        FormatError: It is damaged.
    """
    from rnnkit.models.labelling.lm_initialization import read_causal_shape

    folder = run.directory.path if run.options.resume and not run.options.dry_run else run.options.init_from
    return None if folder is None else read_causal_shape(folder)


def copy_from_language_model(
    network: TaggerNetwork | ClassifierNetwork,
    folder: Path,
    inputs: TrainingInputs[LabelledData],
    vocabulary: Vocabulary,
    listen: Listener,
) -> None:
    """Copy the best weights of a language model into the encoder, and emit a note of the words that it lacks.

    Raises:
        UsageError: The language model reads characters and the data has words.
        ArtefactError: The language model was trained on text of another tokenizer.
        DataError: It has no weights.
        FormatError: It is damaged.
    """
    import torch

    from rnnkit.models.labelling.lm_initialization import copy_language_model
    from rnnkit.models.lm_store import load_language_model

    _check_tokenizer(folder, inputs)
    source = load_language_model(folder, "best", torch.device("cpu"))
    missing = copy_language_model(network.encoder, source.network, source.vocabulary, vocabulary)
    new = f"; {missing:,} new, with the mean embedding" if missing else ""
    listen(Note(f"encoder from {folder}: {len(vocabulary) - missing:,} of {len(vocabulary):,} tokens found{new}"))


def _check_tokenizer(folder: Path, inputs: TrainingInputs[LabelledData]) -> None:
    """Check that the language model reads tokens of the same tokenizer as the labelled data has."""
    from rnnkit.text.tokenizer_store import load_tokenizer, read_tokenizer_identity

    own, other = inputs.tokenizer, folder / "tokenizer"
    identities = (
        inputs.data.meta.inputs.get("tokenizer"),
        read_tokenizer_identity(other) if other.exists() else None,
    )
    if identities[0] == identities[1]:
        return
    if identities[1] is not None and manifest.load(other / manifest.NAME).options.get("type") in CHARACTER_TOKENIZERS:
        raise UsageError(
            f"--init-from {folder} is a language model of characters, and {inputs.data.folder} has words",
            "the layers of an encoder start from a language model that reads the same tokens",
            hint="--language-model adds the states of a character language model to the input of each word",
            path=folder,
            option="--init-from",
        )
    names = [
        "text that was tokenized elsewhere" if path is None else str(load_tokenizer(path))
        for path in (own, None if identities[1] is None else other)
    ]
    raise ArtefactError(
        f"--init-from {folder} was trained with another tokenizer than that of {inputs.data.folder}",
        f"language model: {names[1]}",
        f"labelled data: {names[0]}",
        hint=f"tokenize the labelled text with `rnnkit tokenize --model {other}`, then vocab and align again"
        if identities[1] is not None
        else "train the language model on text of the same tokenizer",
        path=folder,
        option="--init-from",
    )


def make_layerwise(
    network: TaggerNetwork | ClassifierNetwork,
    options: TrainTaggerOptions | TrainClassifierOptions,
    steps_per_epoch: int,
) -> LayerwiseTraining | None:
    """Freeze layers as `--unfreeze` requires, and return how the others are trained; None if all are trained alike.

    A dry run with gradual unfreezing trains all layers, as the last epochs of the run do.
    """
    from rnnkit.training.layerwise import LayerwiseTraining

    by_depth = network.encoder.layer_parameters()
    inside = {id(parameter) for group in by_depth for parameter in group}
    head = [parameter for parameter in network.parameters() if id(parameter) not in inside]
    if options.unfreeze == NONE:
        for group in by_depth:
            for parameter in group:
                parameter.requires_grad_(False)
        return None
    gradual = options.unfreeze == GRADUAL and not options.dry_run
    if not gradual and options.layer_decay == 1:
        return None
    return LayerwiseTraining([head, *by_depth], options.layer_decay, steps_per_epoch if gradual else 0)
