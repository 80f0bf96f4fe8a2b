"""`detokenize`: from tokens to text."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.options.declare import STDIN
from rnnkit.stages.text.detokenize import DetokenizeOptions, open_filter
from rnnkit.text.rule_based_tokenizers import WordTokenizer
from rnnkit.text.tokenizer_store import save_tokenizer
from rnnkit.text.unicode import Normalizer


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace with a tokenizer of words."""
    save_tokenizer(WordTokenizer(Normalizer()), tmp_path / "work" / "tokenizer")
    return tmp_path / "work"


def test_concatenates_files(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = work / "a.tok"
    path.write_text("Ja ￭!\n\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("￭(￭  x\n".encode())))
    assert list(open_filter(DetokenizeOptions(files=[path, STDIN, path], work=work))) == ["Ja!", "", "(x", "Ja!", ""]


def test_standard_input_without_files(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\n")))
    assert list(open_filter(DetokenizeOptions(model=work / "tokenizer"))) == ["a b"]


def test_missing_tokenizer_and_file(work: Path, tmp_path: Path) -> None:
    with raises(DataError, "none/tokenizer"):
        open_filter(DetokenizeOptions(work=Path("none")))
    with raises(DataError, path=tmp_path / "none"):
        open_filter(DetokenizeOptions(files=[tmp_path / "none"], work=work))
