"""Labelling of raw text with trained models: batches, alternatives, thresholds, ensembles, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, decoded, make_labelled_workspace, write_lines

import rnnkit
from rnnkit.decoding.label_texts import Labeller, LabelTextOptions, label_lines
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.inference.label_outputs import word_offsets
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import train_classifier, train_tagger
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions

EARLIER = Path(__file__).parents[1] / "compatibility" / "earlier" / "pair" / "model"
LINES = ["the king sat .", "", "a", "the queen saw a dog and the birds .", "Zyx\u00a0w qq", "."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of every kind, briefly trained: `tags` and `softmax` (two outputs), `long` and `many`."""
    folder = tmp_path_factory.mktemp("labellers")
    work = make_labelled_workspace(folder, "tags", "spans")
    small: dict[str, Any] = {**SMALL_LABELS, "work": work, "learning_rate": 1e-2}
    for name, changes in (("tags", {}), ("other", {"seed": 2}), ("softmax", {"crf": False})):
        train_tagger.run(TrainTaggerOptions(output=folder / name, **small, **changes))
    for name in ("long", "many"):
        data = work / name
        options = align_options.AlignOptions(
            text="form", labels=[name], work=work, output=data, multi_label=name == "many"
        )
        align.run(options)
        pooling = "attention" if name == "long" else "max"
        train_classifier.run(TrainClassifierOptions(output=folder / name, data=data, pooling=pooling, **small))
    return folder


def labeller(*folders: Path) -> Labeller:
    return Labeller([load_labeller(folder, "best", torch.device("cpu")) for folder in folders])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "text", LINES)


@pytest.mark.parametrize("name", ["tags", "softmax", "long", "many"])
def test_a_line_is_labelled_alike_alone_and_in_any_batch(models: Path, name: str) -> None:
    model = labeller(models / name)
    together = list(label_lines(model, LINES * 3, LabelTextOptions()))
    small = list(label_lines(labeller(models / name), LINES * 3, LabelTextOptions(batch_tokens=3), ahead=4))
    alone = [label for line in LINES for label in label_lines(labeller(models / name), [line], LabelTextOptions())]
    for found in (small, [*alone * 3]):
        for one, other in zip(together, found, strict=True):
            assert one.words == other.words
            assert [each.alternatives[0].labels for each in one.outputs] == [
                each.alternatives[0].labels for each in other.outputs
            ]


def test_one_tag_for_each_word(models: Path, text: Path) -> None:
    for column in ("tags", "spans"):
        lines = decoded(models / "tags", text, column=column)
        assert [len(line.split()) for line in lines] == [4, 0, 1, 9, 2, 1]
    documents = [json.loads(line) for line in decoded(models / "tags", text, json=True)]
    for line, document in zip(LINES, documents, strict=True):
        assert [line[start:end] for start, end in document["offsets"]] == document["words"]
        assert document["columns"].keys() == {"tags", "spans"}
        assert len(document["tags"]) == len(document["probabilities"]) == len(document["words"])
        for word, tag, p in zip(document["marginals"], document["tags"], document["probabilities"], strict=True):
            assert word[tag] == p
            assert math.isclose(sum(word.values()), 1, abs_tol=1e-3)
        for span in document["columns"]["spans"]["spans"]:
            assert line[slice(*span["characters"])] == span["text"]


def test_a_crf_predicts_no_invalid_span(models: Path) -> None:
    for found in label_lines(labeller(models / "tags", models / "other"), LINES * 5, LabelTextOptions(nbest=4)):
        for each in found.outputs[1].alternatives:
            before = ["O", *each.labels]
            assert all(tag != "I-NP" or last != "O" for last, tag in zip(before, each.labels, strict=False))


@pytest.mark.parametrize("name", ["tags", "softmax"])
def test_alternatives_are_distinct_and_ranked(models: Path, text: Path, name: str) -> None:
    for found in label_lines(labeller(models / name), LINES, LabelTextOptions(nbest=3)):
        alternatives = found.outputs[0].alternatives
        assert len({each.labels for each in alternatives}) == len(alternatives)
        p = [each.probability for each in alternatives]
        assert p == sorted(p, reverse=True)
        assert sum(p) <= 1 + 1e-4
    lines = decoded(models / name, text, nbest=3)
    assert len(lines) == 3 * len(LINES)
    assert lines[0].split("\t")[1].startswith("0.")


