"""Constraint files: lines, problems named by file and line, pipes, and copied tokens."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.tiny_models import SIZE, tokenizer, translator, vocabulary

from rnnkit.decoding.constraint_files import ConstraintFiles, ConstraintReader, read_constraints
from rnnkit.decoding.constraints import UNCONSTRAINED, Constraints
from rnnkit.errors import DataError
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.tokenizer import FeaturedTokenizer


def model(seed: int = 1, **changes: Any) -> LoadedSeq2Seq:
    table = vocabulary()
    network = translator(seed=seed, spread=1.0, **changes)
    return LoadedSeq2Seq(Path("m"), network, tokenizer("words"), table, table, ("de", "en"), {})


def read(
    tmp_path: Path,
    lines: Iterable[str],
    prefixes: str | None = None,
    phrases: str | None = None,
    sequences: str | None = None,
    skip: int = 0,
    **options: Any,
) -> list[Constraints]:
    paths: list[Path | None] = []
    for name, text in (("p", prefixes), ("c", phrases), ("t", sequences)):
        paths.append(None if text is None else tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
    return [
        constraints
        for _, constraints in read_constraints(
            ConstraintReader(model(), ConstraintFiles(*paths)), lines, skip, **options
        )
    ]


def texts(per_sentence: Sequence[Constraints]) -> list[list[str]]:
    return [[phrase.text for phrase in constraints.phrases] for constraints in per_sentence]


def test_constraints_are_read_line_by_line(tmp_path: Path) -> None:
    ids = vocabulary().ids
    found = read(tmp_path, "abc", "the king\n\n\n", "cat\tthe  mat\tcat\n\nsat\n", "\n￭. the\tking\n\n")
    assert [constraints.prefix for constraints in found] == [(ids["the"], ids["king"]), (), ()]
    assert texts(found) == [["cat", "the mat"], [], ["sat"]]
    assert [one.ids for one in found[0].phrases[1].spellings] == [(ids["the"], ids["mat"])]
    assert [constraints.sequences for constraints in found] == [(), ((ids["￭."], ids["the"]), (ids["king"],)), ()]
    assert read(tmp_path, ["a", "b"], "nonsense\nthe\n", skip=1) == [Constraints((ids["the"],))]
    assert read(tmp_path, ["a", "b"]) == [UNCONSTRAINED, UNCONSTRAINED]


@pytest.mark.parametrize(
    ("prefixes", "phrases", "named"),
    [
        ("the\n", None, ("p", 1)),
        ("the\n\nsat\n", None, ("p", 3)),
        ("\nthe Ruritania\n", None, ("p", 2, "'the Ruritania'", "'Ruritania'")),
        (None, "cat\tRuritania\n\n", ("c", 1, "the phrase 'Ruritania'")),
    ],
)
def test_bad_constraints_are_named_by_line(
    tmp_path: Path, prefixes: str | None, phrases: str | None, named: tuple[str, int, *tuple[str, ...]]
) -> None:
    file, line, *values = named
    with raises(DataError, *values, path=tmp_path / file, line=line):
        read(tmp_path, ["a", "b"], prefixes, phrases)


UNKNOWN: dict[str, dict[str, str]] = {
    "prefix": {"prefixes": "a\nX\nthe Y\n\nX\n"},
    "phrase": {"phrases": "a\nX\nking\tY\n\nX\n"},
    "sequence": {"sequences": "a\nX\nking\tthe Y\n\nX\n"},
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_all_unsatisfiable_constraints_are_listed_early(tmp_path: Path, name: str) -> None:
    def lines() -> Iterator[str]:
        raise AssertionError("no line is needed")
        yield ""

    with raises(DataError, "--skip-impossible", line=2) as caught:
        read(tmp_path, lines(), **UNKNOWN[name])  # type: ignore[arg-type]
    (file,) = tmp_path.iterdir()
    assert caught.value.path == file
    problems = (caught.value.what, *caught.value.details)
    unknown = ((2, "X"), (3, "the Y" if name != "phrase" else "Y"), (5, "X"))
    for problem, (number, text) in zip(problems, unknown, strict=True):
        assert problem.startswith(f"{file}:{number}: the {name} {text!r} ")
        assert repr(text[-1]) in problem


@pytest.mark.parametrize("name", UNKNOWN)
def test_unsatisfiable_constraints_can_be_dropped(tmp_path: Path, name: str) -> None:
    heard: list[Any] = []
    found = read(tmp_path, "abcde", **UNKNOWN[name], lenient=True, listen=heard.append)  # type: ignore[arg-type]
    (warning,) = heard
    assert warning.text.startswith("3 ")
    assert [constraints != UNCONSTRAINED for constraints in found] == [True, False, name != "prefix", False, False]


def test_long_list_of_problems_is_abbreviated(tmp_path: Path) -> None:
    with raises(DataError, path=tmp_path / "c", line=1) as caught:
        read(tmp_path, ["a"] * 9, phrases="".join(f"X{line}\n" for line in range(9)))
    assert len(caught.value.details) == 5
    assert "4 more" in caught.value.details[-1]


def test_constraints_from_a_pipe_are_checked_line_by_line(tmp_path: Path) -> None:
    def through(lenient: bool, heard: list[Any]) -> Iterator[Constraints]:
        pipe = tmp_path / f"pipe{lenient}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=("cat\nX\nking\n",))
        writer.start()
        reader = ConstraintReader(model(), ConstraintFiles(None, pipe))
        for _, constraints in read_constraints(reader, ["a", "b", "c"], lenient=lenient, listen=heard.append):
            yield constraints
        writer.join()

    heard: list[Any] = []
    assert texts(list(through(True, heard))) == [["cat"], [], ["king"]]
    assert len(heard) == 1
    strict = through(False, heard)
    assert texts([next(strict)]) == [["cat"]]
    with raises(DataError, "the phrase 'X'", line=2):
        next(strict)


def test_copied_tokens_satisfy_constraints(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("the Brno\nthe Brno\n", encoding="utf-8")
    (tmp_path / "c").write_text("Brno cat\n\n", encoding="utf-8")
    reader = ConstraintReader(model(copy=True), ConstraintFiles(tmp_path / "p", tmp_path / "c"), copies=True)
    lines = ["a Wien Brno", "a Brno"]
    (_, first), (_, second) = read_constraints(reader, lines, reopen=lambda: lines)
    assert (first.prefix[1], second.prefix[1]) == (SIZE + 1, SIZE)
    assert [one.ids for one in first.phrases[0].spellings] == [(SIZE + 1, vocabulary().ids["cat"])]
    lines[1] = "a Wien"
    with raises(DataError, "'the Brno'", "'Brno'", path=tmp_path / "p", line=2):
        next(read_constraints(reader, lines, reopen=lambda: lines))


def test_malformed_prefix_features_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("the\nthe\ta\tb\n", encoding="utf-8")
    here = replace(model(), tokenizer=FeaturedTokenizer(tokenizer("words")))
    with pytest.raises(DataError, match=r"p:2: the line has 2 TABs"):
        list(read_constraints(ConstraintReader(here, ConstraintFiles(tmp_path / "p")), ["a", "b"]))
