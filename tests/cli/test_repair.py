"""Every command that reads word vectors: imperfect files with `--repair` and without, and vectors from a pipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from tests.embeddings.formats.test_pipes import feed
from tests.topics import write_topics
from tests.word_vectors import ROYALS, write_vectors
from tests.workspaces import SMALL, SMALL_TEXT, make_labelled_workspace, make_text_workspace, make_workspace

from rnnkit.cli.commands import COMMANDS
from rnnkit.stages.text import align, align_options

from .conftest import Run

VECTORS = ("vectors", "embeddings", "word_vectors", "init_from")
"""Options that name vectors; `--init-from` of other trainers names models."""

COUNTS = {"words that are not UTF-8": 1, "duplicate words": 1, "wrong header counts": 1, "missing final newlines": 1}


@dataclass(frozen=True)
class Use:
    """How a command is called with vectors.

    Attributes:
        words: The command line, VECTORS in the place of their path.
        listed: Where the list of repairs is in what is printed with `--json`; None where it is not there.
    """

    words: Sequence[str]
    listed: Callable[[str], dict[str, object]] | None = lambda out: json.loads(out)["repairs"]


def _behind_answers(out: str) -> dict[str, object]:
    repairs: dict[str, object] = json.loads(out.splitlines()[-1])["repairs"]
    return repairs


QUICK = {
    "neighbors": Use(["king", "--vectors", "VECTORS"], _behind_answers),
    "similarity": Use(["king", "queen", "--vectors", "VECTORS"], _behind_answers),
    "analogy": Use(["king - man + woman", "--vectors", "VECTORS"], _behind_answers),
    "odd-one-out": Use(["king", "queen", "one", "--vectors", "VECTORS"], _behind_answers),
    "evaluate-embeddings": Use(["pairs.tsv", "--vectors", "VECTORS"]),
    "convert-embeddings": Use(["out", "--vectors", "VECTORS"]),
    "plot": Use(["--vectors", "VECTORS", "--output", "map.svg"]),
    "train-embeddings": Use(["text", "--init-from", "VECTORS", "--output", "more", "--epochs", "1", "--threads", "1"]),
}
LABELS = ["--hidden", "8", "--embedding", "10", "--threads", "1", "--dry-run"]
TRAINERS = {
    "train": Use([*SMALL, "--dry-run", "--embeddings", "VECTORS", "--work", "pairs/work"], None),
    "train-seq2seq": Use([*SMALL, "--dry-run", "--embeddings", "VECTORS", "--work", "pairs/work"], None),
    "train-tagger": Use([*LABELS, "--embeddings", "VECTORS", "--work", "labels/work"], None),
    "train-classifier": Use(
        [*LABELS, "--embeddings", "VECTORS", "--work", "labels/work", "--data", "labels/work/long"], None
    ),
    "train-lm": Use([*SMALL_TEXT, "--dry-run", "--embeddings", "VECTORS", "--work", "text-work/work"], None),
}
USES = {**QUICK, **TRAINERS}
WRITERS = ("convert-embeddings", "plot", "train-embeddings")


def spoil(path: Path) -> bytes:
    """Make a file of vectors imperfect in four ways."""
    header, *rows = path.read_bytes().splitlines()
    dimension = int(header.split()[1])
    numbers = b" ".join([b"0.5"] * dimension)
    return b"\n".join([b"99 %d" % dimension, *rows, b"\xe6\x97\xa5\xe6\x9c " + numbers, rows[0]])


@pytest.fixture
def files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands read, in the folder where `run` works."""
    whole = write_vectors(Path("whole.txt"))
    Path("imperfect.txt").write_bytes(spoil(whole))
    Path("pairs.tsv").write_text("king\tqueen\t9\nman\twoman\t8\none\tking\t1\n", encoding="utf-8")
    write_topics(Path("text"))


@pytest.fixture
def workspaces(files: None) -> None:
    """Aligned data of two sides and of one."""
    for folder in (Path("pairs"), Path("text-work"), Path("labels")):
        folder.mkdir()
    make_workspace(Path("pairs"))
    make_text_workspace(Path("text-work"))
    work = make_labelled_workspace(Path("labels"), "tags")
    align.run(align_options.AlignOptions(text="form", labels=["long"], work=work, output=work / "long"))
    rows = {word: (*row, 0.1, 0.2, 0.3, 0.4, 0.5) for word, row in {**ROYALS, "the": ROYALS["one"]}.items()}
    Path("imperfect.txt").write_bytes(spoil(write_vectors(Path("whole.txt"), rows)))


