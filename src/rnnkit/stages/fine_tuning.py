"""Fine-tuning: a new run that starts from the best weights of another model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, ConfigError

if TYPE_CHECKING:
    from rnnkit.models.sequence_to_sequence import SequenceToSequence
    from rnnkit.text.vocabulary import Vocabulary


def initialise(network: SequenceToSequence, source: Path, vocabularies: list[Vocabulary]) -> None:
    """Give a network the best weights of the model in `source`.

    Raises:
        ArtefactError: The model has another vocabulary, so that rows of the embeddings would not mean the same.
        ConfigError: The model has another shape.
    """
    import torch

    from rnnkit.models import store, weights

    old = store.load(source, "best", torch.device("cpu"))
    for mine, theirs in zip(vocabularies, (old.source_vocabulary, old.target_vocabulary), strict=False):
        if mine.tokens != theirs.tokens:
            raise ArtefactError(
                f"--init-from {source} has another vocabulary",
                f"{len(theirs):,} tokens there, {len(mine):,} here; rows of the embeddings would not mean the same",
                hint=f"align the new data with --vocab {source}/vocab.tsv and its tokenizer",
            )
    if old.network.config != network.config:
        ours, theirs_config = dataclasses.asdict(network.config), dataclasses.asdict(old.network.config)
        differing = [
            f"{key}: {theirs_config[key]} there, {ours[key]} here" for key in ours if ours[key] != theirs_config[key]
        ]
        allowed = [line for line in differing if line.startswith("dropout")]
        if differing != allowed:
            raise ConfigError(
                f"--init-from {source} is another network", *differing, hint="give the same model options"
            )
    weights.restore(network, weights.own_tensors(old.network), source)
