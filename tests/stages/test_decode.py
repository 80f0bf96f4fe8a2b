"""Decoding through the stage and the command: order, batches, n-best, JSON, and what goes wrong."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises
from tests.workspaces import CORPORA, make_workspace

from rnnkit.alignment.shortlist import Shortlist
from rnnkit.cli import app
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Event, WarningEvent
from rnnkit.kernels import dispatch
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.text import align_words
from rnnkit.stages.training import train_seq2seq, train_seq2seq_options
from rnnkit.text import special_tokens
from rnnkit.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned enough to say different things to different lines."""
    work = make_workspace(tmp_path_factory.mktemp("decode"))
    train_seq2seq.run(
        train_seq2seq_options.TrainSeq2SeqOptions(
            work=work,
            hidden=24,
            embedding=16,
            batch_tokens=150,
            learning_rate=0.01,
            mean_decay=0.0,
            max_steps=150,
            validate_every=75,
            validate_lines=4,
            threads=1,
            precision="fp32",
        )
    )
    return work / "model"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 lines of mixed lengths, some of them empty."""
    lines = (CORPORA / "parallel" / "test.de").read_text(encoding="utf-8").split("\n")[:64]
    for index in (0, 7, 63):
        lines[index] = ""
    lines[20] = " ".join(lines[1:6])
    path = tmp_path_factory.mktemp("text") / "test.de"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def decoded(model: Path, text: Path, **changes: Any) -> list[str]:
    return list(decode.run(DecodeOptions(files=[text], model=[model], threads=1, **changes)))


def test_one_line_out_for_each_line_in_and_empty_lines_stay(model: Path, text: Path) -> None:
    lines = decoded(model, text)
    assert len(lines) == 64
    assert [index for index, line in enumerate(lines) if not line] == [0, 7, 63]
    assert len(set(lines)) > 10


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_the_batch_size_changes_nothing(model: Path, text: Path, beam: int, batch_tokens: int) -> None:
    alone = [json.loads(line) for line in decoded(model, text, beam=beam, batch_tokens=1, json=True)]
    batched = [json.loads(line) for line in decoded(model, text, beam=beam, batch_tokens=batch_tokens, json=True)]
    for one, other in zip(alone, batched, strict=True):
        assert [output["text"] for output in one["outputs"]] == [output["text"] for output in other["outputs"]]
        for left, right in zip(one["outputs"], other["outputs"], strict=True):
            assert left["score"] == pytest.approx(right["score"], abs=1e-4)


def test_nbest_writes_n_lines_per_input_best_first(model: Path, text: Path) -> None:
    best = decoded(model, text, beam=3)
    lines = decoded(model, text, beam=3, nbest=3)
    assert len(lines) == 3 * 64
    assert lines[::3] == best
    assert lines[21:24] == [""] * 3, "an empty line has as many empty outputs"


def test_json_has_scores_tokens_and_attention(model: Path, text: Path) -> None:
    line = json.loads(decoded(model, text, beam=3, nbest=2, json=True)[1])
    assert line["line"] == 2
    first, second = line["outputs"]
    assert first["score"] >= second["score"]
    length = len(first["tokens"]) + 1
    assert first["score"] == pytest.approx(first["log_probability"] / length)
    assert len(first["attention"]) == length
    for row in first["attention"]:
        assert len(row) == len(line["source_tokens"]) + 1
        assert sum(row) == pytest.approx(1, abs=0.01)


def test_max_length_includes_eos(model: Path, text: Path) -> None:
    for line in decoded(model, text, max_length=3, json=True):
        for output in json.loads(line)["outputs"]:
            assert len(output["tokens"]) <= 2


def test_exhaustive_search_refuses_large_vocabularies(model: Path, text: Path) -> None:
    with pytest.raises(UsageError, match="1,000,000 outputs"):
        decoded(model, text, exhaustive=True, max_length=8)


def test_more_outputs_than_the_beam_holds_are_refused(model: Path, text: Path) -> None:
    with raises(UsageError, "(6)", "--beam (5)", option="--nbest"):
        decoded(model, text, nbest=6)


def test_missing_text_is_reported_before_the_model_is_loaded(model: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    with raises(DataError, path=tmp_path / "nothing"):
        list(decode.run(DecodeOptions([tmp_path / "nothing"], model=[model]), heard.append))
    assert heard == []


def test_missing_model_names_the_command_that_makes_it(text: Path, tmp_path: Path) -> None:
    with raises(DataError, "rnnkit train", path=tmp_path / "nothing"):
        decoded(tmp_path / "nothing", text)
    with raises(DataError, "average", option="--checkpoint"):
        decoded(_model_without_average(tmp_path, text), text, checkpoint="average")


def _model_without_average(folder: Path, text: Path) -> Path:
    work = make_workspace(folder)
    train_seq2seq.run(
        train_seq2seq_options.TrainSeq2SeqOptions(
            work=work, hidden=4, embedding=4, max_steps=1, threads=1, precision="fp32"
        )
    )
    return work / "model"


def test_the_command_reads_a_pipe_and_a_file_alike(model: Path, text: Path, tmp_path: Path) -> None:
    words = ["decode", "--model", str(model), "--threads", "1", "--beam", "2"]
    command = [sys.executable, "-m", "rnnkit", *words]
    piped = subprocess.run(command, input=text.read_bytes(), capture_output=True, check=True).stdout
    output = tmp_path / "test.hyp"
    assert app.run([*words, str(text), "--output", str(output), "--quiet"]) == 0
    assert output.read_bytes() == piped
    assert piped.count(b"\n") == 64


def test_a_bad_byte_in_the_pipe_is_named_by_line(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Der Hund.\nDie \xff Katze.\n")))
    assert app.run(["decode", "--model", str(model), "--threads", "1"]) == 1
    errors = capsys.readouterr().err
    assert "error: standard input:2:5: not UTF-8 (byte 0xff)" in errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def shortlist(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shortlist from the data that the model has learned from."""
    folder = tmp_path_factory.mktemp("shortlist") / "shortlist"
    align_words.run(align_words.AlignWordsOptions(work=model.parent, output=folder.parent / "links", shortlist=folder))
    return folder