def called(name: str, path: str, *more: str) -> list[str]:
    return [name, *(path if word == "VECTORS" else word for word in USES[name].words), *more]


def test_every_reader_of_vectors_is_here() -> None:
    readers = {
        name
        for name, command in COMMANDS.items()
        for field in fields(command.options_type)
        if field.name in VECTORS and (field.name != "init_from" or name == "train-embeddings")
    }
    assert readers == set(USES)


@pytest.mark.parametrize("name", QUICK)
def test_imperfect_vectors(run: Run, files: None, name: str) -> None:
    _hold(run, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINERS)
def test_networks_start_from_imperfect_vectors(run: Run, workspaces: None, name: str) -> None:
    _hold(run, name)


def _hold(run: Run, name: str) -> None:
    strict = run(*called(name, "imperfect.txt"))
    assert strict.code == 1, strict
    assert "error: imperfect.txt:" in strict.err
    assert "--repair" in strict.err
    done = run(*called(name, "imperfect.txt", "--repair"))
    assert done.code == 0, done
    assert done.err.count("repaired or skipped") == 1
    assert all(f"{kind} ({count})" in done.err for kind, count in COUNTS.items())
    whole = run(*called(name, "whole.txt", "--repair", *(["--overwrite"] if name in WRITERS else [])))
    assert whole.code == 0, whole
    assert "repaired" not in whole.err


@pytest.mark.parametrize("name", QUICK)
def test_repairs_are_listed_with_json(run: Run, files: None, name: str) -> None:
    done = run(*called(name, "imperfect.txt", "--repair", "--json"))
    assert done.code == 0, done
    listed = USES[name].listed
    assert listed is not None
    found = listed(done.out)
    assert found["path"] == "imperfect.txt"
    assert found["counts"] == COUNTS
    repairs = found["repairs"]
    assert isinstance(repairs, list)
    assert len(repairs) == 4
    assert {one["kind"] for one in repairs} == set(COUNTS)
    assert all(one["place"].startswith("imperfect.txt:") for one in repairs)


@pytest.mark.parametrize("name", QUICK)
def test_without_repair_the_result_is_as_ever(run: Run, files: None, name: str) -> None:
    done = run(*called(name, "whole.txt", "--json"))
    assert done.code == 0, done
    assert "repairs" not in done.out


@pytest.mark.parametrize("name", QUICK)
def test_vectors_from_a_pipe(run: Run, files: None, name: str) -> None:
    assert run("convert-embeddings", "royals.bin", "--to", "word2vec-binary", "--vectors", "whole.txt").code == 0
    expected = run(*called(name, "royals.bin", "--quiet"))
    thread = feed(Path("pipe"), Path("royals.bin").read_bytes())
    done = run(*called(name, "pipe", "--quiet", *(["--overwrite"] if name in WRITERS else [])))
    thread.join()
    assert (done.code, expected.code) == (0, 0), done
    if name != "evaluate-embeddings":
        assert done.out == expected.out


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINERS)
def test_networks_start_from_a_pipe(run: Run, workspaces: None, name: str) -> None:
    thread = feed(Path("pipe"), Path("whole.txt").read_bytes())
    done = run(*called(name, "pipe"))
    thread.join()
    assert done.code == 0, done
    assert "embeddings from pipe" in done.err


def test_spaces_in_words(run: Run, files: None) -> None:
    """A word with a space can be asked about; formats that cannot carry it get an underscore."""
    Path("spaces.txt").write_bytes(b"3 2\nnew york 1 0\nold_york 0 1\nold york 1 1\n")
    asked = run("neighbors", "new york", "--vectors", "spaces.txt", "--repair", "--count", "1")
    assert asked.out == "new york\n  old york  0.7071\n"
    done = run("convert-embeddings", "out.txt", "--vectors", "spaces.txt", "--repair", "--json")
    assert Path("out.txt").read_text(encoding="utf-8") == "2 2\nnew_york 1 0\nold_york 0 1\n"
    counts = json.loads(done.out)["repairs"]["counts"]
    assert counts == {"words with a space": 2, "spaces written as underscores": 1, "duplicate words": 1}
    assert (
        run("convert-embeddings", "kept.bin", "--to", "fasttext-binary", "--vectors", "spaces.txt", "--repair").code
        == 0
    )
    assert run("neighbors", "new york", "--vectors", "kept.bin", "--count", "1").code == 0
