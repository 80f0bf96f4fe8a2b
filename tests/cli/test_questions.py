"""Questions to word vectors as they are typed, signs and all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.word_vectors import write_vectors

from .conftest import Run

KING, QUEEN = "king - man + woman", "  queen  0.9597"


@pytest.fixture(autouse=True)
def vectors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors in the folder where `run` works, known to every command."""
    write_vectors(Path("royals.txt"))
    monkeypatch.setenv("RNNKIT_VECTORS", "royals.txt")


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["king", "-", "man", "+", "woman"], KING),
        (["king", "-man", "+woman"], KING),
        (["king - man + woman"], KING),
        (["man", "king", "woman"], KING),
        (["-", "man", "+", "king", "+", "woman"], "- man + king + woman"),
        (["-man", "+", "king", "+", "woman"], "- man + king + woman"),
        (["- man + king + woman"], "- man + king + woman"),
        (["--", "-man", "+king", "+woman"], "- man + king + woman"),
    ],
)
def test_signs_are_no_options(run: Run, words: list[str], question: str) -> None:
    outcome = run("analogy", "--count", "1", *words)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{question}\n{QUEEN}\n", "")
    if "--" not in words:
        assert run("analogy", *words, "--quiet", "--count", "1").out == outcome.out


def test_options_are_no_words(run: Run) -> None:
    assert run("analogy", "-h").out.startswith("Usage: rnnkit analogy")
    assert run("analogy", "king", "-", "man", "--cuont", "3").err.startswith("error: no such option: --cuont\n")
    assert run("analogy", "king", "-", "man", "--count", "-3").err == "error: --count must be at least 1, not -3\n"
    assert run("neighbors", "-king").code == 2
    assert run("neighbors", "--", "-king").err.startswith("error: '-king' has no vector\n")


def test_several_expressions_stand_apart(run: Run) -> None:
    outcome = run("analogy", "king - man + woman", "- king + queen + man", "--count", "1")
    assert outcome.out == f"{KING}\n{QUEEN}\n\n- king + queen + man\n  woman  0.9267\n"


def test_a_malformed_expression_is_wrong_usage(run: Run) -> None:
    outcome = run("analogy", "king", "queen")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: 'king queen' ")
    assert "'queen' has no sign" in outcome.err


def test_an_unknown_word_is_reported_and_the_others_are_answered(run: Run) -> None:
    outcome = run("neighbors", "qeen", "one", "--count", "1")
    assert (outcome.code, outcome.out) == (1, "one\n  two  0.9950\n")
    assert outcome.err.startswith("error: 'qeen' has no vector\n")
    assert outcome.err.endswith("  hint: did you mean 'queen'?\n")


def test_json_is_an_object_a_question(run: Run) -> None:
    outcome = run("neighbors", "qeen", "one", "--count", "1", "--json", "--quiet")
    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        {"question": "qeen", "error": "'qeen' has no vector"},
        {"question": "one", "seen": True, "neighbors": [{"word": "two", "similarity": 0.995}]},
    ]
    assert outcome.err.startswith("error: 'qeen' has no vector\n")


def test_pairs_and_groups(run: Run) -> None:
    assert run("similarity", "king", "queen", "one", "two").out == "king\tqueen\t0.5000\none\ttwo\t0.9950\n"
    assert run("odd-one-out", "king", "two", "queen", "prince").out == "two\n"
    assert (run("similarity", "king").code, run("odd-one-out", "king").code) == (2, 2)


@pytest.mark.parametrize(
    ("command", "text", "out", "err"),
    [
        (
            "similarity",
            "one two\n\nx\nman king\n",
            "one\ttwo\t0.9950\n\n\nman\tking\t0.7036\n",
            ":3: 'x' is not a pair",
        ),
        ("odd-one-out", "one man two\nqeen king man\n", "man\n\n", ":2: 'qeen' has no vector"),
    ],
)
def test_filters(command: str, text: str, out: str, err: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", command], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, out)
    assert done.stderr.startswith(f"error: standard input{err}")


def test_vectors_on_trial(run: Run) -> None:
    Path("questions").write_text(": family\nman king woman queen\n", encoding="utf-8")
    Path("pairs").write_text("king\tqueen\t8\none\ttwo\t9\n", encoding="utf-8")
    assert run("evaluate-embeddings", "questions", "pairs").out == (
        "questions: analogies among the 7 most frequent words\n"
        "  section  accuracy  correct  asked  questions\n"
        "  family   100.00 %        1      1          1\n"
        "  total    100.00 %        1      1          1\n"
        "\n"
        "pairs: rated pairs of words\n"
        "  Spearman's rho = 1.0000 (2 of 2 pairs, 100.00 %)\n"
    )
    assert run("evaluate-embeddings", "questions", "pairs", "--quiet").out == "100.00 %\n1.0000\n"
    assert json.loads(run("evaluate-embeddings", "pairs", "--json").out)["scores"][0]["used"] == 2


def test_words_as_a_picture(run: Run) -> None:
    outcome = run("plot", "--words", "king,queen,man", "woman", "--output", "royals.svg")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "wrote royals.svg\n")
    assert ">woman</text>" in Path("royals.svg").read_text(encoding="utf-8")
