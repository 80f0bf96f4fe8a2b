"""Folds of labelled data: who is held out with whom, and what a fold knows."""

from __future__ import annotations

import numpy as np
import pytest
from tests.raising import raises
from tests.workspaces import write_labelled_text

from rnnkit.data.label_folds import LabelledFold, assign_folds, train_text
from rnnkit.data.labelled_data import LabelledData
from rnnkit.errors import DataError
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.text.special_tokens import NAMES, UNK

LINES = 37


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledData:
    """Text in which lines 3, 8 and 20 are the same."""
    folder = tmp_path_factory.mktemp("folds")
    write_labelled_text(folder, LINES)
    for path in folder.glob("train.*"):
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[7] = lines[19] = lines[2]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    work = folder / "work"
    files = [folder / f"{split}.form" for split in ("train", "valid")]
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type="spaces", work=work))
    vocab.run(vocab.VocabOptions(work=work))
    labels = align_options.AlignOptions(text="form", labels=["soft"], work=work, weights="weight", soft_labels=True)
    align.run(labels)
    return LabelledData.open(work / "data")


@pytest.mark.parametrize("folds", [2, 5])
def test_equal_texts_are_in_one_fold(data: LabelledData, folds: int) -> None:
    fold_N = assign_folds(data, folds, seed=3)
    assert len(fold_N) == LINES
    assert fold_N[2] == fold_N[7] == fold_N[19]
    distinct = np.delete(fold_N, [7, 19])
    sizes = np.bincount(distinct, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(fold_N, assign_folds(data, folds, seed=3))
    assert not np.array_equal(fold_N, assign_folds(data, folds, seed=4))


def test_more_folds_than_texts(data: LabelledData) -> None:
    assert assign_folds(data, LINES - 2, seed=1).max() == LINES - 3
    with raises(DataError, data.folder, option="--folds"):
        assign_folds(data, LINES - 1, seed=1)


def test_a_fold_has_parts_of_train(data: LabelledData) -> None:
    held_out_N = assign_folds(data, 3, seed=1) == 1
    fold = LabelledFold.hold_out(data, held_out_N)
    parts = {"train": np.flatnonzero(~held_out_N), "valid": np.flatnonzero(held_out_N)}
    (column,) = fold.columns
    all_shares, weights = data.shares("train", "soft"), data.weights("train")
    assert all_shares is not None
    assert weights is not None
    for split, rows in parts.items():
        text, labels, shares = fold.side(split, "form"), fold.side(split, "soft"), fold.shares(split, "soft")
        assert shares is not None
        assert len(text) == len(rows)
        for at, row in enumerate(rows.tolist()):
            assert np.array_equal(text[at], data.side("train", "form")[row])
            whole = data.side("train", "soft")
            assert np.array_equal(labels[at], whole[row])
            assert np.array_equal(
                shares[labels.offsets[at] : labels.offsets[at + 1]],
                all_shares[whole.offsets[row] : whole.offsets[row + 1]],
            )
        found = fold.weights(split)
        assert found is not None
        assert np.array_equal(found, weights[rows])
        assert fold.meta.facts["splits"][split]["sentences"] == len(rows)
        assert fold.meta.facts["splits"][split]["tokens"]["form"] == int(text.lengths().sum())
    assert sum(column.counts) == len(fold.side("train", "soft").ids)
    assert fold.splits == ("train", "valid")


def test_words_outside_the_part_are_unknown(data: LabelledData) -> None:
    fold = LabelledFold.hold_out(data, assign_folds(data, 3, seed=1) == 0)
    known = {word for row in fold.rows["train"] for word in train_text(data, row).split()}
    unknown = 0
    for row, word in enumerate(data.table.words[1:], start=1):
        before, after = (each.table.tokens.select(np.array([row])).values.tolist() for each in (data, fold))
        assert after == (before if word in known else [UNK])
        unknown += word not in known
    assert unknown > 10
    assert fold.token_counts()[len(NAMES) :].sum() == sum(
        len(train_text(data, row).split()) for row in fold.rows["train"]
    )
    assert fold.token_counts()[UNK] == 0
