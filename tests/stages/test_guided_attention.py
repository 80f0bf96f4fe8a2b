"""Guided attention through the stages: what is learned and kept, what is refused, and that it costs nothing unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.workspaces import make_workspace

from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, ConfigError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Note, Progress
from rnnkit.io import manifest
from rnnkit.models import model_weights
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, align_words
from rnnkit.stages.training import train_seq2seq, train_seq2seq_options
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
from rnnkit.training import checkpoint

SMALL: dict[str, Any] = {
    "hidden": 12, "embedding": 12, "batch_tokens": 120, "warmup": 5, "max_steps": 12, "validate_every": 6,
    "report_every": 3, "validate_lines": 3, "threads": 1, "precision": "fp32", "samples": 0,
}  # fmt: skip
WEIGHTS = ("best.safetensors", "last/weights.safetensors", "last/optimiser.safetensors")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data from which lines were dropped, and its links."""
    work = make_workspace(tmp_path_factory.mktemp("guided"))
    align.run(
        align_options.AlignOptions(
            source="de", target="en", work=work, max_length=9, drop_duplicates=True, overwrite=True
        )
    )
    assert sum(AlignedData.open(work / "data").meta.facts["splits"]["train"]["dropped"].values()) > 10
    align_words.run(align_words.AlignWordsOptions(work=work, iterations=1, threads=1))
    return work


def options(work: Path, output: Path, **changes: Any) -> TrainSeq2SeqOptions:
    return TrainSeq2SeqOptions(
        **{"work": work, "output": output, "guided_attention": work / "links", **SMALL, **changes}
    )


def trained(work: Path, output: Path, **changes: Any) -> Path:
    result = train_seq2seq.run(options(work, output, **changes))
    assert isinstance(result, TrainingResult)
    return result.model


@pytest.fixture(scope="module")
def model(work: Path) -> Path:
    return trained(work, work / "model")


def test_training_validates_and_records(work: Path, model: Path) -> None:
    records = [record for record in checkpoint.read_metrics(model / checkpoint.METRICS_FILE) if "nll" in record]
    found = [record["attention_loss"] for record in records]
    assert len(found) == 4
    assert all(0.5 < nats < 3 for nats in found)
    meta = manifest.read(model, "model", 1)
    assert meta.inputs["links"] == manifest.sha256(work / "links")
    assert (meta.options["guided-attention"], meta.options["guided-weight"]) == (str(work / "links"), 0.2)
    assert json.loads((model / "config.json").read_text())["network"]["guided_head"] is False, "there is one head"


def test_progress_is_reported(work: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    made = train_seq2seq.run(
        train_seq2seq_options.TrainSeq2SeqOptions(
            work=work, output=tmp_path / "model", guided_attention=work / "links", **SMALL
        ),
        heard.append,
    )
    assert isinstance(made, TrainingResult)
    facts = [list(event.facts) for event in heard if isinstance(event, Progress) and event.task == "training"]
    assert facts[:2] == [[], ["loss", "attention", "gradient", "tokens/s"]], "of nothing at first, then of steps"


def test_guided_weight_zero_disables_guidance(work: Path, tmp_path: Path) -> None:
    plain = trained(work, tmp_path / "plain", guided_attention=None)
    nothing = trained(work, tmp_path / "nothing", guided_attention=tmp_path / "missing", guided_weight=0.0)
    for name in WEIGHTS:
        assert (plain / name).read_bytes() == (nothing / name).read_bytes(), name
    for folder in (plain, nothing):
        assert "links" not in manifest.read(folder, "model", 1).inputs
        assert all(
            "attention_loss" not in record for record in checkpoint.read_metrics(folder / checkpoint.METRICS_FILE)
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": "gru", "attention": "additive", "input_feeding": True},
        {"arch": "mingru", "attention": "multihead", "heads": 2, "copy": True},
        {"arch": "transformer", "heads": 2, "layers": 2},
        {"arch": "hybrid", "heads": 2, "precision": "bf16"},
    ],
    ids=str,
)
def test_any_network_with_attention_can_be_guided(work: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = trained(work, tmp_path / "model", **changes, max_steps=6)
    network = json.loads((folder / "config.json").read_text())["network"]
    assert network["guided_head"] is (network["attention"] == "multihead")
    (tmp_path / "text").write_text("Der Hund schläft.\n", encoding="utf-8")
    asked = decode_options.DecodeOptions(
        files=[tmp_path / "text"], model=[folder], alignments=tmp_path / "links", threads=1
    )
    assert len(list(decode.run(asked))) == 1


def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(work: Path, model: Path, tmp_path: Path) -> None:
    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 12:"):
            raise KeyboardInterrupt

    links, folder = copied(work, tmp_path), tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train_seq2seq.run(options(work, folder, guided_attention=links), break_off)
    text = links.read_text()
    links.write_text(text.replace("0-0", "", 1))
    with raises(ArtefactError, "changed since: links\n", path=folder):
        resume(work, folder)
    links.unlink()
    with raises(DataError, "`rnnkit align-words`", path=links):
        resume(work, folder)
    links.write_text(text)
    with raises(ConfigError, "0.2 in the run, 0.5 now", option="--guided-weight"):
        resume(work, folder, guided_weight=0.5)
    resume(work, folder)
    for name in WEIGHTS:
        assert (folder / name).read_bytes() == (model / name).read_bytes(), name


def resume(work: Path, folder: Path, **changes: Any) -> None:
    train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=folder, resume=True, threads=1, samples=0, **changes))


