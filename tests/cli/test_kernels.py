"""Variables of Numba with which kernels cannot be compiled are named, whatever part of it they stop."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = "from rnnkit.cli.boundary import guard; import sys; sys.exit(guard(lambda: {work}, False))"
LOAD = "__import__('rnnkit.kernels.ngram_trie')"


@pytest.mark.parametrize(
    ("variables", "first", "hint"),
    [
        (
            {"NUMBA_DISABLE_JIT": "1"},
            "error: NUMBA_DISABLE_JIT switches off the compiler that rnnkit's kernels need",
            "unset NUMBA_DISABLE_JIT",
        ),
        (
            {"NUMBA_NUM_THREADS": "0"},
            "error: kernels cannot be compiled with NUMBA_NUM_THREADS=0",
            "unset NUMBA_NUM_THREADS",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_variable_is_named(variables: dict[str, str], first: str, hint: str) -> None:
    program = [sys.executable, "-c", COMMAND.format(work=LOAD)]
    done = subprocess.run(program, env={**os.environ, **variables}, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[0], lines[-1]) == (1, first, f"  hint: {hint}")


def test_a_failure_elsewhere_is_not_blamed_on_a_variable() -> None:
    program = [sys.executable, "-c", COMMAND.format(work="1 / 0")]
    done = subprocess.run(program, env={**os.environ, "NUMBA_OPT": "1"}, capture_output=True, text=True)
    assert "this is a defect in rnnkit" in done.stderr
