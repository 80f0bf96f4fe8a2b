"""Taggers and classifiers with static word vectors: training, resuming, and decoding."""

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
from tests.word_vectors import write_vectors
from tests.workspaces import SMALL_LABELS, decoded, make_workspace_of_labellers, tag_of, write_lines

import rnnkit
from rnnkit.cli import app
from rnnkit.decoding import word_cache
from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.errors import ArtefactError, DataError, FormatError, RnnkitError, UsageError
from rnnkit.events import Event, Listener, Note, WarningEvent, null_listener
from rnnkit.io import artifact_output, manifest
from rnnkit.models import model_weights
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.stages.files import verify
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import average, train_classifier, train_lm, train_tagger
from rnnkit.stages.training.cross_validation import CrossValidationResult
from rnnkit.stages.training.label_search import SearchResult
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.text.lines import read_lines
from rnnkit.training.dry_run import CostEstimate

CPU = torch.device("cpu")
LINES = ["the king sat .", "", "a", "the queen saw a dog and the zqxa .", "Zyx\u00a0w zqxb", "."]
COUNTS = [4, 0, 1, 9, 2, 1]
DIMENSION = 5
TAGS = ["DET", "PUNCT", "PLURAL", "WORD"]
NEW = {"zqxa": "DET", "zqxb": "PLURAL"}
"""Words that train lacks, and the tag by which their vectors are made."""
TRAINED = ("best.safetensors", *(f"last/{part}.safetensors" for part in ("weights", "optimiser", "random")))


def vector_rows(form: Path) -> dict[str, list[float]]:
    """A vector for each word of a text and each new one: one-hot of its tag, with noise."""
    random = np.random.default_rng(7)
    words = {word: tag_of(word) for line in read_lines(form) for word in line.split()}
    rows = {}
    for word, tag in {**words, **NEW}.items():
        one_hot = [3.0 * (tag == name) for name in TAGS]
        rows[word] = (np.array([*one_hot, 0.0]) + random.normal(0, 0.1, DIMENSION)).round(4).tolist()
    return rows


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with tags, data with pieces (`pieces`), and with labels of lines (`long`); vectors beside it."""
    folder = tmp_path_factory.mktemp("labels")
    work = make_workspace_of_labellers(folder)
    write_vectors(work / "vectors.txt", vector_rows(folder / "train.form"))
    vectors_directory.write(work / "vectors", formats.load(work / "vectors.txt"))
    return work


def tagged(work: Path, output: Path, listen: Listener = null_listener, **changes: Any) -> TrainingResult:
    small = {**SMALL_LABELS, "word_vectors": work / "vectors.txt"}
    result = train_tagger.run(TrainTaggerOptions(work=work, output=output, **{**small, **changes}), listen)
    assert isinstance(result, TrainingResult)
    return result


@pytest.fixture(scope="module")
def model(work: Path) -> Path:
    return tagged(work, work / "model", average=2).model


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "text", LINES)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command line in this process."""
    code = app.run(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("source", ["vectors.txt", "vectors"])
@pytest.mark.parametrize(("command", "data"), [("train-tagger", "data"), ("train-classifier", "long")])
def test_as_it_is_typed(
    work: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, data: str, source: str
) -> None:
    path = tmp_path / source
    (shutil.copytree if (work / source).is_dir() else shutil.copyfile)(work / source, path)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL_LABELS.items()]
    words = [command, "--work", str(work), "--data", str(work / data), *options, "--word-vectors", str(path)]
    code, out, err = call(capsys, *words, "--output", str(tmp_path / "dry"), "--dry-run")
    assert (code, (tmp_path / "dry").exists()) == (0, False), err
    assert "parameters" in out
    code, _, err = call(capsys, *words, "--output", str(tmp_path / "model"))
    assert code == 0, err
    assert f"word vectors {path}: dimension 5, " in err
    path.rename(tmp_path / "aside")
    made = (tmp_path / "model").rename(tmp_path / "elsewhere")
    code, out, err = call(capsys, "decode", "--model", str(made), str(text))
    assert code == 0, err
    assert out.splitlines() == decoded(made, text)
    code, out, err = call(capsys, "verify", str(made))
    assert code == 0, err


