"""Taggers and classifiers that read the states of character language models: training, resuming, and decoding."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import tiny_models
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, decoded, make_labelled_workspace, make_workspace_of_labellers, write_lines

import rnnkit
from rnnkit.data.character_spelling import WordSpeller
from rnnkit.errors import ArtefactError, FormatError, UsageError
from rnnkit.events import Event, Listener, Note, Progress, null_listener
from rnnkit.io import artifact_output, manifest
from rnnkit.models import model_weights
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.stages.evaluation import evaluate_labels
from rnnkit.stages.files import verify
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.training import average, language_model_inputs, train_classifier, train_tagger
from rnnkit.stages.training.cross_validation import CrossValidationResult
from rnnkit.stages.training.label_search import SearchResult
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary
from rnnkit.training.dry_run import CostEstimate

CPU = torch.device("cpu")
LINES = ["the king sat .", "", "a", "the queen saw a dog and the birds .", "Zyx\u00a0w qq", "."]
TRAINED = ("best.safetensors", *(f"last/{part}.safetensors" for part in ("weights", "optimiser", "random")))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with tags, data with pieces (`pieces`), and with labels of lines (`long`); language models beside it."""
    work = make_workspace_of_labellers(tmp_path_factory.mktemp("labels"))
    tiny_models.character_models(work / "lm")
    return work


def language_models(work: Path) -> list[Path]:
    return [work / "lm" / "backward" / "model", work / "lm" / "forward" / "model"]


def tagged(work: Path, output: Path, listen: Listener = null_listener, **changes: Any) -> TrainingResult:
    small = {**SMALL_LABELS, "language_model": language_models(work), "language_model_projection": 5}
    result = train_tagger.run(TrainTaggerOptions(work=work, output=output, **{**small, **changes}), listen)
    assert isinstance(result, TrainingResult)
    return result


@pytest.fixture(scope="module")
def model(work: Path) -> Path:
    return tagged(work, work / "model", average=2).model


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "text", LINES)


