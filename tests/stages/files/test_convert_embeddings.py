"""`convert-embeddings`: conversion between all formats."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.cli import app
from rnnkit.embeddings import WordVectors, formats
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Event, Note
from rnnkit.io import manifest
from rnnkit.stages.files.convert_embeddings import FORMATS, ConvertEmbeddingsOptions, run

WORDS = ["the", "straße", "New\u00a0York"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VectorTable:
    """Make a workspace with vectors, and change to its parent."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RNNKIT_")]:
        monkeypatch.delenv(name)
    numbers = np.random.default_rng(3)
    rows, buckets = (numbers.normal(size=(count, 5)).astype(np.float32) for count in (3, 11))
    table = VectorTable.of(WORDS, rows, [9, 5, 1], Subwords(2, 3, 11), buckets)
    vectors_directory.write(Path("work/embeddings"), table)
    return table


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "projector"])
def test_every_format_can_be_read_again(table: VectorTable, format: str) -> None:
    result = run(ConvertEmbeddingsOptions(Path("new/out"), to=format))
    assert result.lines == (f"new/out: 3 words of dimension 5 as {format}",)
    assert result.as_dict() == {"path": "new/out", "format": format, "words": 3, "dimension": 5}
    vectors = WordVectors.load(Path("new/out"))
    assert list(vectors.words) == WORDS
    assert np.allclose(vectors.matrix_VD, table.matrix_VD, atol=1e-6)
    assert manifest.find_mismatches(Path("new/out")) == []
    meta = manifest.load(manifest.manifest_path(Path("new/out")))
    assert meta.kind == ("vectors" if format == "directory" else "exported-vectors")
    assert meta.inputs == {"vectors": manifest.sha256(Path("work/embeddings/meta.json"))}


def test_there_and_back_again(table: VectorTable) -> None:
    run(ConvertEmbeddingsOptions(Path("vectors.vec")))
    run(ConvertEmbeddingsOptions(Path("imported"), vectors=Path("vectors.vec")))
    assert formats.load(Path("imported")).matrix_VD.tobytes() == table.matrix_VD.tobytes()
    assert manifest.load(Path("imported/meta.json")).inputs == {"vectors": manifest.sha256(Path("vectors.vec"))}


@pytest.mark.parametrize("format", ["directory", "fasttext-binary"])
def test_ngrams_are_kept(table: VectorTable, format: str) -> None:
    heard: list[Event] = []
    run(ConvertEmbeddingsOptions(Path("out"), to=format), heard.append)
    assert heard == []
    assert WordVectors.load(Path("out"))["unseen"] == pytest.approx(WordVectors(table)["unseen"], abs=1e-6)


def test_reports_dropped_ngrams(table: VectorTable) -> None:
    heard: list[Event] = []
    run(ConvertEmbeddingsOptions(Path("out.txt")), heard.append)
    (note,) = heard
    assert isinstance(note, Note)
    assert "word2vec" in note.text
    assert "n-gram" in note.text
    heard.clear()
    run(ConvertEmbeddingsOptions(Path("plain"), vectors=Path("out.txt")), heard.append)
    assert heard == []


def test_the_first_words(table: VectorTable) -> None:
    assert run(ConvertEmbeddingsOptions(Path("out"), top=2)).words == 2
    assert list(formats.load(Path("out")).words) == WORDS[:2]
    assert run(ConvertEmbeddingsOptions(Path("all"), top=99)).words == 3


