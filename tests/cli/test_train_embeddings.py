"""Word vectors as they are learned at a keyboard: text in, neighbours out, and what is said of bad ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.topics import TOPICS, topic_lines, write_topics

from .conftest import Run

LEARN = ["--dimension", "16", "--epochs", "30", "--learning-rate", "0.1", "--threads", "1"]


@pytest.fixture(autouse=True)
def text(run: Run) -> Path:
    """A text of two topics in the folder where `run` works."""
    return write_topics(Path("wiki.txt"))


def test_learned_vectors_are_asked_at_once(run: Run) -> None:
    outcome = run("train-embeddings", "wiki.txt", *LEARN)
    assert (outcome.code, outcome.out) == (0, "")
    notes = outcome.err.splitlines()
    assert notes[-2] == "work/embeddings: 12 vectors of dimension 16"
    assert notes[-1].startswith("loss ") and notes[-1].endswith(" words/s")
    outcome = run("neighbors", "wine", "--count", "5", "--json")
    nearest = {neighbor["word"] for neighbor in json.loads(outcome.out)["neighbors"]}
    assert nearest == set(TOPICS[0]) - {"wine"}
    assert run("odd-one-out", "wine", "bread", "comet").out == "comet\n"
    assert run("verify", "work").code == 0
    outcome = run("inspect", "work/embeddings")
    assert (outcome.code, "12" in outcome.out, "16" in outcome.out) == (0, True, True)


def test_json_is_one_object(run: Run) -> None:
    outcome = run("train-embeddings", "wiki.txt", *LEARN, "--json", "--quiet")
    assert outcome.err == ""
    assert json.loads(outcome.out).keys() == {
        "output", "words", "dimension", "tokens", "epochs", "loss", "seconds", "words_per_second", "memory_bytes",
    }  # fmt: skip


def test_a_dry_run(run: Run) -> None:
    tokens = sum(len(line.split()) for line in topic_lines())
    outcome = run("train-embeddings", "wiki.txt", "--dry-run", "--quiet")
    assert outcome.out.splitlines()[0] == f"words   12, from {tokens:,} words of running text"
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["words", "memory", "disk"]
    outcome = run("train-embeddings", "wiki.txt", "--dry-run", "--quiet", "--json")
    assert json.loads(outcome.out).keys() == {"words", "tokens", "memory_bytes", "disk_bytes"}
    assert not Path("work").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--dimension", "0"], "--dimension must be at least 1, not 0"),
        (["--min-ngram", "5", "--max-ngram", "4"], "--min-ngram 5 is greater than --max-ngram 4"),
        (["--min-count", "0"], "--min-count must be at least 1, not 0"),
        (["--window", "501"], "--window must be at most 500, not 501"),
        (["--noise-exponent", "1000"], "--noise-exponent must be at most 10, not 1000"),
        (["--buckets", "10000000000"], "--buckets must be at most 1000000000, not 10000000000"),
        (["--sample", "nan"], "--sample must be at least 0, not nan"),
        (["--method", "glove"], "--method cannot be 'glove'"),
        (["--loss", "hinge"], "--loss cannot be 'hinge'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(run: Run, words: list[str], complaint: str) -> None:
    outcome = run("train-embeddings", "wiki.txt", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == f"error: {complaint}"
    assert not Path("work").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["none.txt"], "file not found: none.txt"),
        (["."], ". is a folder, not a text file"),
        (["empty.txt"], "the text is empty"),
        (["one.txt"], "only one word, 'the', occurs at least --min-count 5 times"),
        (["wiki.txt", "--min-count", "100000"], "all 12 words are rarer than --min-count 100000"),
        (["bad.txt"], "bad.txt:1:3: not UTF-8 (byte 0xff)"),
        (["wiki.txt", "--output", "there"], "there already exists"),
        (["wiki.txt", "--loss", "softmax", "--min-count", "1", "many.txt"],
         "--loss softmax computes a score for all 20,013 words at every prediction"),
        (["--resume"], "there is no run to resume in work/embeddings"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_inputs_that_cannot_be_learned_from(run: Run, words: list[str], complaint: str) -> None:
    Path("empty.txt").touch()
    Path("one.txt").write_text("the " * 9, encoding="utf-8")
    Path("bad.txt").write_bytes(b"a \xff b\n")
    Path("many.txt").write_text(" ".join(f"word{number}" for number in range(20_001)), encoding="utf-8")
    Path("there").mkdir()
    (Path("there") / "mine").touch()
    outcome = run("train-embeddings", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"error: {complaint}" in outcome.err.splitlines()
    assert "Traceback" not in outcome.err


def test_more_numbers_than_memory(run: Run) -> None:
    outcome = run("train-embeddings", "wiki.txt", "--dimension", "1000000000")
    assert outcome.code == 1
    assert "error: the vectors need 128.0 GB of memory, " in outcome.err
    assert all(name in outcome.err.splitlines()[-1] for name in ("--dimension", "--min-count"))


def test_text_through_a_pipe() -> None:
    command = [sys.executable, "-m", "rnnkit", "train-embeddings", "-", *LEARN, "--json", "--quiet"]
    text = "\n".join(topic_lines())
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["words"] == 12
