"""Training taggers and classifiers through the stages: what they write, refuse, and that runs can be repeated."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, make_labelled_workspace

from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.events import Event, Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.models.model_weights import may_exceed_weights
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import train, train_classifier, train_tagger
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.training import checkpoint
from rnnkit.training.dry_run import CostEstimate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of every kind: `data` has tags and spans, `long`, `many` and `soft` have labels of lines."""
    folder = tmp_path_factory.mktemp("labels")
    work = make_labelled_workspace(folder, "tags", "spans", weights="weight")
    for name, changes in (("long", {}), ("many", {"multi_label": True}), ("soft", {"soft_labels": True})):
        options = align_options.AlignOptions(text="form", labels=[name], work=work, output=work / name, **changes)  # type: ignore[arg-type]
        align.run(options)
    align.run(align_options.AlignOptions(text="form", labels=["tags"], work=work, output=work / "tags"))
    return work


def tagged(work: Path, output: Path, **changes: Any) -> TrainingResult:
    options = TrainTaggerOptions(work=work, output=output, **{**SMALL_LABELS, **changes})
    result = train_tagger.run(options)
    assert isinstance(result, TrainingResult)
    return result


def classified(work: Path, output: Path, data: str = "long", **changes: Any) -> TrainingResult:
    options = TrainClassifierOptions(output=output, **{**SMALL_LABELS, "work": work, "data": work / data, **changes})
    result = train_classifier.run(options)
    assert isinstance(result, TrainingResult)
    return result


@pytest.mark.parametrize(
    ("changes", "by_row"),
    [
        ({}, {"encoder.embedding.weight", "encoder.character_encoder.embedding.weight"}),
        ({"characters": "lstm"}, {"encoder.embedding.weight"}),
        ({"optimizer": "adamw"}, set()),
        ({"weight_decay": 0.01}, set()),
    ],
)
def test_adam_updates_used_rows_of_tables(
    work: Path, tmp_path: Path, changes: dict[str, Any], by_row: set[str]
) -> None:
    """Weight decay moves all rows, used or not."""
    model = tagged(work, tmp_path / "model", **changes).model
    tables = {name.partition(":")[0] for name in checkpoint.load(model / "last").arrays.get("rows", {})}
    assert tables - {"steps", "log_decay"} == by_row


def test_a_tagger_with_two_outputs(work: Path, tmp_path: Path) -> None:
    result = tagged(work, tmp_path / "model")
    model = result.model
    present = {path.name for path in model.iterdir()}
    assert present == {
        "config.json", "labels.json", "tokenizer", "vocab.tsv", "vocab.tsv.meta.json", "best.safetensors", "last",
        "metrics.jsonl", "curve.png", "README.md", "meta.json",
    }  # fmt: skip
    assert manifest.find_mismatches(model) == []
    assert result.scores.keys() == {"loss", "accuracy_tags", "accuracy_spans", "f1_spans"}
    assert "| accuracy_tags |" in (model / "README.md").read_text()
    loaded = load_labeller(model, "best", CPU)
    assert isinstance(loaded.network, TaggerNetwork)
    assert loaded.network.config.crf, "the tags of spans are predicted together"
    assert loaded.network.temperature_O.tolist() == [1, 1], "the probabilities of a CRF are its marginals"
    assert train.training_command(work / "data") == "train-tagger"
    assert train.training_command(work / "long") == "train-classifier"


def test_it_learns(work: Path, tmp_path: Path) -> None:
    result = tagged(
        work, tmp_path / "model", data=work / "tags", max_steps=160, validate_every=80, hidden=32, embedding=24,
        learning_rate=1e-2, mean_decay=0.0, dropout=0.1,
    )  # fmt: skip
    assert result.scores["accuracy"] > 90


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": "gru", "characters": "cnn", "crf": False, "label_smoothing": 0.1},
        {"arch": "mingru", "characters": "ngrams", "layers": 3, "layer_norm": True, "class_weights": ["balanced"]},
        {"arch": "transformer", "characters": "none", "hidden": 12, "heads": 2, "class_weights": ["DET=2", "O=0.5"]},
        {"arch": "rnn", "bidirectional": False, "optimizer": "adamw", "weight_decay": 0.01, "crf": True},
        {"preset": "fast", "weight_drop": 0.2, "dropout_embedding": 0.1, "precision": "bf16", "average": 2},
    ],
    ids=str,
)
def test_every_architecture_of_taggers(work: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = tagged(work, tmp_path / "model", **changes)
    assert all(map(math.isfinite, result.scores.values()))
    network = load_labeller(result.model, "average" if "average" in changes else "best", CPU).network
    assert isinstance(network, TaggerNetwork)
    if not network.config.crf and "average" not in changes:
        assert network.temperature_O.tolist() != [1, 1], "a softmax is fitted to the validation data"


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ("long", {"pooling": "last"}),
        ("long", {"pooling": "attention", "arch": "gru", "class_weights": ["short=3"]}),
        ("many", {"pooling": "max", "characters": "lstm"}),
        ("soft", {"pooling": "mean", "arch": "transformer", "heads": 2}),
        ("many", {"pooling": "all", "class_weights": ["balanced"]}),
    ],
    ids=str,
)
def test_every_kind_of_classifier(work: Path, tmp_path: Path, data: str, changes: dict[str, Any]) -> None:
    result = classified(work, tmp_path / "model", data, **changes)
    assert all(map(math.isfinite, result.scores.values()))
    loaded = load_labeller(result.model, "best", CPU)
    assert isinstance(loaded.network, ClassifierNetwork)
    assert loaded.network.config.multi_label == (data == "many")
    assert result.scores.keys() == ({"loss", "f1", "exact"} if data == "many" else {"loss", "accuracy"})
    if data == "many":
        thresholds = loaded.network.thresholds(0)
        assert bool(((thresholds >= 0.05) & (thresholds <= 0.95)).all())


