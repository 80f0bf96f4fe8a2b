"""Training through the stage: what it writes, what it refuses, and that runs can be repeated, resumed and tuned on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.workspaces import make_workspace

from rnnkit.errors import ArtefactError, ConfigError, DataError, FormatError, TrainingError, UsageError
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.training import average, train, train_seq2seq, train_seq2seq_options
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.stages.training.train_seq2seq_options import PRESETS, TrainSeq2SeqOptions, apply_preset
from rnnkit.training import checkpoint
from rnnkit.training.training_step import NetworkTask


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("train"))


def options(work: Path, output: Path, **changes: Any) -> TrainSeq2SeqOptions:
    small = {
        "hidden": 12,
        "embedding": 10,
        "batch_tokens": 120,
        "warmup": 5,
        "max_steps": 24,
        "validate_every": 8,
        "report_every": 4,
        "validate_lines": 6,
        "threads": 1,
        "precision": "fp32",
        "average": 2,
    }
    return TrainSeq2SeqOptions(work=work, output=output, **{**small, **changes})


def trained(work: Path, output: Path, **changes: Any) -> TrainingResult:
    result = train_seq2seq.run(options(work, output, **changes))
    assert isinstance(result, TrainingResult)
    return result


@pytest.fixture(scope="module")
def model(work: Path) -> Path:
    return trained(work, work / "model").model


def test_a_model_directory_has_all_it_promises_and_is_whole(model: Path) -> None:
    present = {path.name for path in model.iterdir()}
    assert present == {
        "config.json", "tokenizer", "vocab.tsv", "vocab.tsv.meta.json", "best.safetensors",
        "average.safetensors", "last", "snapshots", "metrics.jsonl", "curve.png", "README.md", "meta.json",
    }  # fmt: skip
    assert manifest.find_mismatches(model) == []
    assert len(list((model / "snapshots").iterdir())) == 2
    card = (model / "README.md").read_text()
    assert "# lstm de-en" in card
    assert "library_name: rnnkit" in card
    assert "| bleu |" in card
    assert (model / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_have_steps_and_validations(model: Path) -> None:
    records = list(checkpoint.read_metrics(model / checkpoint.METRICS_FILE))
    assert [record["step"] for record in records if "nll" in record] == [4, 8, 12, 16, 20, 24]
    validations = [record for record in records if "validation" in record]
    assert [record["step"] for record in validations] == [8, 16, 24]
    assert validations[0]["validation"].keys() == {"loss", "bleu", "seconds"}
    assert records[0]["nll"] > records[-2]["nll"], "it learns"


def test_loss_breaks_ties_of_the_measure(work: Path, tmp_path: Path) -> None:
    result = trained(work, tmp_path / "model", measure="accuracy", patience=1)
    checks = [
        r["validation"]
        for r in checkpoint.read_metrics(tmp_path / "model" / checkpoint.METRICS_FILE)
        if "validation" in r
    ]
    assert [check["accuracy"] for check in checks] == [0, 0, 0]
    assert checks[0]["loss"] > checks[1]["loss"] > checks[2]["loss"]
    assert result.best_step == 24


def test_the_same_command_gives_the_same_bytes(work: Path, model: Path, tmp_path: Path) -> None:
    again = trained(work, tmp_path / "again").model
    for name in ("best.safetensors", "average.safetensors", "last/weights.safetensors", "config.json"):
        assert (again / name).read_bytes() == (model / name).read_bytes(), name
    other = trained(work, tmp_path / "other", seed=2).model
    assert (other / "best.safetensors").read_bytes() != (model / "best.safetensors").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": "rnn", "attention": "none", "bridge": "last"},
        {"arch": "gru", "attention": "additive", "gru_reset": "inside", "optimizer": "adamw", "weight_decay": 0.01},
        {"layers": 3, "attention": "general", "input_feeding": True, "schedule": "plateau"},
        {"arch": "gru", "attention": "monotonic", "copy": True},
        {"attention": "location", "decoder_layers": 2, "copy": True},
        {"arch": "gru", "right_to_left": True, "copy": True},
        {"tied": False, "joint_embeddings": True, "bidirectional": False, "schedule": "constant"},
        {"arch": "transformer", "embedding": None, "joint_embeddings": True, "dropout_embedding": 0.1},
        {"arch": "transformer", "embedding": 12, "norm": "post", "positions": "sinusoidal", "precision": "bf16"},
        {"arch": "hybrid", "embedding": None, "cell": "mingru", "layers": 2, "mean_decay": 0.0},
        {"arch": "mingru", "layers": 3, "layer_norm": True, "variational": True, "attention": "multihead"},
        {"arch": "lstm", "weight_drop": 0.3, "dropout_embedding": 0.1, "copy": True, "preset": "base"},
    ],
    ids=str,
)
def test_every_option_trains_and_decodes(work: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = trained(work, tmp_path / "model", max_steps=6, validate_every=6, **changes)
    (work.parent / "two.de").write_text("Der Hund schläft.\n\nEin Haus.\n", encoding="utf-8")
    lines = list(decode.run(decode_options.DecodeOptions(files=[work.parent / "two.de"], model=[result.model], beam=2)))
    assert len(lines) == 3
    assert lines[1] == "", "an empty line stays empty"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("arch", ["lstm", "transformer", "hybrid"])
def test_every_preset_fills_all_options(preset: str, arch: str) -> None:
    filled = apply_preset(TrainSeq2SeqOptions(preset=preset, arch=arch))
    missing = {field.name for field in dataclasses.fields(filled) if getattr(filled, field.name) is None}
    assert missing == {"data", "tokenizer", "init_from", "guided_attention", "output"}
    recurrent = "location" if preset.startswith(("g2p", "inflection")) else "dot"
    assert filled.attention == (recurrent if arch == "lstm" else "multihead")
    assert filled.hidden == filled.embedding or arch == "lstm"
    given = apply_preset(TrainSeq2SeqOptions(preset=preset, arch=arch, hidden=20, heads=5, layers=2, dropout=0.0))
    assert (given.hidden, given.heads, given.layers, given.dropout) == (20, 5, 2, 0.0)


@pytest.mark.parametrize(
    ("changes", "option", "values"),
    [
        ({"hidden": 13}, "--hidden", ["13"]),
        ({"arch": "lstm", "gru_reset": "inside"}, "--gru-reset", ["--arch gru", "lstm"]),
        ({"copy": True, "attention": "none"}, "--copy", ["attention"]),
        ({"variational": True, "input_feeding": True}, "--variational", ["--input-feeding"]),
        ({"weight_drop": 0.1, "arch": "mingru"}, "--weight-drop", ["--arch mingru"]),
        ({"weight_drop": 0.1, "bridge": "last"}, "--weight-drop", ["--bridge last", "hint: --bridge mean"]),
        ({"attention": "multihead", "heads": 5}, "--hidden", ["(12)", "--heads (5)"]),
        ({"arch": "transformer"}, "--embedding", ["(10)", "--hidden (12)"]),
        ({"arch": "hybrid", "heads": 5, "embedding": 12}, "--hidden", ["(12)", "--heads (5)"]),
        ({"arch": "transformer", "embedding": 12, "attention": "dot"}, "--attention", ["dot", "--arch transformer"]),
        ({"arch": "hybrid", "embedding": 12, "attention": "monotonic"}, "--attention", ["monotonic", "--arch hybrid"]),
        ({"arch": "hybrid", "embedding": 12, "input_feeding": True}, "--input-feeding", ["--arch hybrid"]),
        ({"arch": "transformer", "embedding": 12, "bridge": "last"}, "--bridge", ["last", "--arch transformer"]),
    ],
)
def test_incompatible_options_are_refused_before_any_work(
    tmp_path: Path, changes: dict[str, Any], option: str, values: list[str]
) -> None:
    with raises(UsageError, *values, option=option):
        trained(tmp_path / "nothing", tmp_path / "model", **changes)
    assert not (tmp_path / "model").exists()


def test_ema_weights_are_validated_and_saved(work: Path, tmp_path: Path) -> None:
    """Of weights that a rate of nothing never moves the mean is the weights; of others it is not the last."""
    still = trained(work, tmp_path / "still", learning_rate=0.0, max_steps=8).model
    mean, last = (train_weights(still / name) for name in ("best.safetensors", "last/weights.safetensors"))
    assert all(bool((mean[name] == last[name]).all()) for name in mean)
    moved = trained(work, tmp_path / "moved", max_steps=8).model
    mean, last = (train_weights(moved / name) for name in ("best.safetensors", "last/weights.safetensors"))
    assert not bool((mean["output_bias"] == last["output_bias"]).all())
    plain = trained(work, tmp_path / "plain", max_steps=8, mean_decay=0.0).model
    best, plain_last = (train_weights(plain / name) for name in ("best.safetensors", "last/weights.safetensors"))
    assert all(bool((best[name] == plain_last[name]).all()) for name in best)
    assert all(bool((plain_last[name] == last[name]).all()) for name in last), "the mean changes nothing but itself"
    losses = [
        next(
            record["validation"]["loss"]
            for record in checkpoint.read_metrics(folder / checkpoint.METRICS_FILE)
            if "validation" in record
        )
        for folder in (moved, plain)
    ]
    assert losses[0] != losses[1]


def test_weights_under_their_old_names_are_read_and_tuned_on(work: Path, model: Path, tmp_path: Path) -> None:
    """What a directory of the first version of the format holds: fewer keys in its configuration, flatter names."""
    from rnnkit.models import model_weights

    old = tmp_path / "old"
    shutil.copytree(model, old)
    tensors, facts = model_weights.load(old / "best.safetensors")
    for new, before in ((".layers.", "."), ("decoder.attention.", "attention."), ("decoder.bridge.", "bridge."),
                        ("decoder.readout.", "readout.")):  # fmt: skip
        tensors = {name.replace(new, before): tensor for name, tensor in tensors.items()}
    assert {"encoder.0.forwards.fused.weight_ih_l0", "decoder.0.fused.weight_hh_l0", "bridge.weight"} <= set(tensors)
    model_weights.save(old / "best.safetensors", tensors, facts)
    document = json.loads((old / "config.json").read_text())
    for name in ("heads", "inner", "norm", "positions", "cell", "residual", "layer_norm", "locked", "copy"):
        del document["network"][name]
    (old / "config.json").write_text(json.dumps(document))
    text = work_text(tmp_path)
    lines = [list(decode.run(decode_options.DecodeOptions(files=[text], model=[folder]))) for folder in (old, model)]
    assert lines[0] == lines[1]
    tuned = trained(work, tmp_path / "tuned", init_from=old, max_steps=4, learning_rate=0.0).model
    found, wanted = train_weights(tuned / "best.safetensors"), train_weights(model / "best.safetensors")
    assert all(bool((found[name] == wanted[name]).all()) for name in wanted)


def test_separate_vocabularies(tmp_path: Path) -> None:
    work = make_workspace(tmp_path, separate=True)
    result = trained(work, tmp_path / "model", max_steps=4)
    assert (result.model / "vocab.de.tsv").exists()
    with raises(UsageError, "joint vocabulary", option="--joint-embeddings"):
        trained(work, tmp_path / "other", joint_embeddings=True)
    with raises(UsageError, "joint vocabulary", option="--copy"):
        trained(work, tmp_path / "other", copy=True)


@pytest.mark.parametrize("step", [8, 16])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(
    work: Path, model: Path, tmp_path: Path, step: int
) -> None:
    """Broken off after `best` and the metrics were written but before the checkpoint: before the first, and later."""
    folder = tmp_path / "model"

    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith(f"step {step}:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seq2seq.run(options(work, folder), break_off)
    resumed = train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=folder, resume=True, threads=1))
    assert isinstance(resumed, TrainingResult)
    for name in ("best.safetensors", "average.safetensors", "last/weights.safetensors", "last/optimiser.safetensors"):
        assert (folder / name).read_bytes() == (model / name).read_bytes(), name
    steps = [record["step"] for record in checkpoint.read_metrics(folder / checkpoint.METRICS_FILE) if "nll" in record]
    assert steps == [4, 8, 12, 16, 20, 24]


def test_float16_skips_overflows_and_resumes_loss_scale(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnkit.training.optimizer.INITIAL_LOSS_SCALE", 2.0**26)
    monkeypatch.setattr("rnnkit.training.optimizer.GROWTH_INTERVAL", 3)
    changes = {"arch": "transformer", "embedding": 12, "precision": "fp16", "accumulate": 2}
    heard: list[Event] = []
    whole = train_seq2seq.run(options(work, tmp_path / "whole", **changes), heard.append)

    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 16:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seq2seq.run(options(work, tmp_path / "parts", **changes), break_off)
    resumed = train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=tmp_path / "parts", resume=True, threads=1))
    assert isinstance(whole, TrainingResult)
    assert isinstance(resumed, TrainingResult)
    same = ("best", "last/weights", "last/optimiser", "last/loss-scale")
    for name in (f"{part}.safetensors" for part in same):
        assert (resumed.model / name).read_bytes() == (whole.model / name).read_bytes(), name
    records = [list(checkpoint.read_metrics(model / checkpoint.METRICS_FILE)) for model in (whole.model, resumed.model)]
    lines = [[(one["loss_scale"], one["skipped_steps"]) for one in each if "nll" in one] for each in records]
    assert lines[0] == lines[1]
    skipped = sum(count for _, count in lines[0])
    assert lines[0][0][1] > 2
    assert 0 < sum(count for _, count in lines[0][1:]) < 20, "it comes down, grows and overflows again"
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert f"{skipped} of 24 steps were skipped: the gradient overflowed float16" in notes
    assert notes[0].endswith("float16 on cpu, 1 threads")
    warnings = [event.text for event in heard if isinstance(event, WarningEvent)]
    assert warnings[0] == "--precision fp16 is for GPUs: on most CPUs it is slower than fp32"
    assert warnings[1].startswith("step 4: ")


def test_resuming_with_other_options_is_refused_by_name(work: Path, model: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=model, resume=True, hidden=64, dropout=0.1))
    assert "--hidden: 12 in the run, 64 now" in str(raised.value)
    assert "--dropout: 0.3 in the run, 0.1 now" in str(raised.value)


def test_nothing_is_overwritten_silently(work: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="--resume continues its run, --overwrite replaces it"):
        trained(work, model)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with raises(ArtefactError, path=tmp_path / "thesis"):
        trained(work, tmp_path / "thesis", overwrite=True)
    with raises(ArtefactError, "no run", option="--resume"):
        trained(work, tmp_path / "none", resume=True)


def test_a_batch_that_does_not_fit_leaves_nothing_in_the_way(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: NetworkTask[Any], batches: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(NetworkTask, "dry_run", fail)
        with pytest.raises(TrainingError, match="a batch does not fit into memory"):
            trained(work, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert trained(work, tmp_path / "model", max_steps=2).steps == 2
    with monkeypatch.context() as patched:
        patched.setattr(NetworkTask, "dry_run", fail)
        with pytest.raises(TrainingError, match="a batch does not fit into memory"):
            trained(work, tmp_path / "model", max_steps=2, resume=True)
    assert (tmp_path / "model" / "last").exists()


def test_fine_tuning_starts_from_the_other_models_weights(work: Path, model: Path, tmp_path: Path) -> None:
    tuned = trained(work, tmp_path / "tuned", init_from=model, max_steps=4, learning_rate=0.0, dropout=0.2).model
    read = [train_weights(folder / "best.safetensors") for folder in (model, tuned)]
    assert read[0].keys() == read[1].keys()
    assert all(bool((read[0][name] == read[1][name]).all()) for name in read[0])
    with raises(ConfigError, "hidden", path=model, option="--init-from"):
        trained(work, tmp_path / "other", init_from=model, hidden=16)


def train_weights(path: Path) -> dict[str, Any]:
    from rnnkit.models import model_weights

    return dict(model_weights.load(path)[0])


def test_fine_tuning_interrupted_before_a_checkpoint_restarts(work: Path, model: Path, tmp_path: Path) -> None:
    whole = trained(work, tmp_path / "whole", init_from=model, max_steps=8).model

    def break_off(event: Event) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seq2seq.run(options(work, tmp_path / "cut", init_from=model, max_steps=8), break_off)
    trained_on = train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=tmp_path / "cut", resume=True, threads=1))
    assert isinstance(trained_on, TrainingResult)
    assert (tmp_path / "cut" / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


def test_new_text_is_aligned_with_what_the_model_carries(work: Path, model: Path, tmp_path: Path) -> None:
    texts = [work.parent / f"{split}.{side}" for split in ("train", "valid") for side in ("de", "en")]
    new = tmp_path / "new"
    tokenize.run(tokenize_options.TokenizeOptions(files=texts, model=model / "tokenizer", work=new))
    align.run(align_options.AlignOptions(source="de", target="en", vocab=[model / "vocab.tsv"], work=new))
    result = train_seq2seq.run(
        options(new, tmp_path / "tuned", vocab=[model / "vocab.tsv"], tokenizer=model / "tokenizer", init_from=model)
    )
    assert isinstance(result, TrainingResult)


def test_fine_tuning_with_another_vocabulary_is_refused(model: Path, tmp_path: Path) -> None:
    other = make_workspace(tmp_path)
    vocab.run(vocab.VocabOptions(work=other, min_count=2, overwrite=True))
    align.run(align_options.AlignOptions(source="de", target="en", work=other, overwrite=True))
    with raises(ArtefactError, "vocabulary", path=model, option="--init-from"):
        trained(other, tmp_path / "model", init_from=model)


def test_a_vocabulary_other_than_that_of_the_data_is_refused(tmp_path: Path) -> None:
    work = make_workspace(tmp_path)
    vocab.run(vocab.VocabOptions(work=work, min_count=2, overwrite=True))
    with raises(ArtefactError, work / "data", "rnnkit align", path=work / "vocab.tsv"):
        trained(work, tmp_path / "model")


def test_missing_inputs_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with raises(DataError, "rnnkit align", path=tmp_path / "data"):
        train.training_command(tmp_path / "data")


def test_one_sided_data_is_refused(tmp_path: Path) -> None:
    work = make_workspace(tmp_path)
    align.run(align_options.AlignOptions(text="en", work=work, overwrite=True))
    with raises(DataError, "one side", "en", path=work / "data"):
        train_seq2seq.run(train_seq2seq_options.TrainSeq2SeqOptions(work=work))


def test_dry_run_counts_and_writes_nothing(work: Path, tmp_path: Path) -> None:
    estimate = train_seq2seq.run(options(work, tmp_path / "model", dry_run=True))
    assert not isinstance(estimate, TrainingResult)
    assert not (tmp_path / "model").exists()
    assert estimate.steps == 24
    assert estimate.batches_per_epoch > 1
    assert 0 < estimate.training_seconds < estimate.seconds
    assert estimate.memory_bytes > estimate.parameters * 4


@pytest.mark.parametrize(
    ("changes", "margin"),
    # Attention is cut into segments of steps, whose gradients are added in another order.
    [({"arch": "transformer", "embedding": 12}, 0.0), ({"arch": "gru", "attention": "additive", "layers": 2}, 1e-6)],
    ids=["transformer", "gru"],
)
def test_activation_checkpointing_gives_the_same_model(
    work: Path, tmp_path: Path, changes: dict[str, Any], margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = trained(work, tmp_path / "kept", max_steps=4, **changes).model
    again = trained(work, tmp_path / "again", max_steps=4, recompute=True, **changes).model
    found, wanted = train_weights(again / "best.safetensors"), train_weights(kept / "best.safetensors")
    assert all(float((found[name] - wanted[name]).abs().max()) <= margin for name in wanted)
    assert manifest.read(again, "model", 1).options["recompute"] is True
    turned_on: list[Any] = []
    monkeypatch.setattr("rnnkit.nn.device.enable_checkpointing", turned_on.append)
    for recomputed in (False, True):
        train_seq2seq.run(options(work, tmp_path / "dry", max_steps=4, dry_run=True, recompute=recomputed, **changes))
    assert len(turned_on) == 1


def test_a_rate_that_diverges_stops_with_advice(work: Path, tmp_path: Path) -> None:
    with raises(TrainingError, "diverged", "--learning-rate"):
        trained(work, tmp_path / "model", learning_rate=1e38, warmup=0, clip=1e30)


def test_average_again_and_over_several_models(work: Path, model: Path, tmp_path: Path) -> None:
    before = (model / "average.safetensors").read_bytes()
    average.run(average.AverageOptions(models=[model]))
    assert (model / "average.safetensors").read_bytes() == before
    assert manifest.find_mismatches(model) == []
    mean = average.run(average.AverageOptions(models=[model, model], output=tmp_path / "mean"))
    assert manifest.find_mismatches(tmp_path / "mean") == []
    found, wanted = train_weights(mean.path), train_weights(model / "best.safetensors")
    assert all(bool((found[name] == wanted[name]).all()) for name in wanted), "the mean of a thing with itself"


@pytest.mark.parametrize("name", ["best.safetensors", "config.json", "vocab.tsv"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_model_file_cut_short_is_named(model: Path, tmp_path: Path, name: str, keep: float) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(len(content) * keep)])
    with pytest.raises((FormatError, DataError)) as raised:
        list(decode.run(decode_options.DecodeOptions(files=[work_text(tmp_path)], model=[copy])))
    assert name.partition(".")[0] in str(raised.value)


def test_a_flipped_byte_in_the_weights_is_noticed(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    content = bytearray((copy / "best.safetensors").read_bytes())
    content[-100] ^= 1
    (copy / "best.safetensors").write_bytes(content)
    with pytest.raises(FormatError, match=r"best\.safetensors is damaged"):
        list(decode.run(decode_options.DecodeOptions(files=[work_text(tmp_path)], model=[copy])))


def test_a_model_of_a_newer_format_is_refused(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    meta = json.loads((copy / "meta.json").read_text())
    (copy / "meta.json").write_text(json.dumps({**meta, "version": 99}))
    with pytest.raises(FormatError, match="has format version 99; this rnnkit reads up to 1"):
        list(decode.run(decode_options.DecodeOptions(files=[work_text(tmp_path)], model=[copy])))


def work_text(folder: Path) -> Path:
    path = folder / "text.de"
    path.write_text("Der Hund.\n", encoding="utf-8")
    return path


def test_options_are_what_the_run_records(model: Path) -> None:
    recorded = manifest.load(model / "meta.json").options
    assert recorded["hidden"] == 12
    assert recorded["seed"] == 1
    assert "resume" not in recorded
    assert {field.name.replace("_", "-") for field in dataclasses.fields(TrainSeq2SeqOptions)} >= recorded.keys()


def test_resuming_on_other_data_is_refused(tmp_path: Path) -> None:
    work = make_workspace(tmp_path)
    model = trained(work, tmp_path / "model", max_steps=4).model
    align.run(align_options.AlignOptions(source="de", target="en", work=work, max_length=12, overwrite=True))
    with pytest.raises(ArtefactError) as raised:
        train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=model, resume=True))
    assert "was started with other data" in str(raised.value)
    assert "changed since: data" in str(raised.value)
