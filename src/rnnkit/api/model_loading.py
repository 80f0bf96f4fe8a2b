"""`rnnkit.load`: the object for whatever model or vectors a path holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace

if TYPE_CHECKING:
    from rnnkit.api.labelling import Tagger, TextClassifier
    from rnnkit.api.language_modeling import LanguageModel, MaskedLanguageModel, NgramModel
    from rnnkit.api.translation import Translator
    from rnnkit.embeddings.vectors import WordVectors


def load(
    path: str | os.PathLike[str], *, checkpoint: str = "best", device: str = "auto"
) -> Translator | LanguageModel | MaskedLanguageModel | NgramModel | Tagger | TextClassifier | WordVectors:
    """Load a model or word vectors.

    Args:
        path: A model directory, a vectors directory, or a file of word vectors.
        checkpoint: Weights of a network: best, last or average.
        device: Device of a network: auto, cpu or cuda.

    Returns:
        A translator for a sequence-to-sequence model, a language model, masked language model or n-gram model, a tagger
        or text classifier, or word vectors.

    Raises:
        DataError: The path does not exist, or lacks the checkpoint.
        ArtefactError: It is another kind of folder, such as a workspace; the message names the model inside.
        FormatError: A file is damaged.

    Example:
        >>> rnnkit.load("work/model")
        Translator(work/model: lstm, de to en)
        >>> vectors = rnnkit.load("work/embeddings")
        >>> vectors.most_similar("the", 2)
        [('...', 0...), ('...', 0...)]
    """
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"file or folder not found: {folder}", hint="`rnnkit train` creates a model", path=folder)
    _check_folder(folder)
    if not (folder / "config.json").exists():
        from rnnkit.embeddings.vectors import WordVectors

        return WordVectors.load(folder)
    from rnnkit.models import store

    document = store.read_config(folder)
    if document["task"] == store.SEQ2SEQ:
        from rnnkit.api.translation import Translator

        return Translator.load(folder, checkpoint=checkpoint, device=device)
    if document["task"] in (store.TAGGING, store.CLASSIFICATION):
        from rnnkit.api.labelling import Tagger, TextClassifier

        kind = Tagger if document["task"] == store.TAGGING else TextClassifier
        return kind.load(folder, checkpoint=checkpoint, device=device)
    from rnnkit.api import language_modeling

    if document["task"] == store.MASKED_LM:
        return language_modeling.MaskedLanguageModel.load(folder, checkpoint=checkpoint, device=device)
    if document["network"].get("arch") == "ngram":
        return language_modeling.NgramModel.load(folder)
    return language_modeling.LanguageModel.load(folder, checkpoint=checkpoint, device=device)


def _check_folder(folder: Path) -> None:
    """Explain a workspace or an artifact of another kind."""
    if not (folder / manifest.NAME).exists():
        workspace = Workspace(folder)
        for name, inner in (("model is", workspace.model), ("word vectors are", workspace.embeddings)):
            if (inner / manifest.NAME).exists():
                raise ArtefactError(f"{folder} is a workspace; its {name} {inner}", hint=f"load {inner}", path=folder)
    elif (kind := manifest.load(folder / manifest.NAME).kind) not in ("model", "vectors"):
        raise ArtefactError(f"{folder} is neither a model nor word vectors", f"it is of kind {kind}", path=folder)