@pytest.mark.parametrize("kind", ["tagger", "classifier"])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(work: Path, tmp_path: Path, kind: str) -> None:
    """Interrupted after `best` and the metrics were written but before the checkpoint of that step."""

    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 16:"):
            raise KeyboardInterrupt

    folder, data = tmp_path / "model", work / ("data" if kind == "tagger" else "long")
    small: dict[str, Any] = {**SMALL_LABELS, "dropout": 0.2, "accumulate": 2, "seed": 3}

    def run(output: Path, listen: Listener, **changes: Any) -> None:
        if kind == "tagger":
            train_tagger.run(TrainTaggerOptions(work=work, output=output, data=data, **changes), listen)
        else:
            train_classifier.run(TrainClassifierOptions(work=work, output=output, data=data, **changes), listen)

    run(tmp_path / "whole", null_listener, **small)
    with pytest.raises(KeyboardInterrupt):
        run(folder, break_off, **small)
    run(folder, null_listener, resume=True, threads=1)
    for name in ("best.safetensors", *(f"last/{part}.safetensors" for part in ("weights", "optimiser", "random"))):
        assert (tmp_path / "whole" / name).read_bytes() == (folder / name).read_bytes(), name


def test_fine_tuning_starts_from_the_other_weights(work: Path, tmp_path: Path) -> None:
    first = tagged(work, tmp_path / "first")
    second = tagged(work, tmp_path / "second", init_from=first.model, max_steps=8, learning_rate=1e-9, mean_decay=0.0)
    assert second.scores["loss"] == pytest.approx(first.scores["loss"], rel=1e-3)
    with raises(ArtefactError, option="--init-from"):
        tagged(work, tmp_path / "third", init_from=first.model, data=work / "tags")


def test_dry_run_writes_nothing(work: Path, tmp_path: Path) -> None:
    options = TrainTaggerOptions(work=work, output=tmp_path / "model", dry_run=True, **SMALL_LABELS)
    estimate = train_tagger.run(options)
    assert isinstance(estimate, CostEstimate)
    assert estimate.parameters > 100
    assert not (tmp_path / "model").exists()


def test_metrics_have_the_loss_of_the_curve(work: Path, tmp_path: Path) -> None:
    model = tagged(work, tmp_path / "model").model
    records = list(checkpoint.read_metrics(model / checkpoint.METRICS_FILE))
    assert all("loss" in record["validation"] for record in records if "validation" in record)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"hidden": 13}, "--hidden"),
        ({"characters": "lstm", "character_hidden": 5}, "--character-hidden"),
        ({"arch": "transformer", "hidden": 10, "heads": 4}, "--hidden"),
        ({"arch": "mingru", "weight_drop": 0.1}, "--weight-drop"),
        ({"class_weights": ["X"]}, "--class-weights"),
        ({"class_weights": ["X=-1"]}, "--class-weights"),
        ({"class_weights": ["X=nan"]}, "--class-weights"),
        ({"class_weights": ["NOWHERE=2"]}, "--class-weights"),
        ({"vocab": [Path("a"), Path("b")]}, "--vocab"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(work: Path, tmp_path: Path, changes: dict[str, Any], option: str) -> None:
    with raises(UsageError, option=option):
        tagged(work, tmp_path / "model", **changes)


def test_data_of_another_kind(work: Path, tmp_path: Path) -> None:
    with raises(DataError, "classification", path=work / "long"):
        tagged(work, tmp_path / "model", data=work / "long")
    with raises(DataError, "tagging", path=work / "data"):
        classified(work, tmp_path / "model", "data")
    with raises(ArtefactError):
        tagged(work, tmp_path / "model", vocab=[work / "long" / "words.txt"])


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("alphabet"),
        lambda document: document.update(columns=[]),
        lambda document: document["columns"][0].update(labels=["a", "a"]),
        lambda document: document["columns"][0]["labels"].pop(),
        lambda document: document["columns"][0].update(scheme=7),
    ],
)
def test_damaged_labels_are_named(work: Path, tmp_path: Path, change: Any) -> None:
    model = classified(work, tmp_path / "model", max_steps=1, validate_every=1).model
    path = model / "labels.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with raises(FormatError, path=path):
        load_labeller(model, "best", CPU)


def test_a_recurrent_model_records_no_inner_size(work: Path, tmp_path: Path) -> None:
    """The size of a recurrent network is estimated from its own sizes; a larger one would be built twice to load it."""
    result = tagged(work, tmp_path / "model", inner=4000)
    shape = json.loads((result.model / "config.json").read_text())["network"]
    assert shape["inner"] == 0
    assert not may_exceed_weights(shape, {"weights": torch.zeros(1), "biases": torch.zeros(1)})
