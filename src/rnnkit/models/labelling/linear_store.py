"""Model directories of linear text classifiers.

config.json  labels.json  words.txt  vocab.tsv  [tokenizer/]  best.safetensors  meta.json

`words.txt` has the words with input rows, one per line. The weights are those of `LinearText.weights`, with the
temperature of the probabilities and, for texts with several labels, the threshold of each label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rnnkit.data.word_table import SparseRows
from rnnkit.errors import FormatError
from rnnkit.json_types import JsonMapping
from rnnkit.models import model_weights
from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, WordTexts
from rnnkit.text.token_files import encode_raw_lines, read_raw_lines

ARCH = "linear"
"""Value of `arch` in the `network` object of config.json."""

WORDS_FILE = "words.txt"


@dataclass(frozen=True)
class LinearShape:
    """What other code reads of the configuration of a network.

    Attributes:
        multi_label: Whether a text can have several labels.
        arch: Always `linear`.
        pooling: The features of a text are averaged.
    """

    multi_label: bool
    arch: str = ARCH
    pooling: str = "mean"


@dataclass(frozen=True)
class LinearClassifier:
    """A linear text classifier with what was fitted to the validation data.

    Attributes:
        model: The classifier.
        temperature: Temperature of its probabilities.
        threshold_C: Probability from which on a text has a label; all 0.5 unless texts can have several labels.
    """

    model: LinearText
    temperature: float
    threshold_C: NDArray[np.float32]

    @property
    def config(self) -> LinearShape:
        """Its shape."""
        return LinearShape(self.model.config.one_vs_all)

    def probabilities(self, texts: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Compute the calibrated probabilities of the labels of each text (N, C)."""
        score_NC = self.model.scores(word_texts(texts), torch.get_num_threads())
        return self.model.probabilities(score_NC / np.float32(self.temperature))


def word_texts(texts: Sequence[Sequence[str]]) -> WordTexts:
    """Number the words of texts."""
    rows: dict[str, int] = {}
    ids = [[rows.setdefault(word, len(rows)) for word in text] for text in texts]
    return WordTexts(list(rows), SparseRows.from_lists(ids))


def save_linear(folder: Path, classifier: LinearClassifier, facts: JsonMapping) -> JsonMapping:
    """Write words and weights into a model directory.

    Returns:
        The `network` object for config.json.

    Raises:
        ArtefactError: A file cannot be written.
    """
    model = classifier.model
    (folder / WORDS_FILE).write_bytes(encode_raw_lines(model.words))
    tensors = {name: torch.tensor(array) for name, array in model.weights().items()}
    tensors["temperature"] = torch.tensor([classifier.temperature])
    tensors["thresholds"] = torch.from_numpy(classifier.threshold_C)
    model_weights.save(folder / "best.safetensors", tensors, facts)
    return {"arch": ARCH, **dataclasses.asdict(model.config)}


def load_linear(folder: Path, shape: JsonMapping, labels: int) -> tuple[LinearClassifier, JsonMapping]:
    """Read a linear text classifier and the metadata of its weights.

    Args:
        folder: The model directory.
        shape: The `network` object of its config.json.
        labels: Number of labels in labels.json.

    Raises:
        FormatError: A file is missing or damaged, or the files do not fit together.
    """
    path = folder / "best.safetensors"
    tensors, facts = model_weights.load(path)
    model_weights.check_finite_weights(tensors, path)
    try:
        config = LinearTextConfig(**{name: value for name, value in shape.items() if name != "arch"})
        temperature, threshold_C = (tensors.pop(name).numpy() for name in ("temperature", "thresholds"))
        words = tuple(read_raw_lines(folder / WORDS_FILE))
        model = LinearText.from_weights(config, words, {name: tensor.numpy() for name, tensor in tensors.items()})
        if model.labels != labels or threshold_C.shape != (labels,) or temperature.shape != (1,):
            raise ValueError(f"it has {model.labels} labels, labels.json has {labels}")
    except (TypeError, ValueError, KeyError, MemoryError) as error:
        raise FormatError(f"{path} does not fit config.json", str(error), path=path) from error
    return LinearClassifier(model, float(temperature[0]), threshold_C.astype(np.float32)), facts
