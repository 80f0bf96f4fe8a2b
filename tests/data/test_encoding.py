"""Filters of sentences, encoding of blocks, and deduplication."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.data.aligned_data import Padding
from rnnkit.data.aligned_data_writer import SentenceWriter
from rnnkit.data.encoding import (
    REASONS,
    Deduplicator,
    EncodedBlock,
    EncodeWorker,
    EncodingRules,
    empty_filter,
    fingerprint,
    fingerprints,
    leakage_filter,
    length_ratio_filter,
    max_length_filter,
)
from rnnkit.text.blocks import LineBlock
from rnnkit.text.special_tokens import EOS, PAD, UNK

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


IDS = {"a": 4, "b": 5}


def block(*lines: str) -> LineBlock:
    raw = "".join(f"{line}\n" for line in lines).encode()
    return LineBlock(Path("text"), 1, len(lines), len(raw), 0, raw)


def sentences(aligned: EncodedBlock, side: int) -> list[list[int]]:
    ids, lengths = aligned.sides[side]
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])] if len(lengths) else []


def test_two_sides() -> None:
    aligned = EncodeWorker([IDS, {"x": 4}], EncodingRules(max_length=4)).process(
        (block("a b", "a", "", "a a a a"), block("x", "y", "x", "x"))
    )
    assert (sentences(aligned, 0), sentences(aligned, 1)) == ([[4, 5, EOS], [4, EOS]], [[4, EOS], [UNK, EOS]])
    assert (aligned.lines, aligned.dropped, aligned.truncated.tolist()) == (
        4,
        {"empty": 1, "too long": 1},
        [False, False],
    )


def test_long_sentences_are_truncated_on_either_side() -> None:
    for right, wanted in ((True, [4, 4, EOS]), (False, [5, 5, EOS])):
        aligned = EncodeWorker([IDS], EncodingRules(truncate_to=3, truncate_right=right)).process(
            (block("a a b b", "a"),)
        )
        assert sentences(aligned, 0) == [wanted, [4, EOS]]
        assert aligned.truncated.tolist() == [True, False]


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "a b", "c"]), max_size=5), max_size=5))
def test_a_duplicate_is_a_line_of_this_or_an_earlier_block(parts: list[list[str]]) -> None:
    aligner, duplicates = EncodeWorker([IDS], EncodingRules(deduplicate=True)), Deduplicator()
    done = [duplicates.deduplicate(aligner.process((block(*part),))) for part in parts]
    lines = [line for part in parts for line in part if line]
    wanted = [[*(IDS.get(token, UNK) for token in line.split()), EOS] for line in dict.fromkeys(lines)]
    assert [sentence for each in done for sentence in sentences(each, 0)] == wanted
    assert sum(each.dropped.get("duplicate", 0) for each in done) == len(lines) - len(set(lines))


@given(st.lists(st.lists(st.integers(4, 9), max_size=4), min_size=1, max_size=7), st.sampled_from(["right", "left"]))
def test_padded_rows(rows: list[list[int]], side: str) -> None:
    ids = np.array([value for row in rows for value in [*row, EOS]], np.uint16)
    lengths = np.array([len(row) + 1 for row in rows])
    for row, found in zip(rows, Padding(7, side).apply(ids, lengths).tolist(), strict=True):
        pads = [PAD] * (6 - len(row))
        assert found == ([*row, EOS, *pads] if side == "right" else [*pads, *row, EOS])


def test_sentences_together_are_sentences_one_by_one(tmp_path: Path) -> None:
    rows = [[4, EOS], [EOS], [UNK, 5, 4, EOS]]
    with SentenceWriter(tmp_path, "one", "de", 10) as one, SentenceWriter(tmp_path, "all", "de", 10) as every:
        for row in rows:
            one.append(row)
        every.extend(
            np.array([value for row in rows for value in row], np.uint16), np.array([len(row) for row in rows])
        )
        every.extend(np.zeros(0, np.uint16), np.zeros(0, np.int64))
    assert one.counts == every.counts
    for name in ("ids", "offsets"):
        assert (tmp_path / f"one.de.{name}.npy").read_bytes() == (tmp_path / f"all.de.{name}.npy").read_bytes()
