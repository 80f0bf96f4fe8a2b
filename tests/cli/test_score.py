"""`rnnkit score` as it is typed: where its lines go, JSON, pipes, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from tests import tiny_models

from .conftest import Run

TEXT = "the king sat\nthe zebra ran\n"


@pytest.fixture
def score(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder with two models and a text, which is also what stands on standard input."""
    tiny_models.speaker_folder(Path("a"), tiny_models.speaker(), "spaces")
    tiny_models.counts_folder(Path("b"), tiny_models.counts(), "spaces")
    Path("test.txt").write_text(TEXT, encoding="utf-8")

    def call(*words: str) -> object:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
        return run("score", "--threads", "1", "--device", "cpu", *words)

    return call  # type: ignore[return-value]


def test_lines_on_stdout_and_summary_on_stderr(score: Run) -> None:
    outcome = score("test.txt", "--model", "a/model")
    assert outcome.code == 0
    first, second = (line.split("\t") for line in outcome.out.splitlines())
    assert float(first[0]) * 2.302585 == pytest.approx(float(first[1]), abs=1e-3)
    assert (first[2:], second[2:]) == (["4", "0"], ["4", "1"])
    assert "perplexity" in outcome.err
    assert score("--model", "a/model").out == outcome.out, "a pipe is read as a file is"
    quiet = score("test.txt", "--model", "a/model", "--quiet")
    assert quiet.out == outcome.out
    assert [line.split()[0] for line in quiet.err.splitlines()][:4] == ["lines", "tokens,", "unknown", "perplexity"]
    assert "warning" not in quiet.err


def test_the_summary_alone_is_the_result(score: Run) -> None:
    outcome = score("test.txt", "--model", "a/model", "--summary", "--quiet")
    assert outcome.out.splitlines()[0].split() == ["lines", "2"]
    assert outcome.err == ""
    document = json.loads(score("test.txt", "--model", "a/model", "--summary", "--json").out)
    assert document["summary"]["characters"] == len(TEXT)


def test_json_is_an_object_a_line_and_one_with_the_summary(score: Run) -> None:
    outcome = score("test.txt", "--model", "b/model", "--json", "--tokens", "--quiet")
    first, second, last = map(json.loads, outcome.out.splitlines())
    assert (first["line"], second["line"]) == (1, 2)
    assert [token["token"] for token in second["token_scores"]] == ["the", "zebra", "ran", "</s>"]
    assert [token["known"] for token in second["token_scores"]] == [True, False, True, True]
    assert last["summary"]["ln"] == pytest.approx(first["ln"] + second["ln"])
    assert last["summary"]["mixture"] == [
        {"name": "b/model", "weight": 1.0, "perplexity": last["summary"]["perplexity"]}
    ]


def test_output_is_written_to_a_file_and_kept(score: Run) -> None:
    expected = score("test.txt", "--model", "a/model", "--tokens").out
    written = score("test.txt", "--model", "a/model", "--tokens", "--output", "scores")
    assert written.out == ""
    assert f"scores: {len(expected.splitlines())} lines\n" in written.err
    assert Path("scores").read_text(encoding="utf-8") == expected
    again = score("test.txt", "--model", "a/model", "--output", "scores")
    assert again.code == 1
    assert all(value in again.err for value in ("error: scores ", "--overwrite", "--output", "--work"))


def test_weights_are_fitted_and_reported(score: Run) -> None:
    outcome = score("test.txt", "--model", "a/model", "--interpolate", "b/model", "--tune", "test.txt", "--summary")
    assert outcome.code == 0
    assert outcome.err.startswith("fitted on test.txt (perplexity ")
    names = [line.split()[0] for line in outcome.out.splitlines()[-3:]]
    assert names == ["component", "a/model", "b/model"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--interpolate", "b/model"], 2, "error: the weight of b/model is missing\n  hint: give"),
        (
            ["--interpolate", "b/model:1.2"],
            2,
            "error: --interpolate b/model:1.2: the weight must be between 0 and 1, got 1.2\n",
        ),
        (["--cache-weight", "2", "--cache"], 2, "error: --cache-weight must be at most 1, not 2\n"),
        (["--model", "nothing"], 1, "error: there is no model at nothing\n"),
        (["--tune", "missing", "--cache"], 1, "error: file not found: missing\n"),
        (["--device", "gpu"], 2, "error: --device cannot be 'gpu'\n"),
    ],
)
def test_errors(score: Run, words: list[str], code: int, message: str) -> None:
    outcome = score("test.txt", "--model", "a/model", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(message)
