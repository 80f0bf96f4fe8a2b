"""`plot`: learning curves and word vectors."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises
from tests.word_vectors import ROYALS, write_vectors

from rnnkit.embeddings.formats.vectors_directory import write
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.vectors import UnknownWord
from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Event, Note
from rnnkit.stages.files.plot import PlotOptions, run
from rnnkit.training import checkpoint


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace with an unfinished run and vectors."""
    folder = tmp_path / "work"
    (folder / "model").mkdir(parents=True)
    for step in (5, 10):
        checkpoint.append_metrics(folder / "model" / checkpoint.METRICS_FILE, {"step": step, "nll": 30 / step})
    table = VectorTable.of(list(ROYALS), np.array(list(ROYALS.values()), dtype=np.float32))
    write(folder / "embeddings", table)
    return folder


def drawn(picture: Path) -> list[str]:
    """Read the labels of an SVG figure."""
    lines = (line.strip() for line in picture.read_text(encoding="utf-8").splitlines())
    return [unescape(text) for line in lines for text in re.findall(r">([^<>]+)</text>", line)]


def test_learning_curve_by_default(work: Path) -> None:
    heard: list[Event] = []
    assert run(PlotOptions(work=work), heard.append).picture == work / "model" / "curve.png"
    assert heard == [Note(f"wrote {work / 'model' / 'curve.png'}")]
    assert (
        run(PlotOptions(work=work)).picture.read_bytes().startswith(b"\x89PNG")
    )  # a curve is drawn anew without asking


def test_model_precedes_vectors_of_the_environment(work: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.svg"
    run(PlotOptions(work / "model", vectors=work / "embeddings", output=picture))
    assert "training loss" in drawn(picture)


def test_selected_words(work: Path, tmp_path: Path) -> None:
    picture = tmp_path / "words.svg"
    run(PlotOptions(work=work, words=["king,queen", "one", "king"], output=picture))
    labels = drawn(picture)
    assert {"king", "queen", "one", f"3 words of {work / 'embeddings'}"} <= set(labels)
    assert labels.count("king") == 1
    assert "man" not in labels


@pytest.mark.parametrize("way", ["directory", "file", "option"])
def test_the_most_frequent_words(work: Path, tmp_path: Path, way: str) -> None:
    picture = tmp_path / "words.svg"
    match way:
        case "directory":
            run(PlotOptions(work / "embeddings", count=4, output=picture))
        case "file":
            run(PlotOptions(write_vectors(tmp_path / "royals.txt"), count=4, output=picture))
        case "option":
            run(PlotOptions(vectors=work / "embeddings", count=4, output=picture))
    assert [word for word in drawn(picture) if word in ROYALS] == ["man", "woman", "king", "queen"]


def test_default_output_of_words(work: Path) -> None:
    options = PlotOptions(work / "embeddings", work=work)
    assert run(options).as_dict() == {"picture": str(work / "words.png")}
    with raises(ArtefactError, "--overwrite", path=work / "words.png"):
        run(options)


def test_refuses_invalid_words(work: Path, tmp_path: Path) -> None:
    picture = tmp_path / "words.png"
    with raises(UnknownWord, "'qeen'", "'queen'"):
        run(PlotOptions(work=work, words=["king", "qeen", "man"], output=picture))
    with raises(DataError, 3, 2, option="--words"):
        run(PlotOptions(work=work, words=["king", "king", "man"], output=picture))
    with raises(ArtefactError, tmp_path / "finished", "model", "vectors"):
        run(PlotOptions(write_model(tmp_path), words=["king", "queen", "man"], output=picture))
    assert not picture.exists()


def write_model(folder: Path) -> Path:
    """Write a model directory whose manifest says that it is finished."""
    from rnnkit.io import manifest

    model = folder / "finished"
    model.mkdir()
    manifest.write(model / manifest.NAME, manifest.Manifest("model", 1))
    return model
