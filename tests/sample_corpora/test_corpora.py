"""The sample corpora: they are what their generator writes, and their test parts test something."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import sacrebleu

CORPORA = Path(__file__).resolve().parents[2] / "sample_corpora"
PAIRED = {"parallel": ("de", "en"), "normalise": ("raw", "norm")}
FILES = [
    f"{name}/{part}.{side}" for name, sides in PAIRED.items() for part in ("train", "valid", "test") for side in sides
]
FILES += [f"monolingual/{part}.txt" for part in ("train", "valid", "test")] + ["monolingual/analogies.txt"]
LABELLED = [
    f"labelled/{name}/{part}.{extension}"
    for name, extension in (("pos", "conllu"), ("names", "conll"), ("topics", "tsv"))
    for part in ("train", "valid", "test")
]
WORD = re.compile(r"\w+(?:[-'.,:]\w+)*")


def read(name: str) -> list[str]:
    """The lines of a file, without the last line feed that each file ends in."""
    text = (CORPORA / name).read_bytes().decode()
    assert text.endswith("\n")
    return text[:-1].split("\n")


def words(line: str) -> list[str]:
    return WORD.findall(line.lower())


def test_the_generator_writes_the_committed_bytes(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, CORPORA / "generate.py", "--output", tmp_path], check=True, capture_output=True, timeout=120
    )
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(FILES + LABELLED)
    for name in written:
        assert (tmp_path / name).read_bytes() == (CORPORA / name).read_bytes(), name


def test_all_corpora_and_their_generator_are_small() -> None:
    files = (path for path in CORPORA.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert sum(path.stat().st_size for path in files) < 3_300_000


@pytest.mark.parametrize("name", FILES)
def test_lines_are_plain(name: str) -> None:
    for number, line in enumerate(read(name), 1):
        assert line.strip() == line and line, f"{name}:{number}"
        assert "  " not in line and "\t" not in line and "\r" not in line, f"{name}:{number}"
        assert not re.search(r"[{}~|]| [.,?!]|,,|\.\.", line), f"{name}:{number}"


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_sides_have_equal_counts(name: str, part: str) -> None:
    source, target = (read(f"{name}/{part}.{side}") for side in PAIRED[name])
    assert len(source) == len(target)
    assert len(set(source)) == len(source)


@pytest.mark.parametrize(
    "name", ["parallel/{}.de", "parallel/{}.en", "normalise/{}.raw", "normalise/{}.norm", "monolingual/{}.txt"]
)
def test_no_line_of_one_part_stands_in_another(name: str) -> None:
    train, valid, test = (set(read(name.format(part))) for part in ("train", "valid", "test"))
    assert not test & train
    assert not valid & train
    assert not test & valid


@pytest.mark.parametrize("name", ["parallel/{}.de", "parallel/{}.en", "normalise/{}.raw", "monolingual/{}.txt"])
def test_new_lines_hold_no_new_words(name: str) -> None:
    known = {word for line in read(name.format("train")) for word in words(line)}
    for part in ("valid", "test"):
        assert not {word for line in read(name.format(part)) for word in words(line)} - known


def test_words_of_the_parallel_corpus_are_frequent() -> None:
    """They are frequent enough to be learned."""
    for side in PAIRED["parallel"]:
        counts = Counter(word for line in read(f"parallel/train.{side}") for word in words(line))
        assert min(counts.values()) >= 15


def test_every_test_line_has_a_new_word_pair() -> None:
    """Every test line combines words that train never shows together."""

    def neighbours(line: str) -> set[tuple[str, str]]:
        found = words(line)
        return set(pairwise(found))

    shown = {pair for line in read("parallel/train.de") for pair in neighbours(line)}
    assert all(neighbours(line) - shown for line in read("parallel/test.de"))


@pytest.mark.parametrize("name", PAIRED)
def test_the_nearest_training_pair_is_no_translation(name: str) -> None:
    source, target = PAIRED[name]
    nearest = Nearest(read(f"{name}/train.{source}"))
    targets = read(f"{name}/train.{target}")
    hypotheses = [targets[nearest.line(line)] for line in read(f"{name}/test.{source}")]
    assert sacrebleu.corpus_bleu(hypotheses, [read(f"{name}/test.{target}")]).score < 50


class Nearest:
    """Finds the line that shares most words and pairs of words with another, by Jaccard similarity."""

    def __init__(self, lines: list[str]) -> None:
        self.features = [self.of(line) for line in lines]
        self.holding: dict[str, list[int]] = defaultdict(list)
        for index, found in enumerate(self.features):
            for feature in found:
                self.holding[feature].append(index)

    @staticmethod
    def of(line: str) -> set[str]:
        found = line.split()
        return {*found, *(f"{left} {right}" for left, right in pairwise(found))}

    def line(self, line: str) -> int:
        wanted = self.of(line)
        shared: Counter[int] = Counter()
        for feature in wanted:
            shared.update(self.holding.get(feature, ()))
        return max(shared, key=lambda index: (shared[index] / len(wanted | self.features[index]), -index))


# What a careless change of the grammar would bring about.
WRONG_GERMAN = [
    r"\b(?:einen|meinen|deinen|diesen|keinen) [a-zäöüß]+e [A-ZÄÖÜ]",  # einen alten Hut
    r"\b(?:im|am|vom|zum|beim) [a-zäöüß]+(?:e|er|es) [A-ZÄÖÜ]",  # im alten Haus
    r"\b(?:ein|kein|mein|dein|sein|unser) [a-zäöüß]+e [A-ZÄÖÜ]",  # ein alter Hut, ein altes Buch
    r"(?<!, )\b(?:in|an|von|zu|bei) dem\b|(?<!, )\b(?:in|an) das\b|(?<!, )\bzu der\b",  # im, vom, ins, zur
    r"^Wir \w+(?:st|t)\b",
    r"\b(?:du|Du) (?:ist|hat|wird|sind)\b",
]
WRONG_ENGLISH = [
    r"\b[Aa] [aeiou]",
    r"\b[Aa]n [^aeiou]",
    r"^(?:He|She|It) (?:are|have|do|were|go)\b",
    r"^(?:We|They|You) (?:is|has|does|was|goes)\b",
    r"\b(?:did|does|do|will|can|could|should|Did|Does|Do|Will) not (?!need)\w+(?:ed|es) ",
    r"\b(\w+) \1\b",
]


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_agreement(part: str) -> None:
    for side, patterns in (("de", WRONG_GERMAN), ("en", WRONG_ENGLISH)):
        for number, line in enumerate(read(f"parallel/{part}.{side}"), 1):
            for pattern in patterns:
                assert not re.search(pattern, line), f"{part}.{side}:{number}: {line} ({pattern})"


def test_dates_and_digits_agree_across_languages() -> None:
    for german, english in zip(read("parallel/train.de"), read("parallel/train.en"), strict=True):
        if " Uhr" in german:
            continue  # um 15 Uhr is 3 pm
        assert Counter(re.findall(r"\d+", german)) == Counter(re.findall(r"\d+", english)), german


def test_normalisation_changes_nothing_but_numbers() -> None:
    spelled = re.compile(r"\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand)\b|\w+teen")
    for raw, norm in zip(read("normalise/train.raw"), read("normalise/train.norm"), strict=True):
        assert not re.search(r"\d", raw), raw
        assert not spelled.search(norm), norm


def sentences() -> list[set[str]]:
    return [set(re.findall(r"\w+", line)) for line in read("monolingual/train.txt")]


def test_capitals_and_countries_keep_company() -> None:
    lines = sentences()
    asked = analogies()["capitals"]
    pairs = {(words[0], words[1]) for words in asked} | {(words[2], words[3]) for words in asked}
    assert len(pairs) >= 25
    for capital, country in pairs:
        assert sum(capital in line and country in line for line in lines) >= 2, (capital, country)
        assert sum(capital in line for line in lines) >= 40, capital
        assert sum(country in line for line in lines) >= 40, country


def test_every_analogy_is_made_of_known_words() -> None:
    counts = Counter(word.lower() for line in read("monolingual/train.txt") for word in re.findall(r"\w+", line))
    asked = analogies()
    assert set(asked) >= {"capitals", "men and women", "plurals", "past", "comparative"}
    for questions in asked.values():
        for question in questions:
            assert len(set(question)) == 4 or question[1] == question[3] or question[0] == question[2], question
            assert all(counts[word.lower()] >= 5 for word in question), question


def test_men_and_women_differ_in_his_and_her() -> None:
    lines = [line.lower() for line in read("monolingual/train.txt")]
    for man, woman in (("king", "queen"), ("prince", "princess"), ("uncle", "aunt"), ("actor", "actress")):
        his = sum(bool(re.search(rf"\b{man}\b.*\b(?:he|his|him)\b", line)) for line in lines)
        her = sum(bool(re.search(rf"\b{woman}\b.*\b(?:she|her)\b", line)) for line in lines)
        crossed = sum(bool(re.search(rf"\b{woman}\b.*\b(?:he|his|him)\b", line)) for line in lines)
        assert his > 20 and her > 20 and crossed == 0


def analogies() -> dict[str, list[list[str]]]:
    """The questions by relation."""
    found: dict[str, list[list[str]]] = {}
    for line in read("monolingual/analogies.txt"):
        if line.startswith(": "):
            found[line[2:]] = questions = []
        else:
            questions.append(line.split(" "))
    return found
