"""Duplicates between splits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text import duplicates
from rnnkit.text.duplicates import DuplicateCounter

LINES = st.lists(st.text(st.sampled_from("ab"), max_size=2), max_size=8)


@given(train=LINES, valid=LINES, test=LINES)
def test_counts_are_those_of_sets(train: list[str], valid: list[str], test: list[str]) -> None:
    splits = {"train": train, "valid": valid, "test": test}
    counter = DuplicateCounter(splits)
    for name, lines in splits.items():
        for line in lines:
            counter.add(name, line)
    found = {(each.split, each.other): (each.lines, each.compared) for each in counter.count()}
    assert found == {
        (split, other): (
            sum(line in splits[other] for line in filter(None, splits[split])),
            sum(map(bool, splits[split])),
        )
        for split, other in (("valid", "train"), ("test", "train"), ("test", "valid"))
    }


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_HASHES", 2)
    counter = DuplicateCounter(["train", "test"])
    for line in ("a", "b", "c"):
        counter.add("train", line)
    counter.add("test", "c")
    assert not counter.is_complete
    assert [each.lines for each in counter.count()] == [0]
