"""Initialization of training: from other vectors, over existing ones, and errors before anything is lost."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.file_limits import limit_files
from tests.raising import raises
from tests.topics import ENOUGH, TOPICS, WORDS, assert_topics_apart, write_topics

from rnnkit.embeddings.training_text import TrainingText
from rnnkit.embeddings.vectors import WordVectors
from rnnkit.errors import ArtefactError, ConfigError, DataError, FormatError, RnnkitError
from rnnkit.events import Event, Progress
from rnnkit.io import manifest
from rnnkit.stages.files import convert_embeddings
from rnnkit.stages.training import embedding_initialization
from rnnkit.stages.training.train_embeddings import TrainEmbeddingsResult, run
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions

OLD = Path("old")
MORE = "wine bread comet tea\ntea wine bread\n"
"""Text with a new word and few of the old ones."""


@pytest.fixture(autouse=True)
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train vectors of two topics in the working directory, and write more text."""
    monkeypatch.chdir(tmp_path)
    write_topics(Path("text"))
    trained(output=OLD)
    Path("more").write_text(MORE * 7, encoding="utf-8")


def trained(**changes: Any) -> TrainEmbeddingsResult:
    result = run(TrainEmbeddingsOptions(**{"text": [Path("text")], "output": Path("new"), **ENOUGH, **changes}))
    assert isinstance(result, TrainEmbeddingsResult)
    return result