def test_a_model_without_guidance_can_be_tuned_with_it(work: Path, tmp_path: Path) -> None:
    shape = {"arch": "transformer", "heads": 2, "max_steps": 2, "mean_decay": 0.0}
    plain = trained(work, tmp_path / "plain", guided_attention=None, **shape)
    tuned = trained(work, tmp_path / "tuned", init_from=plain, learning_rate=0.0, **shape)
    one, other = (model_weights.load(folder / "best.safetensors")[0] for folder in (plain, tuned))
    assert all(bool((one[name] == other[name]).all()) for name in one)


def copied(work: Path, folder: Path) -> Path:
    """The links without their manifest, as if from elsewhere."""
    return Path(shutil.copyfile(work / "links", folder / "links"))


def refused(kind: type[RnnkitError], work: Path, output: Path, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        trained(work, output, **changes)
    assert not (output / "config.json").exists(), "nothing was begun"
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "number", "values"),
    [
        ("0-0 44-0", 3, [":3", "44-0"]),
        ("0-0 0:1", 3, [":3", "'0:1'"]),
        ("more", None, ["more than 53", "rnnkit align"]),
        ("fewer", None, ["2 lines", "53 sentence pairs", "rnnkit align"]),
    ],
)
def test_links_that_do_not_fit_are_named_by_line(
    work: Path, tmp_path: Path, line: str, number: int | None, values: list[str]
) -> None:
    links = copied(work, tmp_path)
    lines = links.read_text().splitlines()
    others = {"more": [*lines, ""], "fewer": lines[:2]}
    lines = others.get(line, [*lines[:2], line, *lines[3:]])
    links.write_text("".join(f"{one}\n" for one in lines))
    with raises(DataError, *values, path=links, line=number):
        trained(work, tmp_path / "model", guided_attention=links)
    assert not (tmp_path / "model" / "config.json").exists(), "nothing was begun"


def test_empty_or_mismatched_links_are_refused(work: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.write_text("\n" * len(AlignedData.open(work / "data").side("train", "de")))
    with raises(DataError, "`rnnkit align-words`", path=links):
        trained(work, tmp_path / "model", guided_attention=links)
    data = tmp_path / "data"
    align.run(align_options.AlignOptions(source="de", target="en", work=work, output=data))
    with raises(ArtefactError, data, path=work / "links"):
        trained(work, tmp_path / "model", data=data)


def test_options_that_make_no_sense(work: Path, tmp_path: Path) -> None:
    links, model = work / "links", tmp_path / "model"
    with raises(UsageError, links, "--attention", option="--guided-attention"):
        trained(work, model, attention="none")
    with raises(UsageError, "0.5", "--guided-attention", option="--guided-weight"):
        trained(work, model, guided_attention=None, guided_weight=0.5)
