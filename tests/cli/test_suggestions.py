"""What is meant by names of other tools and by typing errors; nothing where nothing is near."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tiny_models
from tests.workspaces import make_workspace

from rnnkit.cli import suggestions
from rnnkit.cli.arguments import flags_of
from rnnkit.cli.commands import COMMANDS

from .conftest import Run

OPTIONS = [
    ("extract a.csv --bad-rows skip", "did you mean --repair?"),
    ("train --lr 0.001", "did you mean --learning-rate?"),
    ("train --model lstm", "did you mean --arch?"),
    ("train -src a -tgt b", "training reads what `rnnkit align --source LANG --target LANG` has made"),
    ("train-seq2seq --batch-size 30", "did you mean --batch-tokens?"),
    ("train -hidden 30", "did you mean --hidden?"),
    ("train --num_layers 3", "did you mean --layers?"),
    ("train --gpu 0", "did you mean --device?"),
    ("train --hiden 3", "did you mean --hidden?"),
    ("train --task classify", "`rnnkit train --help` lists the options"),
    ("decode --beam-size 3", "did you mean --beam?"),
    ("decode --src a", "the text is read from standard input or from files named without a flag"),
    ("tokenize --vocab-size 99", "did you mean --size?"),
    ("convert-ngrams --output x", "OUTPUT is given without a flag"),
    ("train-embeddings -input wiki.txt", "text files are named without a flag"),
    ("train-embeddings wiki.txt --model skipgram", "did you mean --method?"),
    ("align -src de", "did you mean --source?"),
]


@pytest.mark.parametrize(("typed", "hint"), OPTIONS)
def test_options(run: Run, typed: str, hint: str) -> None:
    outcome = run(*typed.split())
    assert outcome.code == 2
    assert outcome.err.startswith("error: no such option: -")
    assert outcome.err.endswith(f"\n  hint: {hint}\n")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("translate", "did you mean 'decode'?"),
        ("trian", "did you mean 'train'?"),
        ("train_lm", "did you mean 'train-lm'?"),
        ("perplexity", "did you mean 'score'?"),
        ("most-similar", "did you mean 'neighbors'?"),
        ("xyzzy", "`rnnkit --help` lists what there is"),
        ("frobnicate", "`rnnkit --help` lists what there is"),
    ],
)
def test_commands(run: Run, typed: str, hint: str) -> None:
    outcome = run(typed)
    assert (outcome.code, outcome.err) == (2, f"error: no such command '{typed}'\n  hint: {hint}\n")


def test_what_is_suggested_exists() -> None:
    assert set(suggestions.COMMANDS) <= set(COMMANDS)
    every = {flag.lstrip("-") for command in COMMANDS.values() for flag in flags_of(command.parameters)}
    arguments = {"input"}
    assert set(suggestions.OPTIONS) - arguments <= every


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["decode", "--model", "work"], "work is a workspace; its model is work/model\n  hint: name work/model, or"),
        (["score", "--model", "work"], "work is a workspace; its model is work/model"),
        (["score", "--model", "text"], "text is a workspace, and text/model does not exist\n  hint: `rnnkit train`"),
        (["decode", "--model", "work/model/best.safetensors"], "work/model/best.safetensors is a file of the model"),
        (["train", "--data", "train.de"], "train.de is a file\n  --data takes the folder that `rnnkit align` makes"),
        (["train", "--data", "work"], "work is a workspace; its data is work/data"),
    ],
)
def test_one_level_off(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    make_workspace(tmp_path)
    tiny_models.translator_folder(tmp_path / "made", tiny_models.translator())
    (tmp_path / "made" / "model").rename(tmp_path / "work" / "model")
    (tmp_path / "text" / "data").mkdir(parents=True)
    (tmp_path / "text" / "data" / "meta.json").touch()
    outcome = run(*words)
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {message}")


def test_one_level_off_from_word_vectors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "embeddings").mkdir(parents=True)
    (tmp_path / "work" / "embeddings" / "meta.json").touch()
    outcome = run("neighbors", "king", "--vectors", "work")
    assert outcome.err.startswith("error: work is a workspace; its word vectors are work/embeddings\n")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "convert-embeddings a b.vec",
            "unexpected argument: b.vec\n  hint: the only argument is OUTPUT; --vectors names the input\n",
        ),
        ("convert-embeddings a b c", "unexpected arguments: b c\n  hint: `rnnkit convert-embeddings --help`"),
        ("convert-ngrams a b.arpa", "unexpected argument: b.arpa\n  hint: the only argument is OUTPUT; --model names"),
        ("align corpus", "unexpected argument: corpus\n  hint: to name the output, use --output corpus\n"),
    ],
)
def test_unexpected_arguments(run: Run, typed: str, message: str) -> None:
    outcome = run(*typed.split())
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {message}")


def test_more_processes_than_cores(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnkit.cli.command.available_cores", lambda: 2)
    assert "warning: 99 processes share 2 cores: --processes 2 is faster\n" in run("vocab", "--processes", "99").err
    assert "share" not in run("vocab", "--processes", "2").err
