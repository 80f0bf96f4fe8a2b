"""Splits of files by name, and of rows by hash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.text.row_splits import HashSplit, parse_fractions, split_of_file, split_rank
from rnnkit.text.token_files import parse_name

NAMES = {
    "train.tsv": "train",
    "en_ewt-ud-train.conllu.gz": "train",
    "en_ewt-ud-dev.conllu": "valid",
    "eng.testa": "valid",
    "eng.testb": "test",
    "devel.tsv": "valid",
    "Validation.csv": "valid",
    "emerging.dev.conll": "valid",
    "deu.trn": "train",
    "test2.tsv": "test2",
    "test_2016_flickr.csv.gz": "test_2016_flickr",
    "corpus-test-2.jsonl": "test-2",
    "train-v1.2.csv": "train",
    "test": "test",
    "newstest2016.tsv": None,
    "trains.csv": None,
    "developer.csv": None,
    "reviews.csv": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_split_of_a_file(name: str) -> None:
    split = split_of_file(Path("train") / name)
    assert split == NAMES[name]
    if split is not None:
        found = parse_name(Path(f"{split}.form"))
        assert (found.stem, found.language) == (split, "form")
        assert found.split in ("train", "valid", "test")


def test_names_of_several_splits() -> None:
    assert split_of_file(Path("test-testb.csv")) == "test-testb"
    with raises(DataError, "train, dev", "--split", path="train-dev.csv"):
        split_of_file(Path("train-dev.csv"))


def test_order_of_splits() -> None:
    assert sorted(["test2", "test", "valid", "train"], key=split_rank) == ["train", "valid", "test", "test2"]


def test_fractions() -> None:
    assert parse_fractions([]) == {}
    assert parse_fractions(["train=0.9", "dev=.05", "test_a=5e-2"]) == {"train": 0.9, "dev": 0.05, "test_a": 0.05}
    for texts in (
        ["train"], ["train=x"], ["train=0"], ["train=1.5"], ["train=nan"], ["train=0.5", "test=0.4"], ["training=1"],
        ["a=1"], ["=1"], ["test/../x=1"], ["test=0.5", "test=0.5"],
    ):  # fmt: skip
        with raises(UsageError, option="--split"):
            parse_fractions(texts)


def test_hash_split_is_uniform_and_seeded() -> None:
    rows = [f"row {number}".encode() for number in range(20_000)]
    first, second = (Counter[str](), Counter[str]())
    split, other = HashSplit({"train": 0.9, "valid": 0.04, "test": 0.06}, 7), HashSplit({"train": 0.5, "test": 0.5}, 8)
    for row in rows:
        first[split(row)] += 1
        second[f"{split(row)} {other(row)}"] += 1
    # Within four standard deviations of the binomial distribution.
    for name, fraction in (("train", 0.9), ("valid", 0.04), ("test", 0.06)):
        assert abs(first[name] - 20_000 * fraction) < 4 * (20_000 * fraction * (1 - fraction)) ** 0.5
        half = first[name] / 2
        assert abs(second[f"{name} train"] - half) < 4 * (half / 2) ** 0.5, "seeds are independent"


@given(st.binary(max_size=20), st.integers(0, 1 << 60))
def test_equal_rows_are_in_the_same_split(row: bytes, seed: int) -> None:
    fractions = {"train": 0.7, "test": 0.3}
    assert HashSplit(fractions, seed)(row) == HashSplit(fractions, seed)(bytes(row))
    assert HashSplit({"test": 1.0}, seed)(row) == "test"
    moved = {"train": 0.8, "test": 0.2}
    if HashSplit(fractions, seed)(row) == "train":
        assert HashSplit(moved, seed)(row) == "train", "a larger split keeps its rows"
