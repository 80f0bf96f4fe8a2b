"""`--folds` through the stages: scores, out-of-fold predictions, resuming, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, TRAIN_LINES, make_labelled_workspace

from rnnkit.errors import ArtefactError, ConfigError, DataError, Interrupted, RnnkitError, UsageError
from rnnkit.events import Event, Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import train_classifier, train_tagger
from rnnkit.stages.training.cross_validation import CrossValidationResult, FoldScores
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.training.dry_run import CostEstimate

SMALL: dict[str, Any] = {**SMALL_LABELS, "characters": "none", "max_steps": 16, "folds": 3}
LINEAR: dict[str, Any] = {"arch": "linear", "buckets": 500, "threads": 1, "embedding": 6, "epochs": 5, "folds": 3}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with two columns of tags in `data`, with a label per line in `long` and several in `many`."""
    work = make_labelled_workspace(tmp_path_factory.mktemp("folds"), "tags", "spans")
    for name in ("long", "many"):
        options = align_options.AlignOptions(
            text="form", labels=[name], work=work, output=work / name, multi_label=name == "many"
        )
        align.run(options)
    return work


def run(work: Path, output: Path | None, data: str = "data", listen: Listener = null_listener, **changes: Any) -> Any:
    options: dict[str, Any] = {"work": work, "output": output, "data": work / data, **changes}
    if data == "data":
        return train_tagger.run(TrainTaggerOptions(**options), listen)
    return train_classifier.run(TrainClassifierOptions(**options), listen)


def read(folder: Path, column: str) -> list[dict[str, Any]]:
    path = folder / f"predictions.{column}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


NOTES: list[str] = []
"""What the run of the fixture `whole` has reported."""