def test_a_model_directory_has_its_vectors(work: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    model = tagged(work, tmp_path / "model", events.append).model
    assert json.loads((model / "config.json").read_text())["network"]["word_vectors"] == DIMENSION
    assert manifest.find_mismatches(model) == []
    assert manifest.find_mismatches(model / "word-vectors") == []
    # Model, vocabulary, tokenizer, vectors and `last`.
    assert verify.run(verify.VerifyOptions(paths=[model])).artefacts == 5
    meta = manifest.load(model / "meta.json")
    assert meta.inputs["word_vectors"] == manifest.sha256(work / "vectors.txt")
    copied = {"word-vectors/meta.json", "word-vectors/vectors.npy", "word-vectors/vocab.tsv"}
    assert {name for name in meta.files if "vectors" in name} == copied
    np.testing.assert_array_equal(
        vectors_directory.read(model / "word-vectors").matrix_VD, formats.load(work / "vectors.txt").matrix_VD
    )
    tensors = model_weights.load(model / "best.safetensors")[0]
    width = SMALL_LABELS["embedding"] + SMALL_LABELS["character_hidden"] + DIMENSION
    assert width in {tensor.shape[-1] for tensor in tensors.values() if tensor.dim() == 2}
    assert not any("vector" in name for name in tensors), "the vectors are not trained"
    splits = (work.parent / f"{split}.form" for split in ("train", "valid"))
    words = {word for split in splits for line in read_lines(split) for word in line.split()}
    known = vector_rows(work.parent / "train.form")
    found = sum(word in known or word.lower() in known for word in words)
    (note,) = (e.text for e in events if isinstance(e, Note) and e.text.startswith("word vectors"))
    assert found < len(words)
    assert note.endswith(f": dimension 5, {found} of {len(words)} words, 100.0% of running words of train")


def test_words_that_train_lacks_are_told_apart(work: Path, tmp_path: Path) -> None:
    text = write_lines(tmp_path / "text", ["the zqxa sat .", "the zqxb sat .", "the zqxc sat .", "the Zqxa sat ."])
    changes: dict[str, Any] = {
        "characters": "none", "max_steps": 160, "validate_every": 80, "learning_rate": 0.02, "mean_decay": 0.0,
        "dropout": 0.0, "word_dropout": 100.0,
    }  # fmt: skip
    trained = tagged(work, tmp_path / "vectors", **changes).model
    lines = [line.split() for line in decoded(trained, text)]
    assert [lines[0][1], lines[1][1], lines[3][1]] == ["DET", "PLURAL", "DET"]
    probabilities = [json.loads(line)["probabilities"] for line in decoded(trained, text, json=True)]
    assert probabilities[0] == probabilities[3] != probabilities[2]
    plain = tagged(work, tmp_path / "plain", **{**changes, "word_vectors": None, "max_steps": 8}).model
    assert len(set(decoded(plain, text))) == 1, "all of them are <unk>"


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(
    work: Path, tmp_path: Path, with_checkpoint: bool
) -> None:
    def break_off(event: Event) -> None:
        # The note of a validation comes before its checkpoint is written.
        if isinstance(event, Note) and event.text.startswith(f"step {16 if with_checkpoint else 8}:"):
            raise KeyboardInterrupt

    vectors, folder = tmp_path / "vectors", tmp_path / "model"
    shutil.copytree(work / "vectors", vectors)
    tagged(work, tmp_path / "whole", dropout=0.2)
    with pytest.raises(KeyboardInterrupt):
        tagged(work, folder, break_off, dropout=0.2, word_vectors=vectors)
    assert (folder / "last").exists() == with_checkpoint
    shutil.rmtree(vectors)
    artifact_output.check_replaceable_directory(folder, ("model",))
    train_tagger.run(TrainTaggerOptions(work=work, output=folder, resume=True, threads=1))
    for name in TRAINED:
        assert (tmp_path / "whole" / name).read_bytes() == (folder / name).read_bytes(), name
    assert manifest.find_mismatches(folder) == []
    assert "word_vectors" in manifest.load(folder / "meta.json").inputs


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ("data", {"arch": "transformer", "heads": 2, "characters": "none", "hidden": 12}),
        ("data", {"arch": "gru", "characters": "ngrams", "precision": "bf16", "recompute": True}),
        ("pieces", {"arch": "lstm", "characters": "cnn", "crf": True}),
        ("pieces", {"arch": "mingru", "language_model": True}),
    ],
    ids=str,
)
def test_every_encoder_has_the_vectors(
    work: Path, text: Path, tmp_path: Path, data: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "language_model" in changes:
        changes = {**changes, "language_model": tiny_models.character_models(tmp_path / "lm")}
    folder = work if data == "data" else work / "pieces"
    made = tagged(folder, tmp_path / "model", word_vectors=work / "vectors.txt", **changes).model
    loaded = load_labeller(made, "best", CPU)
    assert loaded.static_vectors is not None
    together = decoded(made, text, json=True)
    assert [len(json.loads(line)["tags"]) for line in together] == COUNTS
    assert together == decoded(made, text, json=True, threads=2)
    alone = [decoded(made, write_lines(text, [line]))[0] for line in LINES]
    assert [" ".join(json.loads(line)["tags"]) for line in together] == alone
    monkeypatch.setattr(word_cache, "MAX_CACHED_NUMBERS", 2 * DIMENSION)
    assert decoded(made, write_lines(text, LINES), batch_tokens=4) == alone


def test_a_classifier_has_the_vectors(work: Path, text: Path, tmp_path: Path) -> None:
    options = TrainClassifierOptions(
        work=work, data=work / "long", output=tmp_path / "model", word_vectors=work / "vectors", **SMALL_LABELS
    )
    result = train_classifier.run(options)
    assert isinstance(result, TrainingResult)
    assert set(decoded(result.model, text)) <= {"long text", "short"}
    assert rnnkit.TextClassifier.load(result.model).classify(LINES) == decoded(result.model, text)


def test_an_ensemble_with_other_words(work: Path, model: Path, text: Path, tmp_path: Path) -> None:
    plain = tagged(work, tmp_path / "plain", word_vectors=None, seed=2).model
    assert [len(line.split()) for line in decoded(model, text, plain)] == COUNTS
    assert [" ".join(tags) for tags in rnnkit.Tagger.load(model).tag(LINES)] == decoded(model, text)


def other_vectors(work: Path, path: Path) -> Path:
    rows = {word: row[::-1] for word, row in vector_rows(work.parent / "train.form").items()}
    return write_vectors(path, rows)


def test_models_with_the_same_vectors_can_be_averaged(work: Path, model: Path, text: Path, tmp_path: Path) -> None:
    same = tagged(work, tmp_path / "same", word_vectors=work / "vectors", seed=2).model
    average.run(average.AverageOptions(models=[model, same], output=tmp_path / "mean"))
    assert [len(line.split()) for line in decoded(tmp_path / "mean", text)] == COUNTS
    assert manifest.find_mismatches(tmp_path / "mean") == []
    assert decoded(model, text, checkpoint="average") != []
    unlike = tagged(work, tmp_path / "unlike", word_vectors=other_vectors(work, tmp_path / "other.txt")).model
    with raises(ArtefactError, "different word vectors", path=unlike):
        average.run(average.AverageOptions(models=[model, unlike], output=tmp_path / "mixed"))


def test_fine_tuning_needs_the_same_vectors(work: Path, model: Path, tmp_path: Path) -> None:
    before = model_weights.load(model / "best.safetensors")[1]["loss"]
    small: dict[str, Any] = {"init_from": model, "max_steps": 8, "learning_rate": 1e-9, "mean_decay": 0.0}
    for name, source in (("text", work / "vectors.txt"), ("copy", model / "word-vectors")):
        tuned = tagged(work, tmp_path / name, word_vectors=source, **small)
        assert tuned.scores["loss"] == pytest.approx(before, rel=1e-3)
    with raises(ArtefactError, "other word vectors", path=model, option="--init-from"):
        tagged(work, tmp_path / "other", word_vectors=other_vectors(work, tmp_path / "other.txt"), **small)
    with raises(ArtefactError, "has static word vectors", path=model, option="--init-from"):
        tagged(work, tmp_path / "none", word_vectors=None, **small)
    plain = tagged(work, tmp_path / "plain", word_vectors=None).model
    document = json.loads((plain / "config.json").read_text())
    del document["network"]["word_vectors"]  # as older versions wrote it
    (plain / "config.json").write_text(json.dumps(document))
    assert tagged(work, tmp_path / "more", word_vectors=None, **{**small, "init_from": plain}).steps == 8
    with raises(ArtefactError, "no word vectors", path=plain, option="--init-from"):
        tagged(work, tmp_path / "added", **{**small, "init_from": plain})


def test_vectors_join_the_states_of_a_language_model(work: Path, text: Path, tmp_path: Path) -> None:
    align.run(align_options.AlignOptions(text="form", work=work, output=tmp_path / "raw"))
    lm = train_lm.run(
        TrainLMOptions(
            work=work, data=tmp_path / "raw", output=tmp_path / "lm", hidden=7, embedding=6, layers=1, max_steps=4,
            validate_every=4, threads=1, batch_size=5,
        )
    )  # fmt: skip
    assert isinstance(lm, TrainingResult)
    small: dict[str, Any] = {"max_steps": 8, "validate_every": 8, "batch_tokens": 120, "threads": 1}
    options = TrainTaggerOptions(
        work=work, output=tmp_path / "model", init_from=lm.model, word_vectors=work / "vectors.txt", **small
    )
    result = train_tagger.run(options)
    assert isinstance(result, TrainingResult)
    assert [len(line.split()) for line in decoded(result.model, text)] == COUNTS


def test_a_resumed_output_depends_on_the_vectors(work: Path, model: Path, text: Path, tmp_path: Path) -> None:
    copy, output = tmp_path / "model", tmp_path / "out"
    shutil.copytree(model, copy)
    options = DecodeOptions(files=[text], model=[copy], threads=1, output=output)
    assert decode.write(options)
    assert not decode.write(replace(options, resume=True))
    shutil.rmtree(copy / "word-vectors")
    other = tagged(work, tmp_path / "other", word_vectors=other_vectors(work, tmp_path / "other.txt")).model
    shutil.copytree(other / "word-vectors", copy / "word-vectors")
    with raises(ArtefactError, "by another model", path=output):
        decode.write(replace(options, resume=True))


@pytest.mark.parametrize("value", [7, -1, 10**9, "x", None, 2.5])
def test_a_damaged_configuration_is_named(model: Path, tmp_path: Path, value: object) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    document = json.loads((copy / "config.json").read_text())
    document["network"]["word_vectors"] = value
    (copy / "config.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match=str(copy)):
        load_labeller(copy, "best", CPU)


@pytest.mark.parametrize("damage", ["removed", "other size"])
def test_damaged_vectors_are_named(model: Path, text: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    if damage == "removed":
        shutil.rmtree(copy / "word-vectors")
    else:
        (copy / "word-vectors" / "vectors.npy").write_bytes(b"")
    assert manifest.find_mismatches(copy) != []
    with raises(FormatError, "word-vectors"):
        decoded(copy, text)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("missing", DataError, "there are no word vectors at"),
        ("foreign", DataError, "has no vector for any word of"),
        ("empty", DataError, "is empty"),
        ("cut", FormatError, "is damaged"),
        ("model", ArtefactError, "is model, not vectors"),
        ("nan", DataError, "nan among the numbers"),
    ],
)
def test_vectors_that_cannot_be_used(
    work: Path, model: Path, tmp_path: Path, source: str, error: type[RnnkitError], message: str
) -> None:
    path = tmp_path / source
    if source == "foreign":
        write_vectors(path, {"Häuser": (1.0, 2.0, 3.0), "日本": (1.0, 0.0, 2.0)})
    elif source == "nan":
        write_vectors(path, {"the": (1.0, 2.0, float("nan")), "a": (1.0, 0.0, 2.0)})
    elif source == "empty":
        path.touch()
    elif source == "cut":
        shutil.copytree(work / "vectors", path)
        (path / "vectors.npy").write_bytes((path / "vectors.npy").read_bytes()[:-4])
    elif source == "model":
        path = model
    option = "--word-vectors" if source in ("missing", "foreign") else None
    with pytest.raises(error, match=message) as caught:
        tagged(work, tmp_path / "model", word_vectors=path)
    assert str(path) in str(caught.value)
    assert option is None or caught.value.option == option
    assert not (tmp_path / "model").exists()


def test_imperfect_files_are_repaired(work: Path, text: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes((work / "vectors.txt").read_bytes() + b"\xe6\x97 1 2 3 4 5\n")
    with pytest.raises(DataError, match="--repair"):
        tagged(work, tmp_path / "model", word_vectors=path)
    events: list[Event] = []
    made = tagged(work, tmp_path / "model", events.append, word_vectors=path, repair=True).model
    assert any(isinstance(event, WarningEvent) for event in events)
    assert [len(line.split()) for line in decoded(made, text)] == COUNTS


def test_spaces_in_repaired_words_become_underscores(work: Path, tmp_path: Path) -> None:
    path = write_vectors(tmp_path / "vectors.txt", {"the": (1.0, 2.0, 3.0), "New York": (0.5, 0.25, 1.0)})
    made = tagged(work, tmp_path / "model", word_vectors=path, repair=True).model
    assert list(vectors_directory.read(made / "word-vectors").words) == ["the", "New_York"]


def test_subwords_give_every_word_a_vector(work: Path, text: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    numbers = random.normal(0, 1, (11, 3)).astype(np.float32)
    table = VectorTable.of(["the", "king"], numbers[:2], None, Subwords(3, 5, 9), numbers[2:])
    vectors_directory.write(tmp_path / "vectors", table)
    events: list[Event] = []
    made = tagged(work, tmp_path / "model", events.append, word_vectors=tmp_path / "vectors").model
    assert any(isinstance(e, Note) and e.text.endswith("100.0% of running words of train") for e in events)
    shutil.rmtree(tmp_path / "vectors")
    loaded = load_labeller(made, "best", CPU).static_vectors
    assert loaded is not None
    unseen = loaded.look_up("kings")
    assert unseen is not None
    np.testing.assert_allclose(unseen, numbers[2:][Subwords(3, 5, 9).rows("kings")].mean(0) * loaded.scale, rtol=1e-5)
    assert [len(line.split()) for line in decoded(made, text)] == COUNTS


def test_a_dry_run_writes_nothing(work: Path, tmp_path: Path) -> None:
    small = {**SMALL_LABELS, "word_vectors": work / "vectors", "dry_run": True}
    estimates = [
        train_tagger.run(TrainTaggerOptions(work=work, output=tmp_path / "model", **{**small, **changes}))
        for changes in ({}, {"word_vectors": None})
    ]
    first, second = estimates
    assert isinstance(first, CostEstimate)
    assert isinstance(second, CostEstimate)
    # Two directions of an LSTM, half the hidden size each, read the vectors.
    assert first.parameters - second.parameters == 2 * 4 * (SMALL_LABELS["hidden"] // 2) * DIMENSION
    assert not (tmp_path / "model").exists()


def test_a_linear_classifier_has_none(work: Path, tmp_path: Path) -> None:
    options = TrainClassifierOptions(
        work=work, data=work / "long", output=tmp_path / "linear", arch="linear", word_vectors=work / "vectors"
    )
    with raises(UsageError, "--arch linear", option="--word-vectors"):
        train_classifier.run(options)


def test_folds_have_the_vectors(work: Path, tmp_path: Path) -> None:
    options = TrainTaggerOptions(
        work=work, output=tmp_path / "folds", folds=2, word_vectors=work / "vectors", **SMALL_LABELS
    )
    result = train_tagger.run(options)
    assert isinstance(result, CrossValidationResult)
    assert [fold.fold for fold in result.folds] == [1, 2]
    meta = manifest.load(tmp_path / "folds" / "meta.json")
    assert meta.inputs["word_vectors"] == manifest.sha256(work / "vectors" / "meta.json")
    assert manifest.find_mismatches(tmp_path / "folds") == []


def test_a_search_trains_with_vectors(work: Path, tmp_path: Path) -> None:
    small = {**SMALL_LABELS, "max_steps": 2, "validate_every": 2}
    options = TrainTaggerOptions(
        work=work, output=tmp_path / "model", tune_seconds=1, word_vectors=work / "vectors.txt", **small
    )
    result = train_tagger.run(options)
    assert isinstance(result, SearchResult)
    assert load_labeller(result.model, "best", CPU).static_vectors is not None
    assert manifest.find_mismatches(result.model) == []
