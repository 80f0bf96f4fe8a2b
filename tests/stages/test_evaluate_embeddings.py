"""Word vectors on trial: what a file holds is seen from its lines, and what could not be asked is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises
from tests.word_vectors import write_vectors

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Event, Status, WarningEvent
from rnnkit.stages.evaluation.evaluate_embeddings import EvaluateEmbeddingsOptions, run

ANALOGIES = """\
: family
man king woman queen
MAN king woman prince
man king woman duchess
: gram1-number
one two king man
"""
PAIRS = "# a comment\nword1\tword2\tmean\nking\tqueen\t8\none\ttwo\t9\nman\tone\t1\nduke\tking\t7\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def options(tmp_path: Path) -> EvaluateEmbeddingsOptions:
    files = [write(tmp_path, "analogies", ANALOGIES), write(tmp_path, "pairs", PAIRS)]
    return EvaluateEmbeddingsOptions(files, vectors=write_vectors(tmp_path / "royals.txt"))


def test_both_kinds_of_files(options: EvaluateEmbeddingsOptions) -> None:
    analogies, pairs = options.files
    result = run(options)
    assert result.lines == (
        f"{analogies}: analogies among the 7 most frequent words",
        "  section       accuracy  correct  asked  questions",
        "  family         50.00 %        1      2          3",
        "  gram1-number    0.00 %        0      1          1",
        "  semantic       50.00 %        1      2          3",
        "  syntactic       0.00 %        0      1          1",
        "  total          33.33 %        1      3          4",
        "",
        f"{pairs}: rated pairs of words",
        "  Spearman's rho = 1.0000 (3 of 4 pairs, 75.00 %)",
    )
    assert result.numbers == ("33.33 %", "1.0000")


def test_json(options: EvaluateEmbeddingsOptions) -> None:
    analogies, pairs = run(options).as_dict()["scores"]
    assert (analogies["kind"], analogies["restrict"]) == ("analogies", 7)
    assert analogies["semantic"] == {"accuracy": 0.5, "correct": 1, "asked": 2, "questions": 3, "coverage": 2 / 3}
    assert analogies["total"]["coverage"] == 0.75
    assert [section["name"] for section in analogies["sections"]] == ["family", "gram1-number"]
    assert pairs == {
        "file": str(options.files[1]), "kind": "pairs", "spearman": pytest.approx(1), "used": 3, "pairs": 4,
        "coverage": 0.75,
    }  # fmt: skip


def test_one_kind_of_sections_has_no_sums_by_kind(options: EvaluateEmbeddingsOptions, tmp_path: Path) -> None:
    plain = write(tmp_path, "plain", "man king woman queen\n")
    result = run(replace(options, files=[plain]))
    assert [line.split()[0] for line in result.lines[2:]] == ["(no", "total"]
    assert "semantic" not in result.as_dict()["scores"][0]


def test_the_restriction(options: EvaluateEmbeddingsOptions) -> None:
    assert run(replace(options, files=options.files[:1], restrict=4)).numbers == ("100.00 %",)


def test_case(options: EvaluateEmbeddingsOptions) -> None:
    assert "        1      1          3" in run(replace(options, lowercase=False)).lines[2]


def test_malformed_lines_are_counted(options: EvaluateEmbeddingsOptions, tmp_path: Path) -> None:
    odd = write(tmp_path, "odd", ANALOGIES + "a b c\n\nd\n")
    heard: list[Event] = []
    run(replace(options, files=[odd]), heard.append)
    assert [event for event in heard if not isinstance(event, Status)] == [
        WarningEvent(f"{odd}: 2 lines are malformed and skipped, the first is line 7")
    ]


def test_file_without_known_words(options: EvaluateEmbeddingsOptions, tmp_path: Path) -> None:
    strange = write(tmp_path, "strange", "amor odium 3\nvita mors 2\n")
    heard: list[Event] = []
    result = run(replace(options, files=[strange, options.files[1]]), heard.append)
    assert result.numbers == ("-", "1.0000")
    assert [event for event in heard if not isinstance(event, Status)] == [
        WarningEvent(f"{strange}: there is no score because its words have no vectors")
    ]
    with raises(DataError, "no question has a vector"):
        run(replace(options, files=[strange]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("king\tqueen\t5\n", "only one pair has vectors, and a correlation needs at least two"),
        (
            "king\tqueen\t5\none\ttwo\t5\nman\tone\t5\n",
            "all 3 ratings are equal (5), so there is nothing to rank",
        ),
    ],
)
def test_a_correlation_that_is_not_defined(
    options: EvaluateEmbeddingsOptions, tmp_path: Path, text: str, why: str
) -> None:
    path = write(tmp_path, "undefined", text)
    heard: list[Event] = []
    result = run(replace(options, files=[path, options.files[1]]), heard.append)
    assert [event for event in heard if not isinstance(event, Status)] == [
        WarningEvent(f"{path}: the correlation is not defined because {why}")
    ]
    assert result.numbers == ("-", "1.0000")
    assert result.lines[2] == f"  not defined: {why}"
    assert result.as_dict()["scores"][0]["undefined"] == why
    strange = write(tmp_path, "strange", "amor odium 3\n")
    with pytest.raises(DataError) as caught:
        run(replace(options, files=[path, strange]))
    assert caught.value.what == "there is no score"
    assert caught.value.details == (
        f"{path}: the correlation is not defined because {why}",
        f"{strange}: there is no score because its words have no vectors",
    )


@pytest.mark.parametrize(
    "layout", ['"{}","{}",{}', "{};{};{},0", "{}:{}:{}", "{}   {}\t{}", '"{}";"{}";"{},0"', "7\t{}\t{}\t{}"]
)
def test_pairs_as_spreadsheets_write_them(options: EvaluateEmbeddingsOptions, tmp_path: Path, layout: str) -> None:
    pairs = [("king", "queen", 8), ("one", "two", 9), ("man", "one", 1)]
    path = write(tmp_path, "table", "".join(layout.format(*pair) + "\r\n" for pair in pairs))
    result = run(replace(options, files=[path]))
    assert result.lines[1] == "  Spearman's rho = 1.0000 (3 of 3 pairs, 100.00 %)"


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "just some words in a line\nand more\n"])
def test_files_of_neither_kind(options: EvaluateEmbeddingsOptions, tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "neither", text)
    with raises(DataError, "`: section`", path=path):
        run(replace(options, files=[*options.files, path]))


def test_a_header_of_four_words_makes_no_analogies(options: EvaluateEmbeddingsOptions, tmp_path: Path) -> None:
    path = write(tmp_path, "simlex", "word1 word2 POS score\nking queen N 3\none two N 5\n")
    assert run(replace(options, files=[path])).numbers == ("1.0000",)


def test_numbers_may_be_the_words_of_an_analogy(options: EvaluateEmbeddingsOptions, tmp_path: Path) -> None:
    path = write(tmp_path, "years", ": years\none two 3 4\nman king woman queen\n")
    assert run(replace(options, files=[path])).lines[2].split() == ["years", "100.00", "%", "1", "1", "2"]


def test_unseen_needs_n_grams(options: EvaluateEmbeddingsOptions) -> None:
    with raises(UsageError, "royals.txt", option="--unseen"):
        run(replace(options, unseen=True))
