"""The labelled sample corpus: its labels are valid, its splits share no sentence, and its words can be ambiguous."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rnnkit.text.span_schemes import SpanScheme, detect_scheme, stray_tags

CORPUS = Path(__file__).resolve().parents[2] / "sample_corpora" / "labelled"
PARTS = ("train", "valid", "test")
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ VERB"
TOPICS = "food music sport travel weather"
Rows = list[tuple[str, ...]]


def sentences(name: str, separator: str) -> list[Rows]:
    """Sentences of a file with a word per line, as the fields of each word."""
    blocks = (CORPUS / name).read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")
    return [[tuple(line.split(separator)) for line in block.split("\n")] for block in blocks]


def pos(part: str) -> list[Rows]:
    """Forms, parts of speech and features of each sentence."""
    return [[(row[1], row[3], row[5]) for row in block] for block in sentences(f"pos/{part}.conllu", "\t")]


def names(part: str) -> list[Rows]:
    return sentences(f"names/{part}.conll", " ")


def topics(part: str) -> Rows:
    lines = (CORPUS / "topics" / f"{part}.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines]


def texts(name: str, part: str) -> list[str]:
    if name == "topics":
        return [row[0] for row in topics(part)]
    return [" ".join(row[0] for row in block) for block in (pos if name == "pos" else names)(part)]


@pytest.mark.parametrize("name", ["pos", "names", "topics"])
def test_no_sentence_occurs_twice(name: str) -> None:
    counts = Counter(text for part in PARTS for text in texts(name, part))
    assert max(counts.values()) == 1


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_speech_are_those_of_ud(part: str) -> None:
    tags = {tag for block in pos(part) for _, tag, _ in block}
    assert tags <= set(UPOS.split())
    features = {(tag, value.partition("=")[0]) for block in pos(part) for _, tag, value in block}
    assert {name for tag, name in features if tag == "NOUN"} == {"Number"}
    assert {name for tag, name in features if tag == "VERB"} == {"Tense", "VerbForm"}


def test_all_parts_of_speech_occur_in_train() -> None:
    assert {tag for block in pos("train") for _, tag, _ in block} == set(UPOS.split())


@pytest.mark.parametrize("part", PARTS)
def test_names_are_valid_bio_tags(part: str) -> None:
    rows = [[tag for _, tag in block] for block in names(part)]
    scheme = detect_scheme(rows)
    assert scheme is SpanScheme.BIO
    assert not any(list(stray_tags(row, scheme)) for row in rows)
    assert {tag[2:] for row in rows for tag in row} == {"", "PER", "LOC", "ORG"}


@pytest.mark.parametrize("part", PARTS)
def test_every_row_has_a_text_and_a_topic(part: str) -> None:
    counts = Counter(topic for _, topic in topics(part))
    assert set(counts) == set(TOPICS.split())
    assert counts["food"] > counts["weather"] > 0.05 * counts.total()


def test_some_words_have_several_tags() -> None:
    found = defaultdict(set)
    for block in pos("train"):
        for form, tag, _ in block:
            found[form].add(tag)
    assert found["that"] == {"SCONJ", "DET", "PRON"}
    assert found["can"] == {"AUX", "NOUN"}
    assert {"NOUN", "VERB"} <= found["calls"] | found["plans"] | found["walks"]
    kinds = defaultdict(set)
    for block in names("train"):
        for form, tag in block:
            kinds[form].add(tag)
    assert {"B-PER", "B-LOC", "B-ORG"} <= kinds["Sydney"] | kinds["Victoria"]


@pytest.mark.parametrize("name", ["pos", "names"])
def test_test_has_some_unknown_words(name: str) -> None:
    known = {word for text in texts(name, "train") for word in text.split()}
    words = [word for text in texts(name, "test") for word in text.split()]
    unknown = [word for word in words if word not in known]
    assert 0.01 < len(unknown) / len(words) < 0.15