def test_projector(table: VectorTable) -> None:
    run(ConvertEmbeddingsOptions(Path("out"), to="projector", top=2))
    assert Path("out/metadata.tsv").read_text(encoding="utf-8") == "word\tcount\nthe\t9\nstraße\t5\n"
    assert len(Path("out/vectors.tsv").read_text().splitlines()) == 2
    assert manifest.load(Path("out/meta.json")).facts == {"format": "projector", "words": 2, "dimension": 5}
    run(ConvertEmbeddingsOptions(Path("out"), to="projector", overwrite=True))
    assert len(Path("out/vectors.tsv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("out.bin", "--to word2vec-binary or fasttext-binary"),
        ("out.txt.gz", "--to directory or word2vec or word2vec-binary or fasttext or fasttext-binary or glove"),
    ],
)
def test_names_that_imply_no_format(table: VectorTable, name: str, hint: str) -> None:
    with raises(UsageError, hint, path=name, option="--to"):
        run(ConvertEmbeddingsOptions(Path(name)))


def test_nothing_is_overwritten_silently(table: VectorTable) -> None:
    for output in ("out.txt", "out"):
        run(ConvertEmbeddingsOptions(Path(output)))
        with raises(ArtefactError, "--overwrite", path=output):
            run(ConvertEmbeddingsOptions(Path(output), top=1))
        run(ConvertEmbeddingsOptions(Path(output), top=1, overwrite=True))
        assert len(formats.load(Path(output)).words) == 1


def test_a_directory_is_not_replaced_by_itself(table: VectorTable) -> None:
    with raises(ArtefactError, "--output", path="work/embeddings"):
        run(ConvertEmbeddingsOptions(Path("work/embeddings"), top=2, overwrite=True))
    assert np.array_equal(formats.load(Path("work/embeddings")).matrix_VD, table.matrix_VD)


def test_keeps_folders_of_other_kinds(table: VectorTable) -> None:
    Path("photos").mkdir()
    Path("photos/cat").write_text("meow")
    manifest.write(Path("data/meta.json"), manifest.Manifest("data", 1))
    for folder, kind in (("photos", "meta.json"), ("data", "vectors")):
        with raises(ArtefactError, folder, kind):
            run(ConvertEmbeddingsOptions(Path(folder), overwrite=True))
    assert Path("photos/cat").read_text() == "meow"
    with raises(ArtefactError, "photos"):
        run(ConvertEmbeddingsOptions(Path("photos"), to="glove", overwrite=True))
    with raises(ArtefactError, "photos/cat"):
        run(ConvertEmbeddingsOptions(Path("photos/cat"), overwrite=True))


def test_refuses_words_that_a_format_cannot_store(table: VectorTable) -> None:
    vectors_directory.write(Path("one"), VectorTable.of(["5"], np.ones((1, 1), np.float32)))
    with raises(DataError, "GloVe"):
        run(ConvertEmbeddingsOptions(Path("out.txt"), vectors=Path("one"), to="glove"))
    assert not Path("out.txt").exists()


def test_malformed_line(table: VectorTable) -> None:
    Path("bad.txt").write_text("2 3\na 1 2 3\nb 1 2\n")
    with raises(DataError, "bad.txt:3", 2, 3):
        run(ConvertEmbeddingsOptions(Path("out"), vectors=Path("bad.txt")))
    assert not Path("out").exists()


def test_the_command_line(table: VectorTable, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["convert-embeddings", "out.txt", "--top", "2"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("out.txt: 2 words of dimension 5 as word2vec\n")
    assert app.run(["convert-embeddings", "out", "--vectors", "out.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": "out", "format": "directory", "words": 2, "dimension": 5}
    assert app.run(["verify", "out", "out.txt"]) == 0
    assert app.run(["inspect", "out", "out.txt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("out: vectors") + 1 :][:3] == ["  format version: 1", "  words: 2", "  dimension: 5"]
    assert "    vectors.npy: bytes 248, kind array, shape 6 x 5, type float32" in lines
    assert lines[lines.index("out.txt: exported-vectors") + 2 :][:1] == ["  format: word2vec"]
    assert app.run(["convert-embeddings", "out.bin"]) == 2
    assert app.run(["convert-embeddings", "out.bin", "--to", "word2vec-bin"]) == 2
    assert "hint: did you mean 'word2vec-binary'?" in capsys.readouterr().err