def test_raw_text_is_cut_into_words(models: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").write_text('The king (who "sat") ran.\n', encoding="utf-8")
    (line,) = decoded(models / "tags", tmp_path / "raw", raw=True)
    assert [pair.rpartition("/")[0] for pair in line.split()] == [
        "The", "king", "(", "who", '"', "sat", '"', ")", "ran", ".",
    ]  # fmt: skip
    assert word_offsets("a b a", ["a", "b", "x", "a"]) == [(0, 1), (2, 3), None, (4, 5)]


def test_classifier(models: Path, text: Path, tmp_path: Path) -> None:
    lines = decoded(models / "long", text)
    assert set(lines) <= {"short", "long text"}
    assert len(lines) == len(LINES)
    assert decoded(models / "long", text, threshold=1.0) == [""] * len(LINES)
    documents = [json.loads(line) for line in decoded(models / "long", text, json=True)]
    assert [document["label"] for document in documents] == lines
    for document in documents:
        assert document["probability"] == max(document["probabilities"].values())
    ranked = decoded(models / "long", text, nbest=2)
    assert {line.split("\t")[0] for line in ranked[:2]} == {"short", "long text"}
    list(decode.run(DecodeOptions(files=[text], model=[models / "long"], threads=1, attention=tmp_path / "a.json")))
    maps = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [len(each["attention"][0]) for each in maps] == [len(each["source"]) for each in maps]
    assert all(math.isclose(sum(each["attention"][0]), 1, abs_tol=1e-2) for each in maps)


def test_several_labels(models: Path, text: Path) -> None:
    everything = decoded(models / "many", text, threshold=0.0)
    assert {frozenset(line.split()) for line in everything} == {frozenset(["DET", "PUNCT", "WORD", "PLURAL"])}
    assert decoded(models / "many", text, threshold=1.0) == [""] * len(LINES)
    documents = [json.loads(line) for line in decoded(models / "many", text, json=True)]
    assert [" ".join(document["labels"]) for document in documents] == decoded(models / "many", text)


@pytest.mark.parametrize(
    ("name", "changes", "option"),
    [
        ("tags", {"threshold": 0.5}, "--threshold"),
        ("tags", {"column": "upos"}, "--column"),
        ("tags", {"beam": 3}, "--beam"),
        ("tags", {"attention": Path("a.json")}, "--attention"),
        ("long", {"raw": True}, "--raw"),
        ("long", {"fill": True}, "--fill"),
        ("many", {"attention": Path("a.json")}, "--attention"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(models: Path, text: Path, name: str, changes: dict[str, Any], option: str) -> None:
    with raises(UsageError, option=option):
        decoded(models / name, text, **changes)


def test_models_that_do_not_fit_together(models: Path) -> None:
    with raises(ArtefactError, models / "long"):
        labeller(models / "tags", models / "long")


def test_api(models: Path) -> None:
    tagger = rnnkit.load(models / "tags")
    assert isinstance(tagger, rnnkit.Tagger)
    assert tagger.columns == ("tags", "spans")
    assert set(tagger.labels("spans")) == {"O", "B-NP", "I-NP"}
    assert list(map(len, tagger.tag(LINES))) == [4, 0, 1, 9, 2, 1]
    assert [word for word, _, _ in tagger.tag_words("A king, sat.")] == ["A", "king", ",", "sat", "."]
    assert repr(tagger) == f"Tagger({models / 'tags'}: lstm, 4 labels of tags, 3 labels of spans)"
    with raises(UsageError, "nothing", option="column"):
        tagger.tag(["a"], column="nothing")
    with pytest.raises(TypeError):
        tagger.tag("a")
    classifier = rnnkit.load(models / "long")
    assert isinstance(classifier, rnnkit.TextClassifier)
    assert set(classifier.classify(LINES)) <= {"short", "long text"}
    (p,) = classifier.probabilities(["the king"])
    assert list(p.values()) == sorted(p.values(), reverse=True)
    with raises(ArtefactError):
        rnnkit.Tagger.load(models / "long")
    with raises(DataError):
        load_labeller(
            Path(__file__).parents[1] / "compatibility" / "earlier" / "pair" / "model", "best", torch.device("cpu")
        )
