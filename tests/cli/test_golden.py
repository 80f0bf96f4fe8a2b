"""Help pages and error messages, word for word, as `golden/` holds them.

After a change that is meant, `UPDATE_GOLDEN=1 python -m pytest tests/cli/test_golden.py` writes them again; the diff
shows what a user will see.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests import tiny_models
from tests.workspaces import make_workspace

from .conftest import Run

GOLDEN = Path(__file__).with_name("golden")

HELP = (
    "",
    "extract",
    "tokenize",
    "vocab",
    "align",
    "train",
    "decode",
    "score",
    "bleu",
    "neighbors",
    "convert-embeddings",
)

ERRORS = {
    "unknown_command": ["trian"],
    "other_tools_command": ["fairseq-train"],
    "unknown_option": ["decode", "--frobnicate"],
    "misspelt_option": ["decode", "--baem", "5"],
    "other_tools_option": ["train", "--dropout-rate", "0.3"],
    "single_hyphen": ["align", "-src", "de"],
    "option_before_command": ["--work", "w", "vocab"],
    "missing_argument": ["bleu"],
    "missing_value": ["decode", "--beam"],
    "not_an_integer": ["decode", "--beam", "five"],
    "out_of_bounds": ["decode", "--beam", "0"],
    "unknown_choice": ["tokenize", "train.de", "--type", "unigramm"],
    "options_that_exclude_each_other": ["score", "--tokens", "--summary"],
    "missing_file": ["tokenize", "missing.de"],
    "missing_model": ["decode", "--model", "missing", "train.de"],
    "missing_data": ["train", "--work", "empty"],
    "workspace_for_model": ["decode", "--model", "work", "train.de"],
    "existing_output": ["vocab"],
    "not_utf8": ["tokenize", "latin1.de", "--type", "words", "--work", "new"],
    "unknown_key": ["decode", "--config", "rnnkit.toml"],
}
"""Command lines with a mistake, in a folder with a workspace."""


def compare(path: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HELP, ids=lambda name: name or "rnnkit")
def test_help(run: Run, name: str) -> None:
    outcome = run(*([name] if name else []), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    compare(GOLDEN / "help" / f"{name or 'rnnkit'}.txt", outcome.out)


@pytest.fixture
def workspace(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    tiny_models.translator_folder(tmp_path / "made", tiny_models.translator())
    (tmp_path / "made" / "model").rename(tmp_path / "work" / "model")
    (tmp_path / "latin1.de").write_bytes("ein Haus\neine schöne Straße\n".encode("latin-1"))
    (tmp_path / "rnnkit.toml").write_text("[decode]\nbeem = 5\n", encoding="utf-8")


@pytest.mark.parametrize("name", ERRORS)
def test_error(run: Run, workspace: None, name: str) -> None:
    outcome = run(*ERRORS[name])
    assert (outcome.code in (1, 2), outcome.out) == (True, "")
    shown = re.sub(r"/\S*/test_error\S*?/", "", outcome.err)
    compare(GOLDEN / "errors" / f"{name}.txt", f"$ rnnkit {' '.join(ERRORS[name])}\n{shown}exit code {outcome.code}\n")