def test_a_model_directory_has_its_language_models(work: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    model = tagged(work, tmp_path / "model", events.append).model
    network = json.loads((model / "config.json").read_text())["network"]
    assert (network["language_models"], network["language_model_states"]) == (["forward", "backward"], 13)
    assert network["language_model_projection"] == 5
    assert manifest.find_mismatches(model) == []
    # Model, vocabulary and tokenizer of the tagger and of each language model, and `last`.
    assert verify.run(verify.VerifyOptions(paths=[model])).artefacts == 10
    assert not (model / "states").exists()
    inputs = manifest.load(model / "meta.json").inputs
    for direction in ("forward", "backward"):
        inner = model / "language-models" / direction
        assert manifest.find_mismatches(inner) == []
        weights = work / "lm" / direction / "model" / "best.safetensors"
        assert (inner / "best.safetensors").read_bytes() == weights.read_bytes()
        assert inputs[f"language_model.{direction}"] == manifest.sha256(weights)
    tensors = model_weights.load(model / "best.safetensors")[0]
    assert tensors["encoder.state_projection.weight"].shape == (5, 13)
    assert "output_bias" not in tensors, "the language models are not trained with the tagger"
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(note.startswith("language models: forward ") and "13 states for each word" in note for note in notes)
    tasks = {event.task for event in events if isinstance(event, Progress)}
    assert {"language model states of train", "language model states of valid"} <= tasks


@pytest.mark.parametrize("has_cache", [True, False], ids=["states kept", "states lost"])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(
    work: Path, tmp_path: Path, has_cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 16:"):
            raise KeyboardInterrupt

    monkeypatch.setattr(language_model_inputs, "BLOCK_WORDS", 300)
    shutil.copytree(work / "lm", tmp_path / "lm")
    models = {"language_model": [tmp_path / "lm" / name / "model" for name in ("forward", "backward")]}
    tagged(work, tmp_path / "whole", dropout=0.2)
    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        tagged(work, folder, break_off, dropout=0.2, **models)
    states = folder / "states" / "train.npy"
    before = states.stat()
    shutil.rmtree(tmp_path / "lm")
    artifact_output.check_replaceable_directory(folder, ("model",))
    if not has_cache:
        shutil.rmtree(states.parent)
    computed: list[Event] = []
    train_tagger.run(TrainTaggerOptions(work=work, output=folder, resume=True, threads=1), computed.append)
    assert any(isinstance(event, Progress) and "states" in event.task for event in computed) != has_cache
    assert before.st_size > 1000
    for name in TRAINED:
        assert (tmp_path / "whole" / name).read_bytes() == (folder / name).read_bytes(), name
    assert not states.parent.exists()
    assert manifest.find_mismatches(folder) == []


def test_validation_has_the_scores_of_decode(work: Path, model: Path, tmp_path: Path) -> None:
    """The states that decode computes are those of training."""
    text = work.parent / "valid.form"
    hypotheses = tmp_path / "hyp"
    hypotheses.write_text("".join(f"{line}\n" for line in decoded(model, text)), encoding="utf-8")
    options = evaluate_labels.EvaluateLabelsOptions(
        reference=work.parent / "valid.tags", hypotheses=hypotheses, bootstrap_samples=2
    )
    (accuracy,) = (
        each["score"] for each in evaluate_labels.run(options).as_dict()["scores"] if each["name"] == "accuracy"
    )
    expected = model_weights.load(model / "best.safetensors")[1]["accuracy"]
    assert 100 * accuracy == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ("data", {"arch": "transformer", "heads": 2, "characters": "none", "hidden": 12}),
        ("data", {"arch": "gru", "characters": "ngrams", "precision": "bf16", "recompute": True}),
        ("pieces", {"arch": "lstm", "characters": "cnn", "crf": True}),
        ("pieces", {"arch": "mingru", "characters": "none"}),
    ],
    ids=str,
)
def test_every_encoder_reads_the_states(
    work: Path, text: Path, tmp_path: Path, data: str, changes: dict[str, Any]
) -> None:
    if data == "pieces":
        changes = {**changes, "language_model": language_models(work)[:1]}
    result = tagged(work if data == "data" else work / "pieces", tmp_path / "model", **changes)
    loaded = load_labeller(result.model, "best", CPU)
    assert loaded.language_models is not None
    assert loaded.language_models.size == (6 if data == "pieces" else 13)
    together = decoded(result.model, text)
    assert [len(line.split()) for line in together] == [4, 0, 1, 9, 2, 1]
    alone = []
    for line in LINES:
        text.write_text(f"{line}\n", encoding="utf-8")
        alone += decoded(result.model, text)
    assert together == alone


@pytest.mark.parametrize("pooling", ["all", "last"])
def test_a_classifier_reads_the_states(work: Path, text: Path, tmp_path: Path, pooling: str) -> None:
    options = TrainClassifierOptions(
        work=work, data=work / "long", output=tmp_path / "model", pooling=pooling,
        language_model=language_models(work)[1:], **SMALL_LABELS,
    )  # fmt: skip
    result = train_classifier.run(options)
    assert isinstance(result, TrainingResult)
    assert set(decoded(result.model, text)) <= {"long text", "short"}
    assert rnnkit.TextClassifier.load(result.model).classify(LINES) == decoded(result.model, text)