def refused(
    kind: type[RnnkitError], *values: object, path: str | None = None, option: str | None = None, **changes: Any
) -> None:
    """Check that training fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        trained(**changes)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def row_of(vectors: WordVectors, word: str) -> NDArray[np.float32]:
    return np.asarray(vectors[word])


def test_init_from_adds_new_words() -> None:
    trained(text=[Path("more")], init_from=OLD, epochs=1, sample=0)
    old, new = WordVectors.load(OLD), WordVectors.load(Path("new"))
    assert sorted(new.words) == sorted([*WORDS, "tea"])
    for word in WORDS:
        same = np.array_equal(row_of(old, word), row_of(new, word))
        assert same == (word not in MORE.split()), f"only what is met learns: {word}"
    assert old.counts is not None and new.counts is not None
    before, after = (dict(zip(v.words, v.counts.tolist(), strict=True)) for v in (old, new) if v.counts is not None)
    assert {word: after[word] - before.get(word, 0) for word in after if after[word] != before.get(word, 0)} == {
        "wine": 14, "bread": 14, "comet": 7, "tea": 14,
    }  # fmt: skip
    assert new.counts.tolist() == sorted(new.counts.tolist(), reverse=True)
    assert manifest.load(Path("new/meta.json")).inputs["vectors"] == manifest.sha256(OLD / manifest.NAME)


def test_init_from_word2vec() -> None:
    convert_embeddings.run(
        convert_embeddings.ConvertEmbeddingsOptions(vectors=OLD, to="word2vec", output=Path("old.vec"))
    )
    trained(text=[Path("more")], init_from=Path("old.vec"), epochs=1)
    new = WordVectors.load(Path("new"))
    assert sorted(new.words) == sorted([*WORDS, "tea"])
    assert np.array_equal(row_of(new, "planet"), row_of(WordVectors.load(OLD), "planet"))
    assert manifest.load(Path("new/meta.json")).inputs["vectors"] == manifest.sha256(Path("old.vec"))


def test_init_from_subwords() -> None:
    trained(output=Path("grams"), subwords=True, min_ngram=2, max_ngram=3)
    trained(
        text=[Path("more")],
        init_from=Path("grams"),
        subwords=True,
        min_ngram=2,
        max_ngram=3,
        epochs=1,
        learning_rate=1e-6,
    )
    before, after = WordVectors.load(Path("grams")), WordVectors.load(Path("new"))
    for word in (*WORDS, "winery"):
        np.testing.assert_allclose(row_of(after, word), row_of(before, word), rtol=0, atol=1e-4)


@pytest.mark.parametrize("cut", [None, (2, 3)])
def test_init_from_sets_dimension_and_ngrams(cut: tuple[int, int] | None) -> None:
    grams = {"subwords": True, "min_ngram": cut[0], "max_ngram": cut[1], "buckets": 50} if cut else {}
    trained(output=Path("known"), **grams)
    given = {**ENOUGH, "epochs": 1}
    del given["dimension"]
    result = run(TrainEmbeddingsOptions(text=[Path("more")], init_from=Path("known"), output=Path("new"), **given))
    assert isinstance(result, TrainEmbeddingsResult)
    assert result.dimension == 16
    meta = manifest.load(Path("new/meta.json"))
    assert meta.facts["subwords"] == manifest.load(Path("known/meta.json")).facts["subwords"]
    assert (meta.options["dimension"], meta.options["subwords"]) == (16, cut is not None)


def test_defaults_without_other_vectors() -> None:
    given = {name: value for name, value in ENOUGH.items() if name != "dimension"}
    run(TrainEmbeddingsOptions(text=[Path("text")], output=Path("new"), subwords=True, **{**given, "epochs": 1}))
    options = manifest.load(Path("new/meta.json")).options
    assert [options[name] for name in ("dimension", "subwords", "min-ngram", "max-ngram")] == [100, True, 3, 6]


@pytest.mark.parametrize(
    "given",
    [
        {"dimension": 7}, {"subwords": False}, {"min_ngram": 3}, {"max_ngram": 4}, {"buckets": 7},
        {"dry_run": True, "dimension": 7}, {"init_from": Path("old"), "subwords": True},
        {"init_from": Path("old"), "dimension": 100},
    ],
    ids=str,
)  # fmt: skip
def test_refuses_conflicts_before_reading_text(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    trained(output=Path("grams"), subwords=True, min_ngram=2, max_ngram=3, buckets=50)

    def read(*given: object) -> None:
        raise AssertionError("the text is read")

    monkeypatch.setattr(TrainingText, "write_ids", read)
    refused(ConfigError, **{"init_from": Path("grams"), "dimension": 16, **given})
    assert not Path("new").exists()


def test_refuses_conflicting_vectors() -> None:
    refused(ConfigError, 16, 7, path="old", option="--dimension", init_from=OLD, dimension=7)
    refused(ConfigError, path="old", option="--subwords", init_from=OLD, subwords=True)
    trained(output=Path("grams"), subwords=True)
    refused(ConfigError, path="grams", option="--no-subwords", init_from=Path("grams"), subwords=False)
    values = ("3 to 6 characters", "--max-ngram is 9", "--min-ngram 3 --max-ngram 6")
    refused(ConfigError, *values, path="grams", init_from=Path("grams"), subwords=True, max_ngram=9)
    refused(DataError, "none", init_from=Path("none"))
    assert not Path("new").exists(), "the output directory must stay free"
    trained(init_from=OLD)


def test_keeps_the_vectors_of_init_from() -> None:
    before = files(OLD)
    refused(ArtefactError, "--output", path="old", text=[Path("more")], init_from=OLD, output=OLD, overwrite=True)
    assert files(OLD) == before


def test_overwrite() -> None:
    refused(ArtefactError, "old", "--resume", "--overwrite", output=OLD)
    (OLD / "notes.txt").write_text("mine", encoding="utf-8")
    refused(ArtefactError, "old", "notes.txt", output=OLD, overwrite=True)
    (OLD / "notes.txt").unlink()
    trained(output=OLD, overwrite=True, dimension=7)
    assert WordVectors.load(OLD).dimension == 7


BAD: dict[str, tuple[type[RnnkitError], dict[str, Any]]] = {
    "empty": (DataError, {"text": [Path("empty")]}),
    "no text": (DataError, {"text": [Path("bad")]}),
    "rare": (DataError, {"min_count": 10_000}),
    "memory": (ConfigError, {"dimension": 10**12}),
    "other vectors": (ConfigError, {"init_from": Path("other"), "dimension": 7}),
    "no vectors": (DataError, {"init_from": Path("text")}),
}


@pytest.mark.parametrize(("kind", "changes"), BAD.values(), ids=BAD)
def test_errors_keep_existing_vectors(kind: type[RnnkitError], changes: dict[str, Any]) -> None:
    Path("empty").touch()
    Path("bad").write_bytes(b"\xff")
    shutil.copytree(OLD, "other")
    before = files(OLD)
    refused(kind, output=OLD, overwrite=True, **changes)
    assert files(OLD) == before
    refused(kind, **changes)
    trained()


def test_full_disk_keeps_existing_vectors() -> None:
    before = files(OLD)
    with limit_files(5000):
        refused(ArtefactError, "disk", "old/text", output=OLD, overwrite=True)
    assert files(OLD) == before


def test_interruption_keeps_existing_vectors() -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    before = files(OLD)
    with pytest.raises(KeyboardInterrupt):
        run(TrainEmbeddingsOptions(text=[Path("more")], output=OLD, overwrite=True, **ENOUGH), stop)
    assert files(OLD) == before


def test_files_left_by_a_kill_do_not_block_a_new_run() -> None:
    new = Path("new")
    (new / ".text.partial").mkdir(parents=True)
    (new / ".text.partial" / "ids.npy").write_bytes(b"half")
    (new / ".lock").write_text(f"999999999 {socket.gethostname()}", encoding="utf-8")
    trained()
    assert not (new / ".text.partial").exists()
    assert_topics_apart(new)


def test_foreign_folder_is_not_replaced() -> None:
    Path("new").mkdir()
    (Path("new") / "poetry.lock").write_text("mine", encoding="utf-8")
    refused(ArtefactError, "new", "--overwrite")
    refused(ArtefactError, "new", "meta.json", "poetry.lock", overwrite=True)


def test_refuses_too_large_matrices() -> None:
    refused(ConfigError, "128,000.0 GB", "--min-count", option="--dimension", dimension=10**12)
    refused(ConfigError, "--min-count", "--buckets", option="--dimension", subwords=True, buckets=10**9, dimension=1000)


def test_refuses_large_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_initialization, "MAX_SOFTMAX_WORDS", 11)
    refused(ConfigError, 12, 11, "--loss negative", "--min-count", option="--loss", loss="softmax")
    monkeypatch.setattr(embedding_initialization, "MAX_SOFTMAX_WORDS", 12)
    trained(loss="softmax", epochs=1)


def test_refuses_to_resume_without_text() -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.task == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(TrainEmbeddingsOptions(text=[Path("text")], output=Path("new"), **ENOUGH), stop)
    (Path("new") / "text" / "ids.npy").unlink()
    refused(FormatError, "new/text/ids.npy", text=[], resume=True)


@pytest.mark.parametrize("tokens", [20_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_one_long_line(tokens: int) -> None:
    """A corpus may be a single line, like text8."""
    with Path("line").open("w", encoding="utf-8") as file:
        for number in range(tokens // 1000):
            for topic in TOPICS:
                file.write(" ".join(topic[place * (1 + number % 5) % 6] for place in range(500)) + " ")
    assert "\n" not in Path("line").read_text(encoding="utf-8")
    # In a process of its own, whose memory no other test has taken.
    words = ["train-embeddings", "line", "--output", "new", "--epochs", "1", "--dimension", "16", "--json", "--quiet"]
    done = subprocess.run([sys.executable, "-m", "rnnkit", *words], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["tokens"] == tokens
    assert result["memory_bytes"] < 1 << 31