def test_workers_change_nothing(model: Path, text: Path) -> None:
    options = DecodeOptions(files=[text], model=[model], batch_tokens=60, nbest=2)
    alone = list(decode.run(dataclasses.replace(options, threads=1)))
    assert list(decode.run(dataclasses.replace(options, threads=3))) == alone


@pytest.mark.parametrize("beam", [1, 4])
def test_int8_and_shortlist_give_similar_output(model: Path, text: Path, shortlist: Path, beam: int) -> None:
    lines = decoded(model, text, beam=beam)
    for changes in ({"int8": True}, {"shortlist": shortlist}, {"int8": True, "shortlist": shortlist}):
        found = decoded(model, text, beam=beam, **changes)
        assert [not line for line in found] == [not line for line in lines]
        same = sum(one == other for one, other in zip(found, lines, strict=True))
        assert same >= 32, f"of 64, with {changes}"


@pytest.mark.parametrize("lacking", ["avx2_fma", "avx512_bytes"])
def test_int8_falls_back_to_float32_where_slower(
    model: Path, text: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = replace(dispatch.cpu_features(), **{lacking: False})
    monkeypatch.setattr(dispatch, "cpu_features", lambda: features)
    heard: list[Event] = []
    options = DecodeOptions(files=[text], model=[model], int8=True, threads=1)
    found = list(decode.run(options, heard.append))
    assert [event.text for event in heard if isinstance(event, WarningEvent) and "--int8" in event.text] == [
        "--int8 is ignored: this CPU lacks AVX-512, without which int8 weights are slower than float32"
    ]
    assert found == decoded(model, text)


def test_shortlist_of_a_line_is_independent_of_its_batch(model: Path, text: Path, shortlist: Path) -> None:
    together = decoded(model, text, shortlist=shortlist, batch_tokens=500)
    assert decoded(model, text, shortlist=shortlist, batch_tokens=1) == together


def test_shortlist_restricts_the_output(model: Path, text: Path, shortlist: Path) -> None:
    document = json.loads(decoded(model, text, shortlist=shortlist, batch_tokens=1, json=True)[1])
    words = Vocabulary.load(model / "vocab.tsv")
    allowed = Shortlist.open(shortlist).candidates(
        np.array([*words.encode(document["source_tokens"]), special_tokens.EOS])
    )
    assert set(words.encode(document["outputs"][0]["tokens"])) <= set(allowed.tolist())


def test_a_shortlist_of_another_vocabulary_is_refused(model: Path, text: Path, shortlist: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shortlist"
    shutil.copytree(shortlist, copy)
    meta = json.loads((copy / "meta.json").read_text(encoding="utf-8"))
    meta["inputs"]["vocabulary.target"] = "0" * 64
    (copy / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with raises(ArtefactError, path=copy):
        decoded(model, text, shortlist=copy)
    with pytest.raises(DataError, match="there is no"):
        decoded(model, text, shortlist=tmp_path / "nothing")
