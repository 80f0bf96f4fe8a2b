"""Every failure is one short paragraph and an exit code."""

from __future__ import annotations

import pytest

from .conftest import Run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toi"], "no such command 'toi'\n  hint: did you mean 'toy'?"),
        (["xyzzy"], "no such command 'xyzzy'\n  hint: `rnnkit --help` lists what there is"),
        (["--verison"], "no such option: --verison\n  hint: did you mean --version?"),
        (
            ["--quiet", "toy"],
            "no such option: --quiet\n  hint: options follow the command; `rnnkit --help` lists",
        ),
        (["toy", "--baem", "3"], "no such option: --baem\n  hint: did you mean --beam?"),
        (["toy", "--xyzzy"], "no such option: --xyzzy\n  hint: `rnnkit toy --help` lists the options"),
        (
            ["toy", "--beam"],
            "--beam expects a value\n",
        ),
        (
            ["toy", "--train"],
            "--train expects a value\n",
        ),
        (["toy", "--beam", "x"], "--beam expects an integer, not 'x'"),
        (["toy", "--beam", "0"], "--beam must be at least 1, not 0"),
        (["toy", "--lambda", "nan"], "--lambda must be at most 1, not nan"),
        (["toy", "--lambda", "2"], "--lambda must be at most 1, not 2"),
        (["toy", "--output", ""], "--output expects a path, not ''"),
        (
            ["toy", "--arch", "gur"],
            "--arch cannot be 'gur'\n  choose from: rnn, gru, lstm\n  hint: did you mean 'gru'?",
        ),
        (["bleu"], "REFERENCE is missing\n  Reference file"),
    ],
)
def test_usage(run: Run, words: list[str], message: str) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        ("data", 1, "error: the line is bad\n  train.de:7\n  hint: mend it\n"),
        ("code", 1, ""),
        ("saved", 143, "interrupted\n  saved work/model/last\n  hint: --resume continues\n"),
        (
            "defect",
            1,
            "error: this is a defect in rnnkit, not in your data or options\n"
            "  ZeroDivisionError: division by nothing\n"
            "  hint: run again with --debug for the traceback, and report it with the command that you typed\n",
        ),
        (
            "end",
            1,
            "error: this is a defect in rnnkit, not in your data or options\n"
            "  EOFError: truncated\n"
            "  hint: run again with --debug for the traceback, and report it with the command that you typed\n",
        ),
        (
            "disk",
            1,
            "error: the disk is full: work/model could not be written whole\n"
            "  hint: free some space and run the command again\n",
        ),
        (
            "denied",
            1,
            "error: work/model: Permission denied\n  hint: run again with --debug to see where it was needed\n",
        ),
    ],
)
def test_failures(run: Run, act: str, code: int, message: str) -> None:
    outcome = run("toy", "--act", act)
    assert (outcome.code, outcome.out, outcome.err) == (code, "", message)


@pytest.mark.parametrize("act", ["memory", "gpu"])
def test_out_of_memory(run: Run, act: str) -> None:
    outcome = run("toy", "--act", act)
    assert outcome.code == 1
    assert outcome.err == (
        "error: out of memory\n  what was saved before is untouched\n"
        "  hint: smaller batches, a smaller model or a smaller beam need less; close other programs\n"
    )


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_traceback_only_where_it_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "variable":
        monkeypatch.setenv("RNNKIT_DEBUG", "1")
    outcome = run("toy", "--act", "data", *(["--debug"] if way == "flag" else []))
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert outcome.err.endswith("error: the line is bad\n  train.de:7\n  hint: mend it\n")
