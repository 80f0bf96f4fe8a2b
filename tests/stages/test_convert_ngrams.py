"""Counted models to ARPA files and back: the same probabilities, and refusals that say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.workspaces import make_text_workspace

from rnnkit.cli import app
from rnnkit.data.aligned import AlignedData
from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.files import manifest
from rnnkit.ngrams import store
from rnnkit.stages import convert_ngrams, train_lm
from rnnkit.stages.convert_ngrams import Options
from rnnkit.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = make_text_workspace(tmp_path_factory.mktemp("counts"))
    train_lm.run(train_lm.Options(work=work, arch="ngram", order=3))
    return work


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_there_and_back_every_probability_is_the_same(work: Path, tmp_path: Path, name: str) -> None:
    convert_ngrams.run(Options(tmp_path / name, model=work / "model"))
    result = convert_ngrams.run(Options(tmp_path / "back", model=tmp_path / name))
    assert manifest.faults(tmp_path / "back") == []
    ours, theirs = store.load(work / "model" / store.NAME), store.load(tmp_path / "back" / store.NAME)
    assert result.ngrams[1:] == tuple(ours.sizes)[1:]
    text = AlignedData.open(work / "data").side("valid", "en")
    words = Vocabulary.load(work / "vocab.tsv").tokens
    rows = {token: row for row, token in enumerate(Vocabulary.load(tmp_path / "back" / "vocab.tsv").tokens)}
    ids = np.array([row if row < 4 else rows[words[row]] for row in text.ids.tolist()])
    np.testing.assert_allclose(theirs.score(ids, text.offsets), ours.score(text.ids, text.offsets), atol=1e-5)


def test_what_is_there_is_kept_unless_it_may_go(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa"
    output.write_text("mine")
    with pytest.raises(ArtefactError, match="already exists"):
        convert_ngrams.run(Options(output, model=work / "model"))
    convert_ngrams.run(Options(output, model=work / "model", overwrite=True))
    assert output.read_text().startswith("\\data\\")


def test_models_without_counts_and_files_that_are_no_arpa_are_refused(work: Path, tmp_path: Path) -> None:
    small = {"hidden": 4, "embedding": 4, "max_steps": 1, "threads": 1}
    train_lm.run(train_lm.Options(work=work, output=tmp_path / "lstm", **small))  # type: ignore[arg-type]
    with pytest.raises(ArtefactError, match="has no counts"):
        convert_ngrams.run(Options(tmp_path / "x.arpa", model=tmp_path / "lstm"))
    with pytest.raises(DataError, match="there is no model at"):
        convert_ngrams.run(Options(tmp_path / "x.arpa", model=tmp_path / "none"))
    (tmp_path / "text").write_text("hello world\n")
    with pytest.raises((DataError, FormatError), match="text"):
        convert_ngrams.run(Options(tmp_path / "x", model=tmp_path / "text"))
    assert not (tmp_path / "x").exists()


def test_the_command_says_what_it_wrote(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["convert-ngrams", "m.arpa", "--model", str(work / "model")]) == 0
    assert "n-grams of order 1 to 3" in capsys.readouterr().err
    assert app.run(["convert-ngrams", "m.arpa", "--model", str(work / "model"), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "m.arpa"
