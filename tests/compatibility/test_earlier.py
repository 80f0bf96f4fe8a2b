"""Artefacts that an earlier version wrote are read as they were: models, vectors, vocabularies, data.

`earlier` holds small ones of the first public state of the project, and what its commands answered with them.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Protocol

import pytest

from rnnkit.cli import app

EARLIER = Path(__file__).with_name("earlier")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EARLIER, tmp_path / "earlier")
    monkeypatch.chdir(tmp_path / "earlier")
    return tmp_path / "earlier"


class Rnnkit(Protocol):
    """Runs a command in this process, and returns its standard output."""

    def __call__(self, *words: str, stdin: str = "") -> str: ...


@pytest.fixture
def rnnkit(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rnnkit:
    def run(*words: str, stdin: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = app.run(words)
        done = capsys.readouterr()
        assert code == 0, done.err
        return done.out

    return run


@pytest.mark.parametrize(
    ("model", "answer"), [("pair/model", "pair/test.lstm"), ("pair/transformer", "pair/test.transformer")]
)
def test_decode(rnnkit: Rnnkit, model: str, answer: str) -> None:
    out = rnnkit("decode", "test.de", "--model", model, "--beam", "2", "--threads", "1")
    assert out == Path(answer).read_text(encoding="utf-8")


@pytest.mark.parametrize(("model", "answer"), [("text/lm", "text/score.lm"), ("text/counts", "text/score.counts")])
def test_score(rnnkit: Rnnkit, model: str, answer: str) -> None:
    out = rnnkit("score", "valid.txt", "--model", model, "--threads", "1")
    found = [float(word) for word in out.split()]
    assert found == pytest.approx([float(word) for word in Path(answer).read_text(encoding="utf-8").split()], abs=2e-4)


def test_fill(rnnkit: Rnnkit) -> None:
    out = rnnkit("decode", "--fill", "--model", "text/cloze", "--threads", "1", stdin="the ___ sat\n")
    assert out == Path("text/fill").read_text(encoding="utf-8")


def test_neighbors(rnnkit: Rnnkit) -> None:
    out = rnnkit("neighbors", "the", "--vectors", "text/embeddings", "--count", "3")
    assert out == Path("text/neighbors").read_text(encoding="utf-8")


def test_inspect_and_verify(rnnkit: Rnnkit) -> None:
    folders = ["pair/model", "pair/transformer", "text/lm", "text/cloze", "text/counts", "text/embeddings", "pair/data"]
    for folder in folders:
        assert json.loads(rnnkit("inspect", folder, "--json"))
    rnnkit("verify", *(folder for folder in folders if folder != "text/embeddings"))  # its metrics were not listed then


@pytest.mark.slow
def test_training_on_earlier_data(rnnkit: Rnnkit) -> None:
    small = ["--hidden", "8", "--embedding", "8", "--max-steps", "2", "--threads", "1", "--validate-lines", "2"]
    rnnkit("train", "--work", "pair", "--output", "new", *small)
    rnnkit("train", "--work", "pair", "--output", "tuned", "--init-from", "pair/model", *small)
    assert Path("tuned/best.safetensors").is_file()
