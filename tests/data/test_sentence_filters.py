"""Filters of sentences."""

from __future__ import annotations

from rnnkit.data.sentence_filters import (
    REASONS,
    empty_filter,
    fingerprint,
    fingerprints,
    leakage_filter,
    length_ratio_filter,
    max_length_filter,
)

SHORT, LONG = ["a"], ["a", "b", "c"]


def test_lengths() -> None:
    assert empty_filter().drops([SHORT, []])
    assert not empty_filter().drops([SHORT, LONG])
    assert not max_length_filter(4).drops([SHORT, LONG])
    assert max_length_filter(3).drops([SHORT, LONG])  # the end symbol makes it four
    assert not length_ratio_filter(3).drops([SHORT, LONG])
    assert length_ratio_filter(2.9).drops([LONG, SHORT])


def test_features_do_not_count_for_the_length_ratio() -> None:
    sides = [["␉V", "␉PST", "␉SG", "␉␉", "a"], ["b", "c"]]
    assert not length_ratio_filter(1, features=True).drops(sides)
    assert length_ratio_filter(2).drops(sides)
    assert length_ratio_filter(9, features=True).drops([["␉V"], ["b"]])
    assert max_length_filter(5).drops(sides), "the model reads features as it reads the text"


def test_fingerprints_distinguish_sides_and_tokens() -> None:
    sentences = [[["a", "b"]], [["a"], ["b"]], [["ab"]], [["b", "a"]], [["a", "b"], []]]
    assert len(fingerprints(sentences)) == len(sentences)


def test_leaked_sentences_are_found_in_any_segmentation() -> None:
    held_out = fingerprints([[["▁a", "b"], ["▁c"]]], separator="")
    drops = leakage_filter(held_out, separator="").drops
    assert drops([["▁", "ab"], ["▁", "c"]])
    assert not drops([["▁ab"], ["▁d"]])
    assert not leakage_filter(fingerprints([[["▁a", "b"]]])).drops([["▁ab"]])


def test_reasons_are_words() -> None:
    grounds = [empty_filter(), max_length_filter(3), length_ratio_filter(2), leakage_filter(frozenset())]
    assert [ground.reason for ground in grounds] == ["empty", "too long", "length ratio", "in valid or test"]
    assert (*(ground.reason for ground in grounds), "duplicate") == REASONS


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    assert fingerprint([["ü"], ["b"]]) == 1711619320357184987
