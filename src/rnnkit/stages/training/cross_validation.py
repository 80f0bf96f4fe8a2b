"""`--folds K`: cross-validation of a tagger or text classifier on the training data.

Each of K models is trained without one fold and predicts it, so that every text of train gets a prediction of a model
that has not seen it. The directory has the scores and the predictions; a model is removed once it has predicted.

    folds.json                    the scores of each fold, their mean and standard deviation
    predictions.LABELS            predicted labels, a line for each text of train
    predictions.LABELS.jsonl      text, given and predicted labels with their probabilities, a line for each text
    meta.json
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rnnkit.errors import Interrupted
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.io.atomic import atomic_file
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.stages import outputs
from rnnkit.stages.training import run_folder, training_run
from rnnkit.stages.training.label_search import forward_progress
from rnnkit.stages.training.labelling_options import LabellingOptions, TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.labelling_run import build_labeller, embeddings_of, open_labelled
from rnnkit.stages.training.linear_classifier_run import LINEAR_OPTIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.data.label_folds import LabelledFold
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.decoding.label_texts import LabelledText, OutputLabels
    from rnnkit.models.labelling.labelling_store import LoadedLabeller
    from rnnkit.stages.training.training_inputs import TrainingInputs

    OptionsT = TypeVar("OptionsT", TrainTaggerOptions, TrainClassifierOptions)
else:
    OptionsT = TypeVar("OptionsT")

KIND: Final = "cross-validation"
VERSION: Final = 1
REPORT_FILE: Final = "folds.json"

DIGITS: Final = 4
"""Decimals of a probability."""


def folds_folder(options: LabellingOptions) -> Path:
    """Return the default output."""
    return Workspace(options.work).folds


@dataclass(frozen=True)
class FoldScores:
    """Result of a fold.

    Attributes:
        fold: Its number, from 1.
        texts: Number of its texts.
        scores: Scores of the best weights on them.
        seconds: Time of the training, over all resumptions.
    """

    fold: int
    texts: int
    scores: dict[str, float]
    seconds: float

    @property
    def line(self) -> str:
        """The result as one line."""
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return f"fold {self.fold}: {scores}, {self.texts:,} texts, {self.seconds:.1f} s"


@dataclass(frozen=True)
class CrossValidationResult:
    """Result of cross-validation.

    Attributes:
        folder: The directory.
        folds: The result of each fold.
        mean: Mean of each score over the folds.
        deviation: Standard deviation of each score over the folds, with K - 1 in the denominator.
    """

    folder: Path
    folds: tuple[FoldScores, ...]
    mean: dict[str, float]
    deviation: dict[str, float]

    @classmethod
    def of(cls, folder: Path, folds: Sequence[FoldScores]) -> CrossValidationResult:
        """Compute means and standard deviations."""
        by_name = {name: [fold.scores[name] for fold in folds] for name in folds[0].scores}
        mean = {name: statistics.fmean(values) for name, values in by_name.items()}
        return cls(folder, tuple(folds), mean, {name: statistics.stdev(values) for name, values in by_name.items()})

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"folder": str(self.folder), **self.report}

    @property
    def report(self) -> JsonObject:
        """The content of the report."""
        return {"folds": [asdict(fold) for fold in self.folds], "mean": self.mean, "deviation": self.deviation}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        scores = ", ".join(f"{name} {self.mean[name]:.4g} ± {self.deviation[name]:.2g}" for name in self.mean)
        return [f"{self.folder}: {scores} (mean and standard deviation of {len(self.folds)} folds)"]


def cross_validate(options: OptionsT, task: str, folder: Path, listen: Listener) -> CrossValidationResult:
    """Train a network for each fold, and write the report and the predictions.

    Args:
        options: The options, with the values of the preset; with `resume`, the run is continued.
        task: Task of the data.
        folder: The directory.
        listen: Receives a note about each fold, warnings and progress.

    Raises:
        DataError: An input is missing, or there are fewer distinct texts than folds.
        ArtefactError: Inputs do not match each other, or the output exists or is in use.
        Interrupted: A signal arrived; everything is saved.
    """
    if options.resume:
        options = run_folder.saved_options(folder, options, KIND, VERSION)
    inputs = open_labelled(options, task)
    if options.resume:
        run_folder.check_inputs(folder, inputs.digests)
        opened = run_folder.resume(folder)
    else:
        outputs.check_not_inputs(folder, outputs.input_paths(options))
        opened = run_folder.begin(folder, options.overwrite, KIND)
    parts, predictions = make_folds(inputs.data, options, listen), Predictions(inputs)
    results = []
    with opened as directory:
        if not options.resume:
            write_manifest(directory.path, options, inputs)
        for fold, part in enumerate(parts, start=1):
            place = directory / f"fold-{fold}"
            try:
                results.append(_train_fold(options, replace(inputs, data=part), place, fold, forward_progress(listen)))
            except Interrupted:  # other errors in the first fold leave no directory
                directory.commit()
                raise
            listen(Note(results[-1].line))
            predictions.add(fold, part, _load(place, part, options.device))
            directory.commit()
        result = CrossValidationResult.of(folder, results)
        predictions.write(directory.path)
        for fold in range(1, options.folds + 1):
            shutil.rmtree(directory / f"fold-{fold}")
        write_manifest(directory.path, options, inputs, result)
    return result


def make_folds(data: LabelledData, options: LabellingOptions, listen: Listener) -> Iterator[LabelledFold]:
    """Return an iterator over the data of each fold, which emits progress.

    Raises:
        DataError: There are fewer distinct texts than folds.
    """
    from rnnkit.data.label_folds import assign_folds

    facts = data.meta.facts["splits"]["train"]
    if missing := int(facts["lines"]) - int(facts["sentences"]):
        listen(
            WarningEvent(
                f"{missing:,} of {int(facts['lines']):,} lines of train were dropped by `rnnkit align`: the "
                "predictions have a line for each of the others, and their .jsonl files contain the texts"
            )
        )
    return _iterate_folds(data, assign_folds(data, options.folds, options.seed), options.folds, listen)


def _iterate_folds(
    data: LabelledData, fold_N: NDArray[np.int64], folds: int, listen: Listener
) -> Iterator[LabelledFold]:
    from rnnkit.data.label_folds import LabelledFold

    for fold in range(folds):
        listen(Progress("cross-validation", fold, folds, "folds"))
        yield LabelledFold.hold_out(data, fold_N == fold)
    listen(Progress("cross-validation", folds, folds, "folds", finished=True))


def _train_fold(
    options: OptionsT, inputs: TrainingInputs[LabelledData], folder: Path, fold: int, listen: Listener
) -> FoldScores:
    """Train the model of a fold, or resume its training; a finished one is only validated."""
    options = replace(options, output=None, overwrite=False, resume=options.resume and run_folder.has_run(folder))
    with training_run.start(options, folder, listen) as started:
        inputs = started.check_inputs(inputs, embeddings_of(started.options))
        result = started.fit(build_labeller(started, inputs), inputs)
    texts = len(inputs.data.side("valid", inputs.data.text))
    return FoldScores(fold, texts, result.scores, result.seconds)


def _load(folder: Path, part: LabelledFold, device: str) -> LoadedLabeller:
    """Load the model of a fold; it reads the tokens of the data, and tokens that its train lacks are unknown."""
    from rnnkit.models.labelling.labelling_store import load_labeller
    from rnnkit.nn.device import choose_device
    from rnnkit.text.vocabulary import Vocabulary

    model = load_labeller(folder, "best", choose_device(device))
    seen_V = part.token_counts() > 0
    tokens = (token if seen else "" for token, seen in zip(model.vocabulary.tokens, seen_V, strict=True))
    return replace(model, tokenizer=None, vocabulary=Vocabulary(tuple(tokens), model.vocabulary.counts))


class Predictions:
    """Predictions of the texts of train by the models that have not seen them.

    Args:
        inputs: The data, and the tokenizer by which tokens of a classifier become text again.
    """

    def __init__(self, inputs: TrainingInputs[LabelledData]) -> None:
        from rnnkit.data.labelled_data import CLASSIFICATION
        from rnnkit.text.tokenizer_store import load_tokenizer

        self._data = data = inputs.data
        self._tokenizer = None
        if inputs.tokenizer is not None and data.task == CLASSIFICATION:
            self._tokenizer = load_tokenizer(inputs.tokenizer)
        count = len(data.side("train", data.text))
        self._labels = {column.name: [""] * count for column in data.columns}
        self._details: dict[str, list[JsonMapping]] = {column.name: [{}] * count for column in data.columns}

    def add(self, fold: int, part: LabelledFold, model: LoadedLabeller) -> None:
        """Predict the texts of a fold.

        Args:
            fold: Its number, from 1.
            part: Its data.
            model: The model that was trained without it.
        """
        from rnnkit.data.label_folds import VALID, train_text
        from rnnkit.decoding.label_texts import BLOCK_LINES, Labeller, LabelTextOptions

        labeller, rows = Labeller([model]), part.rows[VALID].tolist()
        settings = LabelTextOptions(marginals=labeller.is_tagger)
        for start in range(0, len(rows), BLOCK_LINES):
            block = rows[start : start + BLOCK_LINES]
            texts = labeller.label([train_text(self._data, row) for row in block], settings)
            for row, text in zip(block, texts, strict=True):
                self._record(row, fold, text, labeller.is_tagger)

    def _record(self, row: int, fold: int, text: LabelledText, is_tagger: bool) -> None:
        line = text.line if self._tokenizer is None else self._tokenizer.detokenize(text.words)
        for column, output in zip(self._data.columns, text.outputs, strict=True):
            ids = self._data.side("train", column.name)[row]
            given = [column.labels[label - 1] for label in ids]
            self._labels[column.name][row] = " ".join(output.alternatives[0].labels)
            described = _describe_tags(given, output) if is_tagger else _describe_labels(given, output, column.many)
            self._details[column.name][row] = {"line": row + 1, "fold": fold, "text": line, **described}

    def write(self, folder: Path) -> None:
        """Write the files."""
        for name, labels in self._labels.items():
            with atomic_file(folder / f"predictions.{name}") as file:
                file.writelines(f"{line}\n" for line in labels)
            with atomic_file(folder / f"predictions.{name}.jsonl") as file:
                file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in self._details[name])


def _describe_tags(given: Sequence[str], output: OutputLabels) -> JsonObject:
    return {
        "given": list(given),
        "predicted": list(output.alternatives[0].labels),
        "probabilities": [round(p, DIGITS) for p in output.probability],
        "given_probabilities": [
            round(p_of[label], DIGITS) for label, p_of in zip(given, output.distribution, strict=True)
        ],
    }


def _describe_labels(given: Sequence[str], output: OutputLabels, many: bool) -> JsonObject:
    (p_of,) = output.distribution
    predicted = output.alternatives[0].labels
    p = {label: round(value, DIGITS) for label, value in p_of.items()}
    if many:
        return {"given": list(given), "predicted": list(predicted), "probabilities": p}
    label = predicted[0]
    return {"given": given[0], "predicted": label, "probability": p[label], "given_probability": p[given[0]]}


def write_manifest(
    folder: Path,
    options: LabellingOptions,
    inputs: TrainingInputs[LabelledData],
    result: CrossValidationResult | None = None,
) -> None:
    """Write the manifest, and the report once there is a result."""
    recorded = run_folder.run_options(options)
    if options.arch == "linear":
        recorded = {name: value for name, value in recorded.items() if name in (*LINEAR_OPTIONS, "folds")}
    facts: Mapping[str, Any] = {}
    files = []
    if result is not None:
        with atomic_file(folder / REPORT_FILE) as file:
            file.write(json.dumps(result.report, indent=1) + "\n")
        columns = [column.name for column in inputs.data.columns]
        files = [REPORT_FILE, *(f"predictions.{name}{end}" for name in columns for end in ("", ".jsonl"))]
        facts = {"mean": result.mean, "deviation": result.deviation}
    manifest.write(
        folder / manifest.NAME,
        manifest.Manifest(
            KIND, VERSION, recorded, inputs.digests,
            manifest.describe_files(folder, files), facts,
        ),
    )  # fmt: skip