@pytest.fixture(scope="module")
def whole(work: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidationResult:
    """Cross-validation of a tagger with two outputs, never interrupted."""
    listen: Listener = lambda event: NOTES.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    result = run(work, tmp_path_factory.mktemp("whole") / "folds", listen=listen, **SMALL)
    assert isinstance(result, CrossValidationResult)
    return result


def test_a_tagger_predicts_every_line(work: Path, whole: CrossValidationResult) -> None:
    result = whole
    folder = result.folder
    assert {path.name for path in folder.iterdir()} == {
        "meta.json", "folds.json", "predictions.tags", "predictions.tags.jsonl", "predictions.spans",
        "predictions.spans.jsonl",
    }  # fmt: skip
    assert manifest.find_mismatches(folder) == []
    assert [fold.line for fold in result.folds] == NOTES
    assert sum(fold.texts for fold in result.folds) == TRAIN_LINES
    report = json.loads((folder / "folds.json").read_text())
    values = [fold["scores"]["f1_spans"] for fold in report["folds"]]
    assert report["mean"]["f1_spans"] == pytest.approx(statistics.fmean(values))
    assert report["deviation"]["f1_spans"] == pytest.approx(statistics.stdev(values))
    text = (work.parent / "train.form").read_text(encoding="utf-8").splitlines()
    for column in ("tags", "spans"):
        found, lines = read(folder, column), (folder / f"predictions.{column}").read_text().splitlines()
        given = (work.parent / f"train.{column}").read_text().splitlines()
        assert [each["text"] for each in found] == text
        assert [" ".join(each["given"]) for each in found] == given
        assert [" ".join(each["predicted"]) for each in found] == lines
        assert [each["line"] for each in found] == list(range(1, TRAIN_LINES + 1))
        for fold in result.folds:  # the scores of a fold are those of its predictions
            own = [each for each in found if each["fold"] == fold.fold]
            pairs = [(a, b) for each in own for a, b in zip(each["given"], each["predicted"], strict=True)]
            accuracy = 100 * sum(a == b for a, b in pairs) / len(pairs)
            assert fold.scores[f"accuracy_{column}"] == pytest.approx(accuracy)
        for each in found:
            agreed = [a == b for a, b in zip(each["given"], each["predicted"], strict=True)]
            equal = [p == q for p, q in zip(each["probabilities"], each["given_probabilities"], strict=True)]
            assert all(same for same, agrees in zip(equal, agreed, strict=True) if agrees)
            assert all(0 <= p <= 1 for p in each["given_probabilities"])


@pytest.mark.parametrize("data", ["long", "many"])
@pytest.mark.parametrize("small", [SMALL, LINEAR], ids=["network", "linear"])
def test_classifiers(work: Path, tmp_path: Path, data: str, small: dict[str, Any]) -> None:
    result = run(work, tmp_path / "folds", data, **small)
    found = read(result.folder, data)
    given = (work.parent / f"train.{data}").read_text().splitlines()
    if data == "long":
        assert [each["given"] for each in found] == given
        for fold in result.folds:
            own = [each["given"] == each["predicted"] for each in found if each["fold"] == fold.fold]
            assert fold.scores["accuracy"] == pytest.approx(100 * sum(own) / len(own))
        assert all(each["given_probability"] <= each["probability"] for each in found)
    else:
        assert [set(each["given"]) for each in found] == [set(line.split()) for line in given]
        assert all(set(each["given"]) <= set(each["probabilities"]) for each in found)
        exact = [set(each["given"]) == set(each["predicted"]) for each in found if each["fold"] == 1]
        assert result.folds[0].scores["exact"] == pytest.approx(100 * sum(exact) / len(exact))
    assert manifest.find_mismatches(result.folder) == []
    assert "folds" in manifest.load(result.folder / "meta.json").options
    assert ("crf" in manifest.load(result.folder / "meta.json").options) is False


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_is_resumed(work: Path, tmp_path: Path, whole: CrossValidationResult, overwrite: bool) -> None:
    """Interrupted in the first or second fold: the result is that of a run that was never stopped."""
    folder = tmp_path / "folds"
    if overwrite:
        run(work, folder, **{**SMALL, "max_steps": 2, "folds": 2})

    class Stop:
        folds = 0

        def __call__(self, event: Event) -> None:
            self.folds += isinstance(event, Note)
            in_training = isinstance(event, Progress) and event.task == "training" and event.done == 12
            if in_training and self.folds == (0 if overwrite else 1):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as raised:
        run(work, folder, listen=Stop(), **SMALL, overwrite=overwrite)
    assert str(folder) in str(raised.value)
    with raises(ConfigError, option="--folds"):
        run(work, folder, resume=True, folds=2)
    result = run(work, folder, resume=True, folds=3)
    assert (result.mean, result.deviation) == (whole.mean, whole.deviation)
    for column in ("tags", "spans"):
        names = (f"predictions.{column}", f"predictions.{column}.jsonl")
        assert all((folder / name).read_bytes() == (whole.folder / name).read_bytes() for name in names)
    assert manifest.find_mismatches(folder) == []


@pytest.mark.parametrize(
    ("changes", "kind", "option"),
    [
        ({**SMALL, "folds": 1}, UsageError, "--folds"),
        ({**SMALL, "tune_seconds": 5}, UsageError, "--folds"),
        ({**SMALL, "processes": 2}, UsageError, "--processes"),
        ({**LINEAR, "resume": True}, UsageError, "--resume"),
        ({**SMALL, "folds": TRAIN_LINES + 1}, DataError, "--folds"),
        ({**LINEAR, "folds": TRAIN_LINES + 1}, DataError, "--folds"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(
    work: Path, tmp_path: Path, changes: dict[str, Any], kind: type[RnnkitError], option: str
) -> None:
    with raises(kind, option=option):
        run(work, tmp_path / "folds", "long", **changes)
    assert not (tmp_path / "folds").exists()


def test_the_default_output_is_not_that_of_a_model(tmp_path: Path) -> None:
    work = make_labelled_workspace(tmp_path, "long")
    result = run(work, None, "data/../data", **LINEAR)
    assert result.folder == work / "folds"
    with raises(ArtefactError, path=work / "folds"):
        run(work, None, "data/../data", **LINEAR)
    run(work, None, "data/../data", **LINEAR, overwrite=True)
    with raises(ArtefactError, path=work / "folds"):
        run(work, work / "folds", "data/../data", **{**LINEAR, "folds": 0}, overwrite=True)


def test_dropped_lines_are_reported(work: Path, tmp_path: Path) -> None:
    shorter = tmp_path / "data"
    align.run(
        align_options.AlignOptions(text="form", labels=["long"], work=work, output=shorter, max_length=9, long="drop")
    )
    warnings: list[str] = []
    listen: Listener = lambda event: warnings.append(event.text) if isinstance(event, WarningEvent) else None  # noqa: E731
    options = TrainClassifierOptions(work=work, data=shorter, output=tmp_path / "folds", **LINEAR)
    result = train_classifier.run(options, listen)
    assert isinstance(result, CrossValidationResult)
    kept = len(read(result.folder, "long"))
    assert 0 < kept < TRAIN_LINES
    assert warnings[0].startswith(f"{TRAIN_LINES - kept} of {TRAIN_LINES} lines of train were dropped")


def test_dry_run(work: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    listen: Listener = lambda event: notes.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    estimate = run(work, tmp_path / "folds", listen=listen, **SMALL, dry_run=True)
    assert isinstance(estimate, CostEstimate)
    assert notes[0] == "cost of one of 3 trainings, one after the other"
    assert not (tmp_path / "folds").exists()


def test_mean_and_deviation() -> None:
    folds = [FoldScores(n, 5, {"accuracy": value}, 1.25) for n, value in ((1, 80.0), (2, 90.0), (3, 85.0))]
    result = CrossValidationResult.of(Path("folds"), folds)
    assert result.lines == ["folds: accuracy 85 ± 5 (mean and standard deviation of 3 folds)"]
    assert folds[0].line == "fold 1: accuracy 80, 5 texts, 1.2 s"
