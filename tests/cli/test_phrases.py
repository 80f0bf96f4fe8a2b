"""`rnnkit phrases` as it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .conftest import Run

LINE = "guten tag sagt herr müller\n"


def test_learn_then_filter(run: Run) -> None:
    Path("train.txt").write_text(LINE * 5 + "ein guter tag\n" * 5, encoding="utf-8")
    outcome = run("phrases", "train.txt", "--output", "out.txt", "--threshold", "2", "--discount", "0")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines()[-2:] == [
        "out.txt: 10 lines, 40 words joined to 25",
        "out.txt.phrases.tsv: 6 phrases",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", "phrases", "--phrases", "out.txt.phrases.tsv"],
        input=f"{LINE}\nguten  abend\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "guten_tag sagt_herr müller\n\nguten abend\n"
    again = run("phrases", "train.txt", "--output", "out.txt")
    assert (again.code, again.err.splitlines()[0]) == (1, "error: out.txt already exists")
    assert "--output" in run("phrases", "train.txt").err
    assert run("phrases", "--scoring", "nmpi").err.splitlines()[-1] == "  hint: did you mean 'npmi'?"
    assert run("inspect", "out.txt.phrases.tsv").out.startswith("out.txt.phrases.tsv: phrases\n")
    assert run("verify", "out.txt.phrases.tsv").code == 0
