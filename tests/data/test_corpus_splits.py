"""The splits of a corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.data.corpus_splits import CorpusSplit, find_splits, read_sentences
from rnnkit.errors import DataError
from rnnkit.text.token_files import open_token_file


def written(folder: Path, **texts: str) -> list[Path]:
    """Write token files; `train_de` becomes train.de.tok."""
    paths = []
    for name, text in texts.items():
        path = folder / f"{name.rpartition('_')[0]}.{name.rpartition('_')[2]}.tok"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def part(paths: list[Path]) -> CorpusSplit:
    return CorpusSplit("train", "train", tuple(open_token_file(path) for path in paths))


def test_lines_of_both_sides_in_step(tmp_path: Path) -> None:
    both = part(written(tmp_path, train_de="a b\n\nc", train_en="x\r\ny  z\n\n"))
    assert list(read_sentences(both)) == [[["a", "b"], ["x"]], [[], ["y", "z"]], [["c"], []]]


@pytest.mark.parametrize(("lines", "more", "last"), [(3, 5, 3), (7, 2, 2), (0, 1, 0)])
def test_different_numbers_of_lines(tmp_path: Path, lines: int, more: int, last: int) -> None:
    paths = written(tmp_path, train_de="a\n" * lines, train_en="b\n" * more)
    with raises(DataError, f"{paths[0]} has {lines} lines, {paths[1]} has {more}; ", path=paths[0], line=last):
        list(read_sentences(part(paths)))


def test_files_are_grouped_by_name(tmp_path: Path) -> None:
    names = ("train_de", "train_en", "val_de", "dev_en", "test_2016_de", "test_2016_en", "test_2017_de", "other_de")
    parts, left_out = find_splits(written(tmp_path, **dict.fromkeys(names, "a\n")), ["en", "de"])
    assert [(found.name, found.split) for found in parts] == [
        ("train", "train"),
        ("valid", "valid"),
        ("test_2016", "test"),
    ]
    assert [file.path.name for file in parts[1].files] == ["dev.en.tok", "val.de.tok"]
    assert left_out == ["test_2017 is left out: it has no en side"]
    assert find_splits(list(tmp_path.glob("*.tok")), ["fr"]) == ([], [])


def test_a_missing_or_ambiguous_side(tmp_path: Path) -> None:
    with raises(DataError, "train.de.tok", "`rnnkit tokenize train.en`"):
        find_splits(written(tmp_path, train_de="a\n"), ["de", "en"])
    paths = written(tmp_path, train_de="a\n", train_2_de="a\n")
    with raises(DataError, "train.de: train.de.tok and train_2.de.tok", option="--train"):
        find_splits(paths, ["de"])
