"""`rnnkit train-classifier --arch linear`: fastText's classifier, trained in seconds.

`train_linear` is the whole run. `open_linear`, `LinearFitter` and `write_linear` are its parts, for several trainings
on the same data.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Status
from rnnkit.io import artifact_output
from rnnkit.json_types import JsonObject
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_run
from rnnkit.stages.training.labelling_options import (
    LINEAR_EPOCHS,
    LINEAR_UPDATES,
    TrainClassifierOptions,
    parse_class_weights,
)
from rnnkit.stages.training.labelling_run import open_labelled
from rnnkit.system.machine import available_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.data.labelled_data import LabelledData, LabelSet
    from rnnkit.models.labelling.linear_store import LinearClassifier
    from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, TextLabels, WordTexts
    from rnnkit.stages.training.training_inputs import TrainingInputs
    from rnnkit.training.linear_text_trainer import Continues

LINEAR_OPTIONS = (
    "arch", "embedding", "epochs", "learning-rate", "feature-weights", "word-ngrams", "min-characters",
    "max-characters", "buckets", "class-weights", "seed", "tune-seconds",
)  # fmt: skip
"""Options of linear classifiers, which are recorded with the model; the others are of neural networks."""


@dataclass(frozen=True)
class LinearTrainingResult:
    """Result of training a linear classifier.

    Attributes:
        model: The model directory; with `dry_run`, where it would be.
        words: Words of the training texts.
        features: Words and n-grams with a weight vector.
        scores: Validation scores; empty with `dry_run`.
        seconds: Training time.
    """

    model: Path
    words: int
    features: int
    scores: dict[str, float]
    seconds: float

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {**dataclasses.asdict(self), "model": str(self.model)}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        if not self.scores:
            return [f"words     {self.words:,}", f"features  {self.features:,}"]
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        speed = f"{self.words / max(1e-9, self.seconds):,.0f} words/s"
        return [f"{self.model}: {self.features:,} features, trained in {self.seconds:.1f} s ({scores})", speed]


def train_linear(options: TrainClassifierOptions, folder: Path, listen: Listener) -> LinearTrainingResult:
    """Train a linear classifier, or with `dry_run` count its features.

    Raises:
        DataError: Data, vocabulary or tokenizer is missing, or the data lacks a `train` or `valid` split.
        UsageError: An option does not apply to a linear classifier.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
    """
    options, inputs = open_linear(options)
    if options.dry_run:
        return count_linear(options, inputs.data, folder)
    outputs.check_not_inputs(folder, outputs.input_paths(options))
    run_folder.check_replaceable(folder, options.overwrite, training_run.KIND)
    with artifact_output.atomic_directory(folder, training_run.KIND) as partial:
        result = _train(options, inputs, partial, listen)
    return dataclasses.replace(result, model=folder)


def open_linear(options: TrainClassifierOptions) -> tuple[TrainClassifierOptions, TrainingInputs[LabelledData]]:
    """Check the options and open the data.

    Returns:
        The options with the number of epochs, and the data.

    Raises:
        DataError: As `train_linear`.
        UsageError: An option does not apply to a linear classifier.
        ArtefactError: Inputs do not match each other.
    """
    _check(options)
    inputs = open_labelled(options, "classification")
    data = inputs.data
    if len(data.columns) > 1 or any(facts.get("soft") for facts in data.meta.facts["labels"].values()):
        raise DataError(
            f"{data.folder} has several columns of labels, or soft labels",
            "a linear classifier has one output with certain labels",
            hint="`rnnkit align --labels NAME` with one column, or another --arch",
            path=data.folder,
        )
    fewest, most = LINEAR_EPOCHS
    by_size = min(most, max(fewest, round(LINEAR_UPDATES / max(1, len(data.side("train", data.text))))))
    return dataclasses.replace(options, epochs=options.epochs or float(by_size)), inputs


def count_linear(options: TrainClassifierOptions, data: LabelledData, folder: Path) -> LinearTrainingResult:
    """Return the result of a dry run: the words and features of the training texts."""
    model = _start(options, data)
    words = len(data.side("train", data.text).ids)
    return LinearTrainingResult(folder, words, len(model.inputs) // model.stride, {}, 0.0)


def _check(options: TrainClassifierOptions) -> None:
    """Refuse options that linear classifiers do not have."""
    reasons = {
        "resume": "training takes seconds and writes no checkpoints",
        "init_from": "its features depend on the training texts",
        "embeddings": "its input vectors are trained with the output",
        "word_vectors": "its input vectors are trained with the output",
        "language_model": "its input vectors are trained with the output",
        "freeze_embeddings": "its input vectors are trained with the output",
    }
    for name, reason in reasons.items():
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} cannot be combined with --arch linear", reason, option=flag)
    if options.processes > 1:
        raise UsageError("--processes cannot be combined with --arch linear", "it uses --threads", option="--processes")
    shortest, longest = options.min_characters or 0, options.max_characters or 0
    if bool(shortest) != bool(longest) or shortest > longest:
        raise UsageError(
            f"--min-characters {shortest} and --max-characters {longest} are no range",
            hint="give both, such as --min-characters 3 --max-characters 6; 0 and 0 for no character n-grams",
            option="--min-characters",
        )


def _config(options: TrainClassifierOptions, column: LabelSet) -> LinearTextConfig:
    from rnnkit.models.labelling.linear_text import LinearTextConfig

    return LinearTextConfig(
        dimension=options.embedding or 1,
        epochs=max(1, round(options.epochs or 1)),
        learning_rate=options.learning_rate or 0.0,
        word_ngrams=options.word_ngrams or 1,
        min_characters=options.min_characters or 0,
        max_characters=options.max_characters or 0,
        buckets=options.buckets,
        one_vs_all=column.many,
        feature_weights=options.feature_weights,
        seed=options.seed,
    )


def _texts(data: LabelledData, split: str) -> WordTexts:
    """Return the texts of a split; the end of a text is no word."""
    import numpy as np

    from rnnkit.data.word_table import SparseRows
    from rnnkit.models.labelling.linear_text import WordTexts

    side = data.side(split, data.text)
    ids = SparseRows(np.asarray(side.ids, np.int64), np.asarray(side.offsets))
    return WordTexts(["", *data.table.words[1:]], ids)


def _start(options: TrainClassifierOptions, data: LabelledData) -> LinearText:
    from rnnkit.models.labelling.linear_text import init_linear_text

    (column,) = data.columns
    return init_linear_text(_config(options, column), _texts(data, "train"), len(column.labels))


def _labels(options: TrainClassifierOptions, data: LabelledData) -> TextLabels:
    """Return the labels of train with their weights."""
    import numpy as np

    from rnnkit.data.word_table import SparseRows
    from rnnkit.models.labelling.linear_text import TextLabels

    (column,) = data.columns
    side = data.side("train", column.name)
    rows = SparseRows(np.asarray(side.ids, np.int64) - 1, np.asarray(side.offsets))
    ordered = SparseRows.from_lists(
        sorted(rows.values[a:b].tolist()) for a, b in zip(rows.offsets, rows.offsets[1:], strict=False)
    )
    weights = data.weights("train")
    return TextLabels(
        ordered,
        len(column.labels),
        _class_weights(options, column),
        None if weights is None else np.asarray(weights, np.float32),
    )


def _class_weights(options: TrainClassifierOptions, column: LabelSet) -> NDArray[np.float32] | None:
    import numpy as np

    if not options.class_weights:
        return None
    given = parse_class_weights(options.class_weights)
    if given is None:
        counts = np.maximum(1, np.array(column.counts, np.float64))
        return np.asarray(counts.sum() / (len(counts) * counts), np.float32)
    if unknown := [label for label in given if label not in column.labels]:
        raise UsageError(
            f"--class-weights names {unknown[0]}, which is no label",
            f"labels: {', '.join(column.labels[:20])}",
            option="--class-weights",
        )
    return np.array([given.get(label, 1.0) for label in column.labels], np.float32)


class LinearFitter:
    """Trains linear classifiers on the same texts.

    Args:
        options: Class weights and threads.
        data: The data.
    """

    def __init__(self, options: TrainClassifierOptions, data: LabelledData) -> None:
        self._data = data
        self._threads = options.threads or available_cores()
        self._texts, self._valid_texts = _texts(data, "train"), _texts(data, "valid")
        self._labels = _labels(options, data)

    def train(
        self, options: TrainClassifierOptions, listen: Listener, continues: Continues | None = None
    ) -> tuple[LinearText, list[float]]:
        """Return a classifier, and its mean loss in each epoch; arguments as for `train_linear_text`."""
        from rnnkit.training.linear_text_trainer import train_linear_text

        (column,) = self._data.columns
        config = _config(options, column)
        return train_linear_text(config, self._texts, self._labels, self._threads, listen, continues)

    def validate(self, model: LinearText) -> tuple[LinearClassifier, dict[str, float]]:
        """Score the validation split, and fit the temperature or the thresholds to it."""
        import numpy as np

        from rnnkit.evaluation.label_fitting import fit_labels
        from rnnkit.models.labelling.linear_store import LinearClassifier

        (column,) = self._data.columns
        score_NC = model.scores(self._valid_texts, self._threads)
        fitted = fit_labels(score_NC, _targets(self._data.side("valid", column.name), column))
        threshold_C = np.full(len(column.labels), 0.5) if fitted.threshold_C is None else fitted.threshold_C
        classifier = LinearClassifier(model, fitted.temperature, threshold_C.astype(np.float32))
        return classifier, dict(fitted.scores)


def _train(
    options: TrainClassifierOptions, inputs: TrainingInputs[LabelledData], folder: Path, listen: Listener
) -> LinearTrainingResult:
    fitter = LinearFitter(options, inputs.data)
    began = time.monotonic()
    model, losses = fitter.train(options, listen)
    seconds = time.monotonic() - began
    listen(Status("validation"))
    classifier, scores = fitter.validate(model)
    scores["training_loss"] = losses[-1]
    write_linear(options, inputs, classifier, scores, folder)
    words = len(inputs.data.side("train", inputs.data.text).ids) * len(losses)
    return LinearTrainingResult(folder, words, len(model.inputs) // model.stride, scores, seconds)


def _targets(side: SentenceDataset, column: LabelSet) -> NDArray[np.int64] | NDArray[np.float32]:
    """Return the label of each text, or 1 for each of its labels (N, C)."""
    import numpy as np

    if not column.many:
        return np.asarray(side.ids, np.int64) - 1
    targets = np.zeros((len(side), len(column.labels)), np.float32)
    rows = np.repeat(np.arange(len(side)), side.lengths())
    known = np.asarray(side.ids) > 0
    targets[rows[known], np.asarray(side.ids, np.int64)[known] - 1] = 1
    return targets


def write_linear(
    options: TrainClassifierOptions,
    inputs: TrainingInputs[LabelledData],
    classifier: LinearClassifier,
    scores: dict[str, float],
    folder: Path,
) -> None:
    """Write the model directory."""
    from rnnkit.data.word_table import Alphabet
    from rnnkit.models import store
    from rnnkit.models.labelling import labelling_store, linear_store
    from rnnkit.models.lm_store import VOCABULARY_FILE

    data = inputs.data
    store.create_model_dir(folder, inputs.tokenizer, {VOCABULARY_FILE: inputs.vocabularies[0]})
    network = linear_store.save_linear(folder, classifier, scores)
    labelling_store.write_inventory(folder, labelling_store.LabelInventory(data.columns, Alphabet("")))
    store.write_config(folder, store.CLASSIFICATION, [data.text], [VOCABULARY_FILE], network)
    kept = {name: value for name, value in run_folder.run_options(options).items() if name in LINEAR_OPTIONS}
    facts = {"languages": [data.text], "scores": scores}
    store.write_manifest(folder, kept, inputs.digests, facts, finished=True)
