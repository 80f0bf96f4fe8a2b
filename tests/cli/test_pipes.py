"""Text through pipes: every command that reads text gives for a pipe what it gives for a file."""

from __future__ import annotations

import dataclasses
import gzip
import os
import threading
import typing
from pathlib import Path

import pytest

from rnnkit.cli import commands

from .conftest import Run

TEXTS = {
    "a": "the king sees a cat\na cat sees the king\nthe queen sees the cat\n",
    "b": "der könig sieht eine katze\neine katze sieht den könig\ndie königin sieht die katze\n",
    "links": "0-0 1-1 2-2\n0-0 1-1\n\n",
    "lexicon": "q\ta b\nq\ta c\nr\td\n",
    "pairs": "king\tqueen\t9\ncat\tking\t2\nqueen\tcat\t1\n",
    "vectors": "3 2\nking 1 0\nqueen 0.9 0.1\ncat 0 1\n",
}

LINES: dict[str, str] = {
    "detokenize": "detokenize a --work w",
    "vocab": "vocab a b --output out",
    "extract": "extract pairs --columns x=1,y=3 --split test=1 --output out",
    "phrases": "phrases a b --min-count 1 --threshold 0.1 --output out",
    "align": "align --train a b --source de --target en --vocab v --output out",
    "align-words": "align-words a b --compare links --threads 1 --output out",
    "bleu": "bleu a --hypotheses b",
    "error-rate": "error-rate a --hypotheses b",
    "evaluate-labels": "evaluate-labels a --hypotheses b",
    "evaluate-embeddings": "evaluate-embeddings pairs --vectors vectors",
}
"""A command line of each; the texts among its words are given as files, then as pipes."""

ELSEWHERE = {
    "decode", "score", "convert-ngrams", "convert-embeddings", "neighbors", "similarity", "analogy", "odd-one-out",
    "plot", "inspect", "train", "train-seq2seq", "train-lm", "train-embeddings",
    "train-tagger", "train-classifier",
}  # fmt: skip
"""Commands whose pipes are tested with their models and vectors."""

NONE = {"tokenize", "represent", "diagnose", "average", "verify", "demo"}
"""Commands that read artefacts, or that refuse pipes: `tokenize` takes one on standard input."""


def test_every_command_that_reads_files_is_covered() -> None:
    reading = set()
    for name, command in commands.COMMANDS.items():
        hints = typing.get_type_hints(command.options_type)
        kinds = [hints[field.name] for field in dataclasses.fields(command.options_type)]
        if any(kind is Path or Path in typing.get_args(kind) for kind in kinds):
            reading.add(name)
    assert reading <= {*LINES, *ELSEWHERE, *NONE}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("command", LINES)
def test_a_pipe_is_a_file(run: Run, tmp_path: Path, command: str, packed: bool) -> None:
    (tmp_path / "pipes").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert run("tokenize", "--work", "w", "a", "--type", "words").code == 0
    assert run("vocab", "a", "b", "--output", "v").code == 0
    words = LINES[command].split()
    outcomes, written = [], []
    for through in (False, True):
        given = [feed(tmp_path / "pipes", word, packed) if through and word in TEXTS else word for word in words]
        outcome = run(*given)
        assert outcome.code == 0, outcome.err
        outcomes.append(outcome.out.replace("pipes/", ""))
        written.append({path.name: path.read_bytes() for path in outputs(tmp_path)})
        for path in outputs(tmp_path):
            path.unlink()
        if (tmp_path / "out").is_dir():
            (tmp_path / "out").rmdir()
    assert outcomes[0] == outcomes[1]
    assert written[0] == written[1]


def outputs(folder: Path) -> list[Path]:
    """What a command wrote, but for manifests, which hold the names of inputs."""
    found = [*folder.glob("out*"), *folder.glob("out/*")]
    for path in found:
        if path.name.endswith("meta.json"):
            path.unlink()
    return [path for path in found if path.is_file()]


def feed(folder: Path, name: str, packed: bool) -> str:
    """A pipe with a text in it."""
    pipe, content = folder / name, TEXTS[name].encode()
    if not pipe.exists():
        os.mkfifo(pipe)
    content = gzip.compress(content) if packed else content
    threading.Thread(target=lambda: pipe.write_bytes(content), daemon=True).start()
    return str(pipe.relative_to(folder.parent))


def test_inspect_reads_what_the_shell_pipes(run: Run, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, TEXTS["a"].encode())
    os.close(writing)
    outcome = run("inspect", f"/dev/fd/{reading}")
    os.close(reading)
    assert outcome.out.startswith(f"/dev/fd/{reading}: text\n"), outcome.err
    os.mkfifo(tmp_path / "fifo")  # on which a reader without a writer would wait forever
    assert "a pipe can be read once" in run("inspect", "fifo").err