def test_a_copy_elsewhere_decodes_alone_and_with_others(work: Path, model: Path, text: Path, tmp_path: Path) -> None:
    expected = decoded(model, text)
    shutil.copytree(work / "lm", tmp_path / "lm")
    copies = [tmp_path / "lm" / name / "model" for name in ("forward", "backward")]
    made = tagged(work, tmp_path / "made", language_model=copies, average=2).model
    shutil.rmtree(tmp_path / "lm")
    made = made.rename(tmp_path / "elsewhere")
    assert decoded(made, text) == expected
    tagger = rnnkit.Tagger.load(made)
    assert [" ".join(tags) for tags in tagger.tag(LINES)] == expected
    assert [word for word, _, _ in tagger.tag_words("The king sat.")] == ["The", "king", "sat", "."]
    plain = tagged(work, tmp_path / "plain", language_model=[], seed=2).model
    together = list(decode.run(DecodeOptions(files=[text], model=[made, plain], threads=1)))
    assert [len(line.split()) for line in together] == [4, 0, 1, 9, 2, 1]


def test_models_with_the_same_language_models_can_be_averaged(
    work: Path, model: Path, text: Path, tmp_path: Path
) -> None:
    other = tagged(work, tmp_path / "other", seed=2).model
    result = average.run(average.AverageOptions(models=[model, other], output=tmp_path / "mean"))
    assert result.path.parent == tmp_path / "mean"
    assert [len(line.split()) for line in decoded(tmp_path / "mean", text)] == [4, 0, 1, 9, 2, 1]
    assert decoded(model, text, checkpoint="average") != []
    foreign = tiny_models.character_models(tmp_path / "lm", weight_drop=0.1)
    network = tiny_models.speaker("lstm", 9, len(tiny_models.ALPHABET) + 4, direction="forward", embedding=7)
    model_weights.save(foreign[0] / "best.safetensors", model_weights.unique_tensors(network), {})
    unlike = tagged(work, tmp_path / "unlike", language_model=foreign).model
    with raises(ArtefactError, "different language models", path=unlike):
        average.run(average.AverageOptions(models=[model, unlike], output=tmp_path / "mixed"))
    with raises(ArtefactError, "other language models", path=unlike, option="--init-from"):
        tagged(work, tmp_path / "tuned", init_from=unlike)


def test_a_resumed_output_depends_on_the_language_models(model: Path, text: Path, tmp_path: Path) -> None:
    copy, output = tmp_path / "model", tmp_path / "out"
    shutil.copytree(model, copy)
    options = DecodeOptions(files=[text], model=[copy], threads=1, output=output)
    assert decode.write(options)
    assert not decode.write(replace(options, resume=True))
    inner = copy / "language-models" / "forward"
    tensors, facts = model_weights.load(inner / "best.safetensors")
    model_weights.save(inner / "best.safetensors", {**tensors, "output_bias": tensors["output_bias"] + 1}, facts)
    with raises(ArtefactError, "by another model", path=output):
        decode.write(replace(options, resume=True))


def test_fine_tuning_keeps_the_language_models(work: Path, model: Path, tmp_path: Path) -> None:
    before = model_weights.load(model / "best.safetensors")[1]["loss"]
    tuned = tagged(work, tmp_path / "tuned", init_from=model, max_steps=8, learning_rate=1e-9, mean_decay=0.0)
    assert tuned.scores["loss"] == pytest.approx(before, rel=1e-3)


def test_models_of_older_versions_can_be_tuned(work: Path, tmp_path: Path) -> None:
    old = tagged(work, tmp_path / "old", language_model=[]).model
    document = json.loads((old / "config.json").read_text())
    document["network"] = {key: value for key, value in document["network"].items() if "language_model" not in key}
    (old / "config.json").write_text(json.dumps(document))
    tuned = tagged(work, tmp_path / "tuned", language_model=[], init_from=old, max_steps=8)
    assert tuned.steps == 8
    with raises(ArtefactError, "other language models", path=old, option="--init-from"):
        tagged(work, tmp_path / "states", init_from=old, max_steps=8)


