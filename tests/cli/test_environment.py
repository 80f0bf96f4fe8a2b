"""Environment variables: each has one meaning; former names still work, and misspelt ones are reported."""

from __future__ import annotations

import typing
from collections import defaultdict
from pathlib import Path

import pytest
from tests.workspaces import make_text_workspace

from rnnkit.cli.commands import COMMANDS
from rnnkit.options.declare import Parameter

from .conftest import Run

ONE_MEANING = {
    "RNNKIT_ARCH": "architecture to train",
    "RNNKIT_BASELINE": "output of a baseline",
    "RNNKIT_BATCH_TOKENS": "batch size in training, in tokens",
    "RNNKIT_BIDIRECTIONAL": "bidirectional layers",
    "RNNKIT_BOOTSTRAP_SAMPLES": "bootstrap resamples",
    "RNNKIT_BUCKETS": "buckets of hashed n-grams",
    "RNNKIT_CHECKPOINT": "weights of a model to load",
    "RNNKIT_CLIP": "norm to clip gradients to",
    "RNNKIT_COUNT": "answers to a question",
    "RNNKIT_DATA": "directory that `align` makes",
    "RNNKIT_DROPOUT": "dropout rate",
    "RNNKIT_EMBEDDING": "embedding dimension",
    "RNNKIT_EMBEDDINGS": "word vectors that initialize embeddings",
    "RNNKIT_EPOCHS": "epochs of training a network",
    "RNNKIT_HEADS": "attention heads",
    "RNNKIT_HYPOTHESES": "output to score",
    "RNNKIT_INIT_FROM": "model whose weights training starts from",
    "RNNKIT_JSON": "print JSON",
    "RNNKIT_LABEL_LEVEL": "what has a label",
    "RNNKIT_LAYERS": "number of layers",
    "RNNKIT_LEXICON": "lexicon that `align-words` writes and `decode` reads",
    "RNNKIT_MERGE": "join what several shards made",
    "RNNKIT_MODEL": "model directory to load",
    "RNNKIT_MULTI_LABEL": "several labels per text",
    "RNNKIT_OUTPUT": "output of the command",
    "RNNKIT_OVERWRITE": "replace existing outputs",
    "RNNKIT_PRECISION": "precision of matrix multiplications",
    "RNNKIT_REPAIR": "repair imperfect files",
    "RNNKIT_RESIDUAL": "residual connections",
    "RNNKIT_RESTRICT": "most frequent words to search",
    "RNNKIT_RESUME": "resume an interrupted run",
    "RNNKIT_SCHEDULE": "learning-rate schedule",
    "RNNKIT_SEED": "random seed",
    "RNNKIT_SHARD": "part I of N to process",
    "RNNKIT_SHORTLIST": "shortlist that `align-words` writes and `decode` reads",
    "RNNKIT_SPLIT": "split of the data",
    "RNNKIT_THREADS": "threads",
    "RNNKIT_TIED": "tied embeddings",
    "RNNKIT_TOKENIZER": "tokenizer directory",
    "RNNKIT_VOCAB": "vocabulary files",
    "RNNKIT_WARMUP": "steps of warm-up",
}
"""What the uses of a variable whose help differs from command to command have in common."""


def uses() -> dict[str, list[tuple[str, Parameter]]]:
    """Commands and parameters by variable; `train` has those of the commands that it runs."""
    found = defaultdict(list)
    for command in COMMANDS.values():
        for parameter in command.parameters if command.name != "train" else ():
            if parameter.variable is not None:
                found[parameter.variable].append((command.name, parameter))
    return found


def test_one_variable_has_one_meaning() -> None:
    found = uses()
    several = {name for name, each in found.items() if len({parameter.declared.help for _, parameter in each}) > 1}
    assert several == set(ONE_MEANING)


def test_one_variable_has_one_type() -> None:
    for name, each in uses().items():
        kinds = {typing.get_args(each.kind)[0] if each.is_list else each.kind for _, each in each}
        assert len(kinds) == 1, (name, kinds)


RENAMED = [
    ("train-lm", "columns", "batch-size", "7"),
    ("decode", "alpha", "length-penalty", "0.5"),
    ("tokenize", "normalise", "normalize", "nfkc"),
    ("error-rate", "normalise", "normalize", "nfkc"),
    ("align-words", "symmetrise", "symmetrize", "union"),
]


@pytest.mark.parametrize(("command", "old", "new", "value"), RENAMED)
@pytest.mark.parametrize("way", ["flag", "variable", "key"])
def test_former_names_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, old: str, new: str, value: str, way: str
) -> None:
    variable = {parameter.key: parameter.variable for parameter in COMMANDS[command].parameters}[new]
    words = ["ref.txt"] if command == "error-rate" else []
    if way == "flag":
        words += [f"--{old}", value]
    elif way == "variable":
        monkeypatch.setenv(f"RNNKIT_{old.upper()}", value)
        monkeypatch.setenv(str(variable), "unset")  # so that the patch takes back what the call sets
        monkeypatch.delenv(str(variable))
    else:
        quoted = value if value[0].isdecimal() else f'"{value}"'
        Path("c.toml").write_text(f"[{command}]\n{old} = {quoted}\n")
        words += ["--config", "c.toml"]
    outcome = run(command, *words, "--print-config")
    assert outcome.code == 0
    assert f"{new} = {value}" in outcome.out.replace('"', "")
    names = {"flag": (f"--{old}", f"--{new}"), "variable": (f"RNNKIT_{old.upper()}", variable)}
    if way in names:
        assert outcome.err == "warning: {} is now {}; the former name works until the next release\n".format(
            *names[way]
        )


@pytest.mark.parametrize("words", [["--columns", "7"], []], ids=["flag", "variable"])
def test_train_warns_once(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]) -> None:
    make_text_workspace(tmp_path)
    monkeypatch.setenv("RNNKIT_BATCH_SIZE", "unset")  # so that the patch takes back what the call sets
    monkeypatch.delenv("RNNKIT_BATCH_SIZE")
    if not words:
        monkeypatch.setenv("RNNKIT_COLUMNS", "7")
    outcome = run("train", *words, "--print-config")
    assert (outcome.code, outcome.err.count("is now")) == (0, 1)
    assert "batch-size = 7" in outcome.out


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("RNNKIT_BEEM", "RNNKIT_BEEM is not a variable of rnnkit: did you mean RNNKIT_BEAM?"),
        ("RNNKIT_FROBNICATE", "RNNKIT_FROBNICATE is not a variable of rnnkit: no command reads it"),
        ("RNNKIT_METHOD", "RNNKIT_METHOD is not read here: --method is RNNKIT_BLEU_METHOD"),
    ],
)
def test_variables_that_are_not_read(run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, message: str) -> None:
    monkeypatch.setenv(variable, "x")
    assert f"warning: {message}\n" in run("bleu", "missing.txt").err
    assert "warning" not in run("bleu", "missing.txt", "--quiet").err


@pytest.mark.parametrize("variable", ["RNNKIT_ARCH", "RNNKIT_CORPORA", "RNNKIT_DEBUG", "RNNKIT_CONFIG"])
def test_variables_of_other_commands_are_no_mistake(run: Run, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    assert "warning" not in run("bleu", "missing.txt").err
