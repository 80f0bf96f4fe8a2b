"""Counts of what looks like labels."""

from __future__ import annotations

from collections.abc import Iterable

from rnnkit.text.label_counts import MAX_LABELS, LabelCounter, look_like_labels


def count(lines: Iterable[str], per_item: bool = False, may_be_labels: bool = True) -> LabelCounter:
    counter = LabelCounter(per_item, may_be_labels)
    for line in lines:
        counter.add(line)
    return counter


def test_the_most_frequent_come_first() -> None:
    assert list((count(["b", "c", "a", "c"]).counts or {}).items()) == [("c", 2), ("a", 1), ("b", 1)]
    tags = count(["O B O", "O"], per_item=True)
    assert (tags.counts, tags.lines, tags.items) == ({"O": 3, "B": 1}, 2, 4)


def test_labels_are_few_short_and_recur() -> None:
    few = [str(number) for number in range(MAX_LABELS)]
    assert look_like_labels([count(few), count(few)])
    assert not look_like_labels([count(few), count(few[1:])]), "on average, each value occurs less than twice"
    assert not look_like_labels([count([*few, *few, "more", "more"])])
    assert not look_like_labels([count(few * 2), count(["more"] * 2)]), "too many in all splits together"
    assert not look_like_labels([count(["a" * 101, "a" * 101])])
    assert not look_like_labels([count(["a", "a"], may_be_labels=False)])
