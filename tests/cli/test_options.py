"""Flags, environment, file and defaults, as the command line merges them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run


def shown(run: Run, *words: str) -> dict[str, Any]:
    outcome = run("toy", "--json", *words)
    assert (outcome.code, outcome.err) == (0, "")
    result: dict[str, Any] = json.loads(outcome.out)
    return result


def test_defaults(run: Run) -> None:
    assert shown(run) == {
        "files": [],
        "act": "show",
        "train": [],
        "work": "work",
        "output": None,
        "arch": "lstm",
        "tie": True,
        "lambda": 0.5,
        "beam": 5,
        "length": None,
    }


def test_flag_beats_environment_beats_file_beats_default(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rnnkit.toml").write_text('[toy]\nbeam = 2\narch = "gru"\ntie = false\ntrain = ["a", "b"]\nlambda = 1\n')
    monkeypatch.setenv("RNNKIT_BEAM", "3")
    monkeypatch.setenv("RNNKIT_ARCH", "rnn")
    monkeypatch.setenv("RNNKIT_LAMBDA", "-0.25")
    options = shown(run, "--config", "rnnkit.toml", "--beam", "4")
    assert (options["beam"], options["arch"], options["tie"]) == (4, "rnn", False)
    assert (options["train"], options["lambda"]) == (["a", "b"], -0.25)


def test_empty_variable_says_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNKIT_BEAM", "")
    assert shown(run)["beam"] == 5


def test_common_options_come_from_the_environment_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rnnkit.toml").write_text("[toy]\nbeam = 2\n")
    monkeypatch.setenv("RNNKIT_CONFIG", "rnnkit.toml")
    monkeypatch.setenv("RNNKIT_QUIET", "yes")
    outcome = run("toy", "--act", "talk")
    assert (outcome.code, outcome.out, outcome.err) == (0, "a result\n", "")
    assert shown(run)["beam"] == 2


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--beam=7"], "beam", 7),
        (["--lambda", "-0.5"], "lambda", -0.5),
        (["--lambda=-.5"], "lambda", -0.5),
        (["--output", "-"], "output", "-"),
        (["--no-tie"], "tie", False),
        (["--no-tie", "--tie"], "tie", True),
        (["--beam", "2", "--beam", "3"], "beam", 3),
        (["--train", "a.de", "a.en", "--beam", "2"], "train", ["a.de", "a.en"]),
        (["--beam", "2", "--train", "a.de", "-"], "train", ["a.de", "-"]),
        (["--train", "a.de", "--train", "a.en"], "train", ["a.de", "a.en"]),
        (["--train", "a.de,a.en"], "train", ["a.de", "a.en"]),
        (["--train=a.de,a.en", "b"], "train", ["a.de", "a.en"]),
        (["--train=a.de,a.en", "b"], "files", ["b"]),
        (["--train", "a.de", "a.en", "--", "x"], "files", ["x"]),
        (["x", "-", "--beam", "2", "y"], "files", ["x", "-", "y"]),
        (["--", "--beam"], "files", ["--beam"]),
    ],
)
def test_ways_to_write_a_value(run: Run, words: list[str], name: str, value: object) -> None:
    assert shown(run, *words)[name] == value


def test_print_config_reads_back(run: Run) -> None:
    given = ["--act", 'quo"te\\n', "--beam", "3", "--no-tie", "--train", "ä b", "c", "--lambda", "1e-05", "file"]
    printed = run("toy", *given, "--print-config")
    assert (printed.code, printed.err) == (0, "")
    table = tomllib.loads(printed.out)["toy"]
    assert table["train"] == ["ä b", "c"]
    assert table["lambda"] == 1e-05
    assert "# length is not set" in printed.out
    Path("again.toml").write_text(printed.out, encoding="utf-8")
    assert shown(run, "--config", "again.toml") == shown(run, *given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[toy]\nbaem = 3\n", "error: c.toml: [toy] has an unknown key 'baem'\n  hint: did you mean 'beam'?\n"),
        ("[toi]\nbeam = 3\n", "error: c.toml: no command is named [toi]\n  hint: did you mean 'toy'?\n"),
        (
            "beam = 3\n",
            "error: c.toml: 'beam' is not inside a table\n"
            "  hint: put the options of a command below its name, such as [toy]\n",
        ),
        ('[toy]\nbeam = "many"\n', "error: c.toml: [toy] beam expects an integer, not 'many'\n"),
        ("[toy]\nbeam = 2.5\n", "error: c.toml: [toy] beam expects an integer, not 2.5\n"),
        ("[toy]\ntrain = 1\n", "error: c.toml: [toy] train expects a path, not 1\n"),
        ("[toy]\nbeam = 0\n", "error: c.toml: [toy] beam must be at least 1, not 0\n"),
        ("[toy]\ntie = 1\n", "error: c.toml: [toy] tie expects true or false, not 1\n"),
    ],
)
def test_bad_configuration_file(run: Run, text: str, message: str) -> None:
    Path("c.toml").write_text(text)
    outcome = run("toy", "--config", "c.toml")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", message)


def test_configuration_file_that_is_not_there_or_not_toml(run: Run) -> None:
    missing = run("toy", "--config", "c.toml")
    assert missing.err == "error: cannot read the configuration file c.toml\n  No such file or directory\n"
    Path("c.toml").write_text("[toy\n")
    broken = run("toy", "--config", "c.toml")
    assert (broken.code, broken.err.splitlines()[0]) == (1, "error: c.toml is not valid TOML")


def test_bad_variable_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNKIT_ARCH", "lstn")
    outcome = run("toy")
    assert outcome.code == 1
    assert outcome.err == (
        "error: RNNKIT_ARCH (--arch) cannot be 'lstn'\n  choose from: rnn, gru, lstm\n  hint: did you mean 'lstm'?\n"
    )
