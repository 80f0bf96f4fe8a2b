"""`represent`: from encoded data to a sparse matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.text.represent import RepresentOptions, run


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a workspace with parallel data, and change to its parent."""
    monkeypatch.chdir(tmp_path)
    Path("train.de").write_text("ein Mann und ein Hund\nja\n", encoding="utf-8")
    Path("train.en").write_text("a man and a dog\nyes\n", encoding="utf-8")
    tokenize.run(tokenize_options.TokenizeOptions(files=[Path("train.de"), Path("train.en")], type="words"))
    vocab.run(vocab.VocabOptions())
    align.run(align_options.AlignOptions(source="de", target="en"))
    return Path("work")


def test_bags_of_words(work: Path) -> None:
    result = run(RepresentOptions(side="de"))
    assert result.lines == ("work/train.de.bow.npz: 2 rows, 14 columns, 5 nonzero entries",)
    assert result.as_dict() == {"path": "work/train.de.bow.npz", "rows": 2, "columns": 14, "entries": 5}
    arrays = np.load(result.path, allow_pickle=False)
    assert arrays["indptr"].tolist() == [0, 4, 5]
    assert sorted(arrays["data"].tolist()) == [1, 1, 1, 1, 2]
    assert manifest.find_mismatches(result.path) == []
    assert manifest.load(manifest.manifest_path(result.path)).inputs == {
        "data": manifest.sha256(work / "data" / "meta.json")
    }


def test_one_hot_rows(work: Path) -> None:
    result = run(RepresentOptions(kind="onehot", side="en", output=Path("out.npz")))
    assert (result.path, result.rows, result.entries) == (Path("out.npz"), 6, 6)
    ids = AlignedData.open(work / "data").side("train", "en")
    assert np.load("out.npz")["indices"].tolist() == [*ids[0][:-1].tolist(), *ids[1][:-1].tolist()]


def test_refuses_invalid_options(work: Path) -> None:
    with raises(UsageError, "de and en", path="work/data", option="--side"):
        run(RepresentOptions())
    with raises(DataError, "work/data", "test.de"):
        run(RepresentOptions(side="de", split="test"))
    with raises(DataError, "none/data"):
        run(RepresentOptions(work=Path("none")))
    run(RepresentOptions(side="de"))
    with raises(ArtefactError, path="work/train.de.bow.npz"):
        run(RepresentOptions(side="de"))
    run(RepresentOptions(side="de", overwrite=True))