@pytest.mark.parametrize("damage", ["removed", "one removed", "exchanged", "changed", "misnamed", "other size"])
def test_damaged_language_models_are_named(model: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    inner = copy / "language-models"
    if damage == "exchanged":
        (inner / "forward").rename(inner / "aside")
        (inner / "backward").rename(inner / "forward")
        (inner / "aside").rename(inner / "backward")
    elif damage in ("misnamed", "other size"):
        document = json.loads((copy / "config.json").read_text())
        document["network"] |= {"language_models": ["../.."]} if damage == "misnamed" else {"language_model_states": 14}
        (copy / "config.json").write_text(json.dumps(document))
    elif damage == "changed":
        content = bytearray((inner / "forward" / "best.safetensors").read_bytes())
        content[-5] ^= 1
        (inner / "forward" / "best.safetensors").write_bytes(bytes(content))
    else:
        shutil.rmtree(inner if damage == "removed" else inner / "backward")
    assert manifest.find_mismatches(copy) != []
    with pytest.raises(FormatError, match=str(copy)):
        load_labeller(copy, "best", CPU)


def test_a_dry_run_counts_the_states_and_writes_nothing(work: Path, tmp_path: Path) -> None:
    options = TrainTaggerOptions(
        work=work, output=tmp_path / "model", dry_run=True, language_model=language_models(work), **SMALL_LABELS
    )
    estimate = train_tagger.run(options)
    assert isinstance(estimate, CostEstimate)
    assert estimate.preparation_seconds > 0
    total = estimate.preparation_seconds + estimate.training_seconds + estimate.validation_seconds
    assert estimate.seconds == pytest.approx(total)
    assert not (tmp_path / "model").exists()


def test_wrong_models_are_refused_before_anything_is_written(work: Path, tmp_path: Path) -> None:
    words = tiny_models.speaker_folder(tmp_path / "words", tiny_models.speaker())
    with raises(ArtefactError, "not a language model over characters", path=words, option="--language-model"):
        tagged(work, tmp_path / "model", language_model=[words])
    assert not (tmp_path / "model").exists()
    with raises(UsageError, "--arch linear", option="--language-model"):
        train_classifier.run(
            TrainClassifierOptions(
                work=work, data=work / "long", output=tmp_path / "linear", arch="linear",
                language_model=language_models(work),
            )
        )  # fmt: skip


def test_folds_read_the_text_of_marked_tokens(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of folds read tokens instead of text, whose marks still say where words are joined."""
    words = make_labelled_workspace(tmp_path, "long", kind="words")
    marks: list[str | None] = []
    init = WordSpeller.__init__

    def recorded(self: WordSpeller, tokenizer: Tokenizer, vocabulary: Vocabulary, given: Tokenizer | None) -> None:
        marks.append(None if given is None else given.kind)
        init(self, tokenizer, vocabulary, given)

    monkeypatch.setattr(WordSpeller, "__init__", recorded)
    options = TrainClassifierOptions(
        work=words, output=tmp_path / "folds", folds=2, language_model=language_models(work), **SMALL_LABELS
    )
    result = train_classifier.run(options)
    assert isinstance(result, CrossValidationResult)
    assert [fold.fold for fold in result.folds] == [1, 2]
    assert manifest.find_mismatches(tmp_path / "folds") == []
    assert marks == ["words"] * 4, "each fold is trained, and predicts"


def test_a_search_trains_with_language_models(work: Path, tmp_path: Path) -> None:
    small = {**SMALL_LABELS, "max_steps": 2, "validate_every": 2}
    options = TrainTaggerOptions(
        work=work, output=tmp_path / "model", tune_seconds=1, language_model=language_models(work), **small
    )
    result = train_tagger.run(options)
    assert isinstance(result, SearchResult)
    assert load_labeller(result.model, "best", CPU).language_models is not None
    assert not (result.model / "states").exists()
    assert manifest.find_mismatches(result.model) == []


def test_blocks_of_lines_cover_all() -> None:
    offsets = np.array([0, 9000, 18000, 18001, 60000, 60000])
    assert list(language_model_inputs.line_blocks(offsets)) == [(0, 1), (1, 3), (3, 4), (4, 5)]
