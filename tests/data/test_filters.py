"""Grounds to leave a sentence out."""

from __future__ import annotations

from rnnkit.data.filters import REASONS, empty, fingerprint, fingerprints, leaked, length_ratio, too_long

SHORT, LONG = ["a"], ["a", "b", "c"]


def test_lengths() -> None:
    assert empty().drops([SHORT, []])
    assert not empty().drops([SHORT, LONG])
    assert not too_long(4).drops([SHORT, LONG])
    assert too_long(3).drops([SHORT, LONG])  # the end symbol makes it four
    assert not length_ratio(3).drops([SHORT, LONG])
    assert length_ratio(2.9).drops([LONG, SHORT])


def test_features_are_no_part_of_a_length_ratio() -> None:
    sides = [["␉V", "␉PST", "␉SG", "␉␉", "a"], ["b", "c"]]
    assert not length_ratio(1, features=True).drops(sides)
    assert length_ratio(2).drops(sides)
    assert length_ratio(9, features=True).drops([["␉V"], ["b"]])
    assert too_long(5).drops(sides), "the model reads features as it reads the text"


def test_sides_and_tokens_are_told_apart() -> None:
    sentences = [[["a", "b"]], [["a"], ["b"]], [["ab"]], [["b", "a"]], [["a", "b"], []]]
    assert len(fingerprints(sentences)) == len(sentences)


def test_leaked_sentences_are_found_however_they_are_cut() -> None:
    held_out = fingerprints([[["▁a", "b"], ["▁c"]]], separator="")
    drops = leaked(held_out, separator="").drops
    assert drops([["▁", "ab"], ["▁", "c"]])
    assert not drops([["▁ab"], ["▁d"]])
    assert not leaked(fingerprints([[["▁a", "b"]]])).drops([["▁ab"]])


def test_reasons_are_words() -> None:
    grounds = [empty(), too_long(3), length_ratio(2), leaked(frozenset())]
    assert [ground.reason for ground in grounds] == ["empty", "too long", "length ratio", "in valid or test"]
    assert (*(ground.reason for ground in grounds), "duplicate") == REASONS


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    assert fingerprint([["ü"], ["b"]]) == 1711619320357184987
