"""Queries against word vectors, from the command line and from standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises
from tests.word_vectors import write_vectors

from rnnkit.embeddings.formats.vectors_directory import write
from rnnkit.embeddings.vector_table import Subwords, VectorTable
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Event, Note, Status
from rnnkit.stages.inference import analogy, neighbors, odd_one_out, similarity

Typed = Callable[[str], None]


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return write_vectors(tmp_path / "royals.txt")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Put text on standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def asked(answers: Any) -> list[dict[str, Any]]:
    return [answer.as_dict() for answer in answers]


def test_neighbors_of_several_words(vectors: Path) -> None:
    king, one = neighbors.run(neighbors.NeighborsOptions(words=["king", "one"], vectors=vectors, count=2))
    assert isinstance(king, neighbors.Neighborhood)
    assert king.lines == ("king", "  prince  0.9655", "  man     0.7036")
    assert one.as_dict() == {
        "question": "one",
        "seen": True,
        "neighbors": [{"word": "two", "similarity": 0.995}, {"word": "man", "similarity": 0.0}],
    }


def test_restrict(vectors: Path) -> None:
    (king,) = neighbors.run(neighbors.NeighborsOptions(words=["king"], vectors=vectors, count=5, restrict=4))
    assert [each["word"] for each in king.as_dict()["neighbors"]] == ["man", "queen", "woman"]


def test_wide_characters_keep_the_columns(tmp_path: Path) -> None:
    path = write_vectors(tmp_path / "cities", {"東京": (1, 0), "京都": (1, 0.5), "rome": (0, 1)})
    (answer,) = neighbors.run(neighbors.NeighborsOptions(words=["東京"], vectors=path))
    assert answer.lines == ("東京", "  京都  0.8944", "  rome  0.0000")


def test_unknown_word_does_not_stop_the_others(vectors: Path) -> None:
    first, second = neighbors.run(neighbors.NeighborsOptions(words=["qeen", "queen"], vectors=vectors, count=1))
    assert first.as_dict() == {"question": "qeen", "error": "'qeen' has no vector"}
    assert first.lines == ()
    assert second.lines == ("queen", "  woman  0.7036")


def test_unseen_word_is_composed(tmp_path: Path) -> None:
    rows_VD, buckets_KD = np.eye(2, 3, dtype=np.float32), np.ones((5, 3), dtype=np.float32)
    table = VectorTable.of(["sun", "moon"], rows_VD, None, Subwords(2, 3, 5), buckets_KD)
    write(tmp_path / "work" / "embeddings", table)
    (answer,) = neighbors.run(neighbors.NeighborsOptions(words=["sunny"], work=tmp_path / "work"))
    assert answer.lines[0] == "sunny (unseen word, composed from n-grams)"
    assert answer.as_dict()["seen"] is False


def test_lines_of_standard_input(vectors: Path, typed: Typed) -> None:
    typed("king\n\n qeen \none\n")
    answers = list(neighbors.run(neighbors.NeighborsOptions(vectors=vectors, count=1)))
    assert [answer.lines[:1] for answer in answers] == [("king",), (), (), ("one",)]
    assert asked(answers)[1:3] == [
        {"question": "", "error": None},
        {"question": " qeen ", "error": "standard input:3: 'qeen' has no vector"},
    ]


def test_a_prompt_on_a_terminal(vectors: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    heard: list[Event] = []
    assert list(neighbors.run(neighbors.NeighborsOptions(vectors=vectors), heard.append)) == []
    (prompt,) = [event for event in heard if not isinstance(event, Status)]
    assert isinstance(prompt, Note)
    assert "words" in prompt.text


def test_refuses_missing_vectors(tmp_path: Path) -> None:
    with raises(DataError, "work/embeddings", "`rnnkit train-embeddings`"):
        neighbors.run(neighbors.NeighborsOptions(words=["king"], work=tmp_path / "work"))


def test_similarity_of_pairs(vectors: Path) -> None:
    answers = list(similarity.run(similarity.SimilarityOptions(["king", "queen", "one", "two"], vectors=vectors)))
    assert [answer.lines for answer in answers] == [("king\tqueen\t0.5000",), ("one\ttwo\t0.9950",)]
    assert asked(answers)[0] == {"question": "king queen", "similarity": 0.5}


def test_refuses_odd_number_of_words(vectors: Path) -> None:
    with raises(UsageError, "'one'"):
        similarity.run(similarity.SimilarityOptions(["king", "queen", "one"], vectors=vectors))


def test_output_lines_match_input_lines(vectors: Path, typed: Typed) -> None:
    typed("one two\n\nking\nking qeen\nman king\n")
    answers = list(similarity.run(similarity.SimilarityOptions([], vectors=vectors)))
    assert [answer.lines for answer in answers] == [("one\ttwo\t0.9950",), ("",), ("",), ("",), ("man\tking\t0.7036",)]
    assert asked(answers)[2]["error"].startswith("standard input:3: 'king' ")


def test_odd_one_out(vectors: Path, typed: Typed) -> None:
    (answer,) = odd_one_out.run(odd_one_out.OddOneOutOptions(["king", "queen", "two", "prince"], vectors=vectors))
    assert answer.lines == ("two",)
    assert answer.as_dict() == {"question": "king queen two prince", "odd_one_out": "two"}
    typed("one man two\nking queen\n")
    answers = list(odd_one_out.run(odd_one_out.OddOneOutOptions([], vectors=vectors)))
    assert [answer.lines for answer in answers] == [("man",), ("",)]
    assert asked(answers)[1]["error"] == "standard input:2: a group needs at least 3 words, not 2"


def test_odd_one_out_needs_three_words(vectors: Path) -> None:
    with raises(UsageError, 3, 1):
        odd_one_out.run(odd_one_out.OddOneOutOptions(["king"], vectors=vectors))


def test_analogy(vectors: Path) -> None:
    (answer,) = analogy.run(analogy.AnalogyOptions(["king", "-", "man", "+", "woman"], vectors=vectors, count=2))
    assert answer.lines[:2] == ("king - man + woman", "  queen   0.9597")
    assert answer.as_dict()["answers"][0] == {"word": "queen", "similarity": 0.9597}
    (same,) = analogy.run(analogy.AnalogyOptions(["man", "king", "woman"], vectors=vectors, count=2))
    assert same.lines == answer.lines


def test_analogies_quoted_and_typed(vectors: Path, typed: Typed) -> None:
    words = ["king - man + woman", " - king + queen + man"]
    answers = list(analogy.run(analogy.AnalogyOptions(words, vectors=vectors, count=1)))
    assert [answer.lines[0] for answer in answers] == ["king - man + woman", "- king + queen + man"]
    assert [answer.as_dict()["answers"][0]["word"] for answer in answers] == ["queen", "woman"]
    typed("man king woman\nking queen\nking - mna\n")
    answers = list(analogy.run(analogy.AnalogyOptions([], vectors=vectors, count=1)))
    assert answers[0].lines[0] == "king - man + woman"
    malformed, unknown = (answer["error"] for answer in asked(answers)[1:])
    assert malformed.startswith("standard input:2: 'king queen' ")
    assert unknown.startswith("standard input:3: 'mna' ")


@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("king - man + woman", ["king", "woman"], ["man"]),
        ("king -man +woman", ["king", "woman"], ["man"]),
        ("man king woman", ["king", "woman"], ["man"]),
        ("  - man  + king ", ["king"], ["man"]),
        ("king + C++ - well-known", ["king", "C++"], ["well-known"]),
        ("a - -b", ["a"], ["-b"]),
        ("a + a", ["a", "a"], []),
    ],
)
def test_expressions(text: str, positive: list[str], negative: list[str]) -> None:
    found = analogy.parse(text)
    assert (list(found.positive), list(found.negative)) == (positive, negative)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("king", "two words"),
        ("king queen", "'queen' has no sign"),
        ("a b c d", "'b' has no sign"),
        ("king - - man", "'-' is followed by '-'"),
        ("king +", "the last '+'"),
        ("- king - man", "adds no word"),
    ],
)
def test_malformed_expressions(text: str, reason: str) -> None:
    with raises(UsageError, repr(text), reason, "king - man + woman"):
        analogy.parse(text)


def test_a_command_line_is_one_expression_or_several() -> None:
    assert analogy.split_expressions(["king", "-", "man"]) == ["king - man"]
    assert analogy.split_expressions(["king - man", "a + b"]) == ["king - man", "a + b"]
    assert analogy.split_expressions([]) == []
