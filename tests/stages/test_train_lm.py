"""Language models through the stage: what it writes, what it refuses, and that runs can be resumed and tuned on."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.workspaces import make_text_workspace, make_workspace

from rnnkit.errors import ArtefactError, ConfigError, DataError, FormatError, TrainingError, UsageError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.io import manifest
from rnnkit.models import lm_store, model_weights
from rnnkit.stages.text import align, align_options, vocab
from rnnkit.stages.training import train, train_embeddings, train_lm
from rnnkit.stages.training.run_folder import NgramTrainingCost, NgramTrainingResult, TrainingResult
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
from rnnkit.stages.training.train_lm_options import PRESETS, TrainLMOptions, apply_preset

SAME = ("best.safetensors", "last/weights.safetensors", "last/optimiser.safetensors", "last/carried.safetensors",
        "last/loss-scale.safetensors")  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_workspace(tmp_path_factory.mktemp("language"))


def options(work: Path, output: Path, **changes: Any) -> TrainLMOptions:
    small = {
        "hidden": 12, "embedding": 10, "batch_size": 5, "steps": 7, "max_steps": 24, "validate_every": 8,
        "report_every": 4, "threads": 1, "precision": "fp32",
    }  # fmt: skip
    return TrainLMOptions(work=work, output=output, **{**small, **changes})


def trained(work: Path, output: Path, **changes: Any) -> TrainingResult:
    result = train_lm.run(options(work, output, **changes))
    assert isinstance(result, TrainingResult)
    return result


@pytest.fixture(scope="module")
def model(work: Path) -> Path:
    return trained(work, work / "model", average=2).model


def test_a_model_directory_has_all_it_promises_and_is_whole(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == {
        "config.json", "tokenizer", "vocab.tsv", "vocab.tsv.meta.json", "best.safetensors", "average.safetensors",
        "last", "snapshots", "metrics.jsonl", "curve.png", "README.md", "meta.json",
    }  # fmt: skip
    assert manifest.find_mismatches(model) == []
    document = json.loads((model / "config.json").read_text())
    assert (document["task"], document["languages"]) == ("language-model", ["en"])
    card = (model / "README.md").read_text()
    assert 'language: ["en"]' in card
    assert "rnnkit score --model DIR < text.en" in card


def test_training_reduces_the_loss(work: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    result = train_lm.run(options(work, tmp_path / "model", max_steps=60, learning_rate=2e-2), heard.append)
    assert isinstance(result, TrainingResult)
    vocabulary = len((work / "vocab.tsv").read_text().splitlines())
    assert result.scores["perplexity"] < vocabulary / 2
    assert result.scores["perplexity"] == pytest.approx(math.exp(result.scores["loss"]))
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert notes[0].startswith("lstm en: ")
    assert any("perplexity" in note for note in notes)


def encoded_elsewhere(work: Path, folder: Path, mirrored: bool) -> Path:
    """Data without a tokenizer, of the tokens of a workspace, optionally with each line right to left."""
    files = {}
    for split in ("train", "valid"):
        lines = [line.split() for line in (work / "tokens" / f"{split}.en.tok").read_text().splitlines()]
        files[split] = folder / f"{split}.txt"
        files[split].write_text("".join(f"{' '.join(line[::-1] if mirrored else line)}\n" for line in lines))
    vocab.run(vocab.VocabOptions(files=[files["train"]], output=folder / "vocab.tsv"))
    align.run(
        align_options.AlignOptions(
            train=[files["train"]], valid=[files["valid"]], vocab=[folder / "vocab.tsv"], output=folder / "data"
        )
    )
    return folder


@pytest.mark.parametrize("context", ["stream", "line"])
def test_backward_model_is_a_forward_model_of_reversed_lines(work: Path, tmp_path: Path, context: str) -> None:
    models = []
    for direction in ("backward", "forward"):
        (tmp_path / direction).mkdir()
        here = encoded_elsewhere(work, tmp_path / direction, mirrored=direction == "forward")
        inputs: dict[str, Any] = {"data": here / "data", "vocab": [here / "vocab.tsv"]}
        models.append(trained(here, here / "model", direction=direction, context=context, **inputs))
        config = json.loads((here / "model" / "config.json").read_text())
        assert config["network"]["direction"] == direction
    assert models[0].scores == models[1].scores
    tensors = [model_weights.load(result.model / "best.safetensors")[0] for result in models]
    for name, tensor in tensors[0].items():
        assert torch.equal(tensor, tensors[1][name]), name


def test_older_models_are_forward(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    document = json.loads((copy / "config.json").read_text())
    del document["network"]["direction"]
    (copy / "config.json").write_text(json.dumps(document))
    network = lm_store.load_language_model(copy, "best", torch.device("cpu")).network
    assert network.config.direction == "forward"


@pytest.mark.parametrize("arch", ["rnn", "gru", "mingru", "transformer"])
@pytest.mark.parametrize("context", ["stream", "line"])
def test_every_arch_trains_in_both_contexts(work: Path, tmp_path: Path, arch: str, context: str) -> None:
    changes = {"embedding": 12, "heads": 2} if arch == "transformer" else {}
    result = trained(work, tmp_path / "model", arch=arch, context=context, layers=2, max_steps=8, **changes)
    assert math.isfinite(result.scores["perplexity"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"vary_steps": True, "weight_drop": 0.3, "mean_decay": 0.9, "activation_penalty": 1.0, "temporal_penalty": 1.0},
        {"arch": "gru", "sampled_softmax": 20},
        {"arch": "transformer", "embedding": 12, "memory": 9},
        {"arch": "transformer", "embedding": 12, "memory": 9, "precision": "bf16"},
        {"arch": "transformer", "embedding": 12, "memory": 9, "precision": "fp16"},
        {"arch": "lstm", "precision": "fp16", "accumulate": 2, "mean_decay": 0.9},
        {"context": "line", "optimizer": "sgd", "learning_rate": 1.0, "clip_value": 0.1},
    ],
    ids=["plain", "regularised", "sampled", "transformer", "bf16", "fp16", "accumulated", "line"],
)
def test_run_resumed_within_an_epoch_is_bit_identical(
    work: Path, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnkit.errors import Interrupted
    from rnnkit.training.lm_tasks import LanguageModelTask

    monkeypatch.setattr("rnnkit.training.optimizer.INITIAL_LOSS_SCALE", 2.0**129)
    monkeypatch.setattr("rnnkit.training.optimizer.GROWTH_INTERVAL", 3)
    trained(work, tmp_path / "whole", **changes)
    step, taken = LanguageModelTask.step, []

    def interrupted(self: LanguageModelTask, *given: Any) -> Any:
        import os
        import signal

        taken.append(1)
        if len(taken) == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelTask, "step", interrupted)
        with pytest.raises(Interrupted):
            trained(work, tmp_path / "parts", **changes)
    train_lm.run(TrainLMOptions(work=work, output=tmp_path / "parts", resume=True, threads=1))
    for name in SAME:
        if (tmp_path / "whole" / name).exists() or name not in SAME[3:]:
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name


def test_presets_fill_what_was_not_given() -> None:
    filled = apply_preset(TrainLMOptions(preset="awd", hidden=7))
    assert filled.hidden == 7
    assert {name: getattr(filled, name) for name in PRESETS["awd"] if name != "hidden"} == {
        name: value for name, value in PRESETS["awd"].items() if name != "hidden"
    }
    assert apply_preset(TrainLMOptions()).layers == PRESETS["small"]["layers"]
    assert apply_preset(TrainLMOptions(arch="transformer", hidden=64)).embedding == 64


@pytest.mark.slow
def test_the_awd_preset_takes_its_first_steps_here(work: Path, tmp_path: Path) -> None:
    chosen = TrainLMOptions(
        work=work, output=tmp_path / "model", preset="awd", max_steps=10, batch_size=4, threads=1, report_every=2
    )
    result = train_lm.run(chosen)
    assert isinstance(result, TrainingResult)
    records = [json.loads(line) for line in (result.model / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "validation" not in record]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("changes", "option", "values"),
    [
        ({"bidirectional": True}, "--bidirectional", ["--cloze"]),
        ({"direction": "backward", "cloze": True}, "--direction", ["--cloze"]),
        ({"direction": "backward", "arch": "ngram"}, "--direction", ["--arch ngram"]),
        ({"cloze": True, "arch": "transformer"}, "--cloze", ["--arch transformer"]),
        ({"arch": "transformer", "embedding": 8, "hidden": 12}, "--embedding", ["(8)", "--hidden (12)"]),
        (
            {"arch": "transformer", "embedding": 10, "hidden": 10, "heads": 4},
            "--hidden",
            ["(10)", "--heads (4)"],
        ),
        ({"freeze_embeddings": True}, "--freeze-embeddings", ["--embeddings"]),
        ({"arch": "ngram", "resume": True}, "--resume", ["--arch ngram"]),
        ({"arch": "ngram", "recompute": True}, "--recompute", ["--arch ngram"]),
    ],
)
def test_incompatible_options_are_refused(
    work: Path, tmp_path: Path, changes: dict[str, Any], option: str, values: list[str]
) -> None:
    with raises(UsageError, *values, option=option):
        train_lm.run(options(work, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_diverging_learning_rate_names_step_and_advice(work: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        trained(work, tmp_path / "model", optimizer="sgd", learning_rate=1e30, clip=0.0, schedule="constant")
    assert "the loss " in str(caught.value)
    assert " at step " in str(caught.value)
    assert "--learning-rate" in str(caught.value.hint)


def test_data_of_two_sides_is_refused(tmp_path: Path) -> None:
    pairs = make_workspace(tmp_path)
    with raises(DataError, "two sides", "de and en", path=pairs / "data"):
        train_lm.run(options(pairs, tmp_path / "model"))


def test_a_missing_validation_part_is_refused(work: Path, tmp_path: Path) -> None:
    align.run(align_options.AlignOptions(work=work, train=[work / "tokens" / "train.en.tok"], output=tmp_path / "data"))
    with raises(DataError, "valid"):
        train_lm.run(options(work, tmp_path / "model", data=tmp_path / "data"))


def test_padded_data_is_read_without_its_padding(work: Path, tmp_path: Path) -> None:
    align.run(align_options.AlignOptions(work=work, output=tmp_path / "data", length=30))
    padded = trained(work, tmp_path / "padded", data=tmp_path / "data")
    plain = trained(work, tmp_path / "plain")
    assert padded.scores == plain.scores


def test_text_tokenized_elsewhere_trains_without_a_tokenizer(work: Path, tmp_path: Path) -> None:
    encoded_elsewhere(work, tmp_path, mirrored=False)
    result = trained(tmp_path, tmp_path / "model", data=tmp_path / "data", vocab=[tmp_path / "vocab.tsv"], max_steps=8)
    assert not (result.model / "tokenizer").exists()


def test_the_last_weights_can_be_used_and_damage_is_seen(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    assert lm_store.load_language_model(copy, "last", torch.device("cpu")).network.config.hidden == 12
    path = copy / "last" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FormatError, match="is damaged"):
        lm_store.load_language_model(copy, "last", torch.device("cpu"))


def test_fine_tuning_starts_where_the_other_model_ended(work: Path, model: Path, tmp_path: Path) -> None:
    tuned = trained(work, tmp_path / "tuned", init_from=model, learning_rate=0.0, max_steps=1)
    before = json.loads((model / "meta.json").read_text())["facts"]["best"]["loss"]
    assert tuned.scores["loss"] == pytest.approx(before)
    with raises(ConfigError, "hidden", path=model, option="--init-from"):
        trained(work, tmp_path / "other", init_from=model, hidden=14, layers=2)


def test_embeddings_start_from_word_vectors(work: Path, tmp_path: Path) -> None:
    train_embeddings.run(
        TrainEmbeddingsOptions(
            text=[work / "tokens" / "train.en.tok"], dimension=10, min_count=1, epochs=1, threads=1, work=tmp_path,
        )
    )  # fmt: skip
    heard: list[Event] = []
    changes = {"embeddings": [tmp_path / "embeddings"], "max_steps": 4}
    train_lm.run(options(work, tmp_path / "model", **changes), heard.append)
    assert any("en embeddings from" in event.text for event in heard if isinstance(event, Note))
    with raises(UsageError, "--tied", option="--freeze-embeddings"):
        train_lm.run(options(work, tmp_path / "frozen", **changes, freeze_embeddings=True))


def test_dry_run_estimates_cost_and_writes_nothing(work: Path, tmp_path: Path) -> None:
    estimate = train_lm.run(options(work, tmp_path / "model", dry_run=True))
    assert estimate.as_dict()["steps"] == 24
    assert not (tmp_path / "model").exists()
    cost = train_lm.run(options(work, tmp_path / "model", dry_run=True, arch="ngram"))
    assert isinstance(cost, NgramTrainingCost)
    assert cost.memory_bytes > 0


@pytest.mark.parametrize("changes", [{"arch": "transformer", "embedding": 12}, {"layers": 2}, {"cloze": True}], ids=str)
def test_activation_checkpointing_gives_the_same_model(
    work: Path, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = trained(work, tmp_path / "kept", max_steps=4, **changes).model
    again = trained(work, tmp_path / "again", max_steps=4, recompute=True, **changes).model
    assert (again / "best.safetensors").read_bytes() == (kept / "best.safetensors").read_bytes()
    assert manifest.read(again, "model", 1).options["recompute"] is True
    turned_on: list[Any] = []
    monkeypatch.setattr("rnnkit.nn.device.enable_checkpointing", turned_on.append)
    for wanted in (False, True):
        train_lm.run(options(work, tmp_path / "dry", max_steps=4, dry_run=True, recompute=wanted, **changes))
    assert len(turned_on) == 1


def test_counting_makes_a_model_directory_that_is_whole(work: Path, tmp_path: Path) -> None:
    counted = train_lm.run(options(work, tmp_path / "counts", arch="ngram", order=3))
    assert isinstance(counted, NgramTrainingResult)
    assert {path.name for path in counted.model.iterdir() if not path.name.startswith(".")} == {
        "config.json", "tokenizer", "vocab.tsv", "vocab.tsv.meta.json", "ngrams.safetensors", "meta.json"
    }  # fmt: skip
    assert manifest.find_mismatches(counted.model) == []
    assert len(counted.ngrams) == 3
    assert 1 < counted.perplexity < 500
    with pytest.raises(ArtefactError, match="already exists"):
        train_lm.run(options(work, tmp_path / "counts", arch="ngram"))


@pytest.mark.parametrize("changes", [{"smoothing": "add-k", "add_k": 0.1}, {"prune": [0, 0, 1]}, {"closed": False}])
def test_counts_can_be_smoothed_and_pruned(work: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    counted = train_lm.run(options(work, tmp_path / "counts", arch="ngram", order=3, **changes))
    assert isinstance(counted, NgramTrainingResult)
    assert math.isfinite(counted.perplexity)


def test_maximum_likelihood_is_infinitely_surprised(work: Path, tmp_path: Path) -> None:
    counted = train_lm.run(options(work, tmp_path / "counts", arch="ngram", smoothing="maximum-likelihood"))
    assert isinstance(counted, NgramTrainingResult)
    assert counted.perplexity == math.inf


@pytest.mark.parametrize(
    ("chosen", "warned"),
    [
        ({"arch": "ngram", "hidden": 9, "max_steps": 3}, ["--hidden", "--max-steps"]),
        ({"arch": "ngram", "order": 2}, []),
        ({"arch": "lstm", "order": 2, "dry_run": True}, ["--order"]),
    ],
)
def test_options_of_another_kind_of_model_are_reported(
    work: Path, tmp_path: Path, chosen: dict[str, Any], warned: list[str]
) -> None:
    heard: list[Event] = []
    chosen = {"work": work, "output": tmp_path / "model", "threads": 1, **chosen}
    train_lm.run(TrainLMOptions(**chosen), heard.append)
    texts = [event.text for event in heard if isinstance(event, WarningEvent) and "no effect" in event.text]
    assert len(texts) == bool(warned)
    assert all(flag in texts[0] for flag in warned)


def test_a_cloze_model_trains(work: Path, tmp_path: Path) -> None:
    result = trained(work, tmp_path / "cloze", cloze=True, bidirectional=True)
    assert json.loads((result.model / "config.json").read_text())["task"] == "cloze"
    assert manifest.find_mismatches(result.model) == []


def test_train_chooses_the_command(work: Path, tmp_path: Path) -> None:
    assert train.training_command(work / "data") == "train-lm"
    assert train.training_command(make_workspace(tmp_path) / "data") == "train-seq2seq"
