"""Command lines of `decode` with language models and cloze models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tiny_models import counts, counts_folder, filler, filler_folder, speaker, speaker_folder

from .conftest import Run


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts"
    path.write_text("the king\n\nthe cat sat\n", encoding="utf-8")
    return path


def test_a_workspace_model_goes_on_from_prompts(run: Run, prompts: Path) -> None:
    speaker_folder(Path("work"), speaker())
    words = ("decode", str(prompts), "--threads", "1", "--max-length", "8")
    greedy = run(*words)
    assert (greedy.code, greedy.out.count("\n")) == (0, 3)
    assert "work/model: best weights, lstm en" in greedy.err
    drawn = [
        run(*words, "--temperature", "0.8", "--top-p", "0.9", "--seed", seed, "--quiet") for seed in ("7", "7", "8")
    ]
    assert [one.code for one in drawn] == [0, 0, 0]
    assert drawn[0].out == drawn[1].out != drawn[2].out
    assert drawn[0].err == ""
    ranked = run(*words, "--beam", "3", "--nbest", "3", "--json")
    assert [len(json.loads(line)["outputs"]) for line in ranked.out.splitlines()] == [3, 3, 3]


@pytest.mark.parametrize("name", ["out.decode.json", "out.partial.decode.json", "run.toml"])
def test_what_stands_beside_the_output_stays(run: Run, prompts: Path, tmp_path: Path, name: str) -> None:
    speaker_folder(Path("work"), speaker())
    content = "" if name == "run.toml" else "mine"
    (tmp_path / name).write_text(content)
    words = ["decode", str(prompts), "--threads", "1", "--max-length", "3", "--overwrite"]
    output = "run.toml" if name == "run.toml" else "out"
    given = ["--config", "run.toml"] if name == "run.toml" else []
    outcome = run(*words, *given, "--output", output)
    assert outcome.code == 1
    assert f"{name} " in outcome.err and "not replaced" in outcome.err
    assert (tmp_path / name).read_text() == content


def test_the_output_file_has_the_same_bytes_as_the_pipe(run: Run, prompts: Path) -> None:
    model = str(counts_folder(Path("counts"), counts(), "spaces"))
    words = ("decode", str(prompts), "--model", model, "--sample", "--quiet")
    piped = run(*words)
    assert run(*words, "--output", "out").code == 0
    assert Path("out").read_text(encoding="utf-8") == piped.out
    taken = run(*words, "--output", "out").err
    assert all(value in taken for value in ("error: out ", "--overwrite", "--output", "--work"))
    lines = len(Path("out").read_bytes().splitlines())
    assert run(*words[:-1], "--output", "out", "--overwrite").err.endswith(f"out: {lines} lines\n")


def test_gaps_are_filled(run: Run) -> None:
    filler_folder(Path("work"), filler())
    Path("lines").write_text("I am ___ very hungry\n", encoding="utf-8")
    filled = run("decode", "lines", "--fill", "--nbest", "5", "--threads", "1", "--quiet")
    assert (filled.code, filled.err) == (0, "")
    lines = filled.out.splitlines()
    assert len(set(lines)) == 5
    for line in lines:
        assert line.startswith("I am")
        assert line.endswith("very hungry")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", "0"], "--temperature must be positive, got 0.0\n"),
        (["--temperature", "warm"], "--temperature expects a number, not 'warm'\n"),
        (["--top-k", "0"], "--top-k must be at least 1, got 0\n"),
        (["--top-k", "2.5"], "--top-k expects an integer, not '2.5'\n"),
        (["--top-p", "1.5"], "--top-p must be above 0 and at most 1, got 1.5\n"),
        (["--seed", "-1"], "--seed must be at least 0, not -1\n"),
        (["--beam", "2", "--sample"], "--beam 2 cannot be combined with --sample\n"),
        (["--fill"], "--fill needs masked language models, and work/model is a language model\n"),
        (["--nbest", "2"], "--nbest (2) must not exceed --beam (1)\n"),
    ],
)
def test_invalid_options_are_usage_errors(run: Run, prompts: Path, words: list[str], message: str) -> None:
    speaker_folder(Path("work"), speaker())
    outcome = run("decode", str(prompts), *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}")


def test_a_configuration_file_may_say_it_too(run: Run, prompts: Path) -> None:
    speaker_folder(Path("work"), speaker())
    Path("c.toml").write_text("[decode]\ntop-k = 3\nseed = 5\nprompt = false\n", encoding="utf-8")
    words = ("decode", str(prompts), "--threads", "1", "--quiet")
    same = run(*words, "--top-k", "3", "--seed", "5", "--no-prompt")
    assert same.code == 0
    assert run(*words, "--config", "c.toml").out == same.out
