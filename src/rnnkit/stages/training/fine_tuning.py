"""Fine-tuning: a new run that starts from the best weights of another model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rnnkit.errors import ArtefactError, ConfigError

if TYPE_CHECKING:
    from torch import nn

    from rnnkit.text.vocabulary import Vocabulary


def initialise(network: nn.Module, task: str, source: Path, vocabularies: Sequence[Vocabulary]) -> None:
    """Give a network the best weights of the model in `source`.

    Args:
        network: What gets them; its `config` is a dataclass.
        task: What it is for, as `models.store` names it.
        source: A model directory.
        vocabularies: The network's own, in the order in which model directories list them.

    Raises:
        ArtefactError: The model is for something else, or has another vocabulary, so that rows of the embeddings would
            not mean the same.
        ConfigError: The model has another shape.
    """
    from rnnkit.models import model_weights, sequence_to_sequence, store
    from rnnkit.text.vocabulary import Vocabulary

    document = store.read_config(source)
    store.check_task(source, document["task"], task)
    theirs = [Vocabulary.load(source / Path(name).name) for name in document["vocabularies"]]
    for mine, other in zip(vocabularies, theirs, strict=False):
        if mine.tokens != other.tokens:
            raise ArtefactError(
                f"--init-from {source} has another vocabulary",
                f"{len(other):,} tokens there, {len(mine):,} here; rows of the embeddings would not mean the same",
                hint=f"align the new data with --vocab {source}/vocab.tsv and its tokenizer",
            )
    config = cast(Any, network.config)
    # What a configuration does not say yet is as it was before there was a choice.
    theirs_before = {field.name: field.default for field in dataclasses.fields(config)}
    _check_shape(dataclasses.asdict(config), {**theirs_before, **document["network"]}, source)
    path = store.weights_path(source, "best")
    tensors, _ = model_weights.load(path)
    model_weights.copy_into(
        network, sequence_to_sequence.upgrade_parameter_names(tensors) if task == store.SEQ2SEQ else tensors, path
    )


def _check_shape(ours: Mapping[str, Any], theirs: Mapping[str, Any], source: Path) -> None:
    """Only what is dropped in training may differ, and which head's attention is reported: no weights depend on it."""
    differing = [
        f"{key}: {theirs.get(key)} there, {ours[key]} here"
        for key in ours
        if ours[key] != theirs.get(key) and "drop" not in key and key != "guided_head"
    ]
    if differing:
        raise ConfigError(f"--init-from {source} is another network", *differing, hint="give the same model options")
