"""The text commands, typed one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

LINES = "Hallo, Welt!\n\nzwei\u2028Zeilen?\nnein\n"


@pytest.fixture
def corpus(run: Run) -> Path:
    """A parallel text in the folder where `run` works."""
    for language in ("de", "en"):
        for split in ("train", "valid"):
            Path(f"{split}.{language}").write_text("ein Hund bellt\neine Katze schläft\n" * 3, encoding="utf-8")
    return Path.cwd()


def test_filters_in_a_pipe(tmp_path: Path) -> None:
    command = f"{sys.executable} -m rnnkit tokenize --type chars | tee tokens | {sys.executable} -m rnnkit detokenize"
    made = subprocess.run(
        [sys.executable, "-m", "rnnkit", "tokenize", "-", "--type", "chars", "--json"],
        input=LINES,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert made.stderr == "error: --json reports on files, a filter has none\n"
    (tmp_path / "train.xx").write_text(LINES, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "rnnkit", "tokenize", "train.xx", "--type", "chars"], check=True, cwd=tmp_path
    )
    done = subprocess.run(command, shell=True, input=LINES, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == LINES.replace("\u2028", " ")  # white space of any kind is one space
    assert (tmp_path / "tokens").read_text(encoding="utf-8").splitlines()[0] == "H a l l o , ▁ W e l t !"


def test_reports_say_what_was_written(run: Run, corpus: Path) -> None:
    outcome = run("tokenize", *sorted(path.name for path in corpus.iterdir()), "--type", "words")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines()[:2] == [
        "tokenizer work/tokenizer: words, nfc, new",
        "work/tokens/train.de.tok: 6 lines, 18 tokens",
    ]
    vocabulary = run("vocab", "--json", "--quiet")
    assert json.loads(vocabulary.out)["vocabularies"][0]["path"] == "work/vocab.tsv"
    assert vocabulary.err == ""
    again = run("vocab")
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("error: work/vocab.tsv already exists\n")
