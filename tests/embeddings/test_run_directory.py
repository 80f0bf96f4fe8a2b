"""The directory of a run: words first, vectors later, old ones until the new ones are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, random_matrix, same_bits
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.embeddings import directory, formats, run_directory
from rnnkit.embeddings.table import Table
from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import manifest


def table(seed: int, *, subwords: bool = True) -> Table:
    made = make_table(subwords=subwords)
    return replace(made, matrix_VD=random_matrix(len(WORDS), seed=seed), contexts_VD=random_matrix(len(WORDS)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run_directory.start(tmp_path, table(1), {"dimension": 3}, {"text.1": "ab"})
    return tmp_path


def test_a_run_begins_with_its_words(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["meta.json", "vocab.tsv"]
    words, subwords = directory.read_words(run)
    assert (list(words), words.counts is not None and words.counts.tolist(), subwords) == (WORDS, COUNTS, SUBWORDS)
    meta = manifest.load(run / manifest.NAME)
    assert (meta.options, meta.inputs, meta.facts["finished"]) == ({"dimension": 3}, {"text.1": "ab"}, False)
    with pytest.raises(DataError) as caught:
        formats.load(run)
    assert str(caught.value) == (
        f"{run} holds a run that has not written its vectors yet\n"
        "  hint: `rnnkit train-embeddings --resume` goes on with it"
    )


def test_vectors_take_the_place_of_older_ones(run: Path) -> None:
    for seed in (2, 3):
        run_directory.update(run, table(seed), {"finished": seed == 3, "loss": 0.5})
        read = formats.load(run)
        assert same_bits(read.matrix_VD, table(seed).matrix_VD)
        assert read.buckets_KD is not None and read.contexts_VD is not None
    assert sorted(path.name for path in run.iterdir()) == [
        "contexts.npy", "meta.json", "subwords.npy", "vectors.npy", "vocab.tsv",
    ]  # fmt: skip
    meta = manifest.load(run / manifest.NAME)
    assert (meta.options, meta.inputs, meta.facts["finished"]) == ({"dimension": 3}, {"text.1": "ab"}, True)
    assert manifest.find_mismatches(run) == []


def test_a_full_disk_leaves_the_old_vectors(run: Path) -> None:
    run_directory.update(run, table(2), {"finished": False})
    size = (run / directory.SUBWORDS).stat().st_size - 1
    with raises(ArtefactError), limit_files(size):
        run_directory.update(run, table(3), {"finished": True})
    assert same_bits(formats.load(run).matrix_VD, table(2).matrix_VD)
    assert manifest.find_mismatches(run) == []
    assert not (run / "new").exists()


def test_a_kill_amid_the_exchange_leaves_vectors_that_can_be_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_directory.update(run, table(2), {"finished": False})

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_directory, "fsync_directory", killed)
    with pytest.raises(KeyboardInterrupt):
        run_directory.update(run, table(3), {"finished": True})
    monkeypatch.undo()
    assert same_bits(formats.load(run).matrix_VD, table(3).matrix_VD)
    run_directory.update(run, table(4), {"finished": True})
    assert manifest.find_mismatches(run) == []
