"""`train-classifier --arch linear` through the stage: what it writes, decodes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.workspaces import decoded, make_labelled_workspace, write_lines

import rnnkit
from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.io import manifest
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import train_classifier
from rnnkit.stages.training.labelling_options import TrainClassifierOptions
from rnnkit.stages.training.linear_classifier_run import LinearTrainingResult

CPU = torch.device("cpu")
LINES = ["the king sat .", "", "the queen saw a dog and the birds by the old river .", "zyx qq"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linear")
    work = make_labelled_workspace(folder, "long", weights="weight")
    for name in ("many", "soft"):
        options = align_options.AlignOptions(
            text="form", labels=[name], work=work, output=work / name, multi_label=name == "many",
            soft_labels=name == "soft",
        )  # fmt: skip
        align.run(options)
    return work


def trained(work: Path, output: Path, **changes: Any) -> LinearTrainingResult:
    small: dict[str, Any] = {"embedding": 9, "epochs": 60, "buckets": 1000, "threads": 1, **changes}
    result = train_classifier.run(TrainClassifierOptions(work=work, output=output, arch="linear", **small))
    assert isinstance(result, LinearTrainingResult)
    return result


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "text", LINES)


def test_a_model_directory_is_whole_and_decodes(work: Path, tmp_path: Path, text: Path) -> None:
    result = trained(work, tmp_path / "model", word_ngrams=2)
    assert {path.name for path in result.model.iterdir()} == {
        "config.json", "labels.json", "words.txt", "tokenizer", "vocab.tsv", "vocab.tsv.meta.json",
        "best.safetensors", "meta.json",
    }  # fmt: skip
    assert manifest.find_mismatches(result.model) == []
    assert result.scores.keys() == {"loss", "accuracy", "training_loss"}
    assert result.scores["accuracy"] > 60
    lines = decoded(result.model, text)
    assert lines[2] == "long text"
    assert [json.loads(line)["label"] for line in decoded(result.model, text, json=True)] == lines
    alone = [decoded(result.model, text)[index] for index in range(len(LINES))]
    assert alone == lines
    model = rnnkit.load(result.model)
    assert isinstance(model, rnnkit.TextClassifier)
    assert model.classify(LINES) == lines
    assert "linear" in repr(model)
    assert result.lines[0].startswith(str(result.model))


def test_threads_change_no_byte(work: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"min_characters": 2, "max_characters": 4, "class_weights": ["balanced"]}
    models = [trained(work, tmp_path / str(threads), threads=threads, **options).model for threads in (1, 2, 3)]
    first, *others = [(model / "best.safetensors").read_bytes() for model in models]
    assert others == [first, first]


def test_several_labels(work: Path, tmp_path: Path, text: Path) -> None:
    result = trained(work, tmp_path / "model", data=work / "many", class_weights=["DET=2"])
    assert result.scores.keys() == {"loss", "f1", "exact", "training_loss"}
    labels = [line.split() for line in decoded(result.model, text)]
    assert "DET" in labels[0]
    assert {len(line.split()) for line in decoded(result.model, text, threshold=0.0)} == {4}


def test_an_ensemble_with_a_network(work: Path, tmp_path: Path, text: Path) -> None:
    linear = trained(work, tmp_path / "linear").model
    small: dict[str, Any] = {"hidden": 6, "embedding": 5, "max_steps": 4, "validate_every": 4, "threads": 1}
    train_classifier.run(TrainClassifierOptions(work=work, output=tmp_path / "lstm", **small))
    both = list(decode.run(DecodeOptions(files=[text], model=[linear, tmp_path / "lstm"], threads=1, json=True)))
    single = [decoded(folder, text, json=True) for folder in (linear, tmp_path / "lstm")]
    for found, *parts in zip(both, *single, strict=True):
        p, *others = (json.loads(each)["probabilities"] for each in (found, *parts))
        for label, value in p.items():
            assert value == pytest.approx(sum(other[label] for other in others) / 2, abs=2e-4)


def test_dry_run_writes_nothing(work: Path, tmp_path: Path) -> None:
    result = trained(work, tmp_path / "model", dry_run=True)
    assert result.features > 50
    assert [line.split()[0] for line in result.lines] == ["words", "features"]
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"resume": True}, "--resume"),
        ({"init_from": Path("x")}, "--init-from"),
        ({"embeddings": [Path("x")]}, "--embeddings"),
        ({"processes": 2}, "--processes"),
        ({"min_characters": 3}, "--min-characters"),
        ({"min_characters": 3, "max_characters": 2}, "--min-characters"),
        ({"class_weights": ["NOWHERE=2"]}, "--class-weights"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(work: Path, tmp_path: Path, changes: dict[str, Any], option: str) -> None:
    with raises(UsageError, option=option):
        trained(work, tmp_path / "model", **changes)
    assert not (tmp_path / "model").exists()


def test_other_data_and_checkpoints(work: Path, tmp_path: Path) -> None:
    with raises(DataError, path=work / "soft"):
        trained(work, tmp_path / "model", data=work / "soft")
    model = trained(work, tmp_path / "model", epochs=1).model
    with raises(ArtefactError):
        trained(work, tmp_path / "model")
    with raises(DataError, option="--checkpoint"):
        load_labeller(model, "last", CPU)


@pytest.mark.parametrize("damage", ["words", "labels", "shape"])
def test_damage_is_named(work: Path, tmp_path: Path, damage: str) -> None:
    model = trained(work, tmp_path / "model", epochs=1).model
    if damage == "words":
        (model / "words.txt").write_text("the\n", encoding="utf-8")
    elif damage == "labels":
        document = json.loads((model / "labels.json").read_text())
        document["columns"][0]["labels"].append("third")
        document["columns"][0]["counts"].append(1)
        (model / "labels.json").write_text(json.dumps(document))
    else:
        document = json.loads((model / "config.json").read_text())
        document["network"]["dimension"] = 1 << 30
        (model / "config.json").write_text(json.dumps(document))
    with raises(FormatError, model / "best.safetensors"):
        load_labeller(model, "best", CPU)
