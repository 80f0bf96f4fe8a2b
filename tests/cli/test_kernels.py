"""Errors name the variables of Numba with which kernels cannot be compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = "from rnnkit.cli.boundary import guard; import sys; sys.exit(guard(lambda: {work}, False))"
LOAD = "__import__('rnnkit.kernels.ngram_trie')"


@pytest.mark.parametrize(("variable", "value"), [("NUMBA_DISABLE_JIT", "1"), ("NUMBA_NUM_THREADS", "0")])
def test_error_names_the_variable(variable: str, value: str) -> None:
    program = [sys.executable, "-c", COMMAND.format(work=LOAD)]
    done = subprocess.run(program, env={**os.environ, variable: value}, capture_output=True, text=True)
    first, *_, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("error: ") and variable in first
    assert last == f"  hint: unset {variable}"


def test_other_failures_do_not_blame_a_variable() -> None:
    program = [sys.executable, "-c", COMMAND.format(work="1 / 0")]
    done = subprocess.run(program, env={**os.environ, "NUMBA_OPT": "1"}, capture_output=True, text=True)
    assert "this is a defect in rnnkit" in done.stderr
