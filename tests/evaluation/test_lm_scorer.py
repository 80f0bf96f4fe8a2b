"""How text comes in: some lines at a time from a file, one at a time from a keyboard."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests import tiny_models

from rnnkit.errors import DataError
from rnnkit.evaluation import lm_scorer
from rnnkit.evaluation.lm_scorer import Scorer, open_scorer, read_text
from rnnkit.options.declare import STDIN
from rnnkit.text.tokenizer import FeaturedTokenizer


class Keyboard(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = tiny_models.counts_folder(tmp_path_factory.mktemp("inputs"), tiny_models.counts(), "spaces")
    return open_scorer(folder, "best", torch.device("cpu"))


def test_files_are_read_one_after_the_other(scorer: Scorer, tmp_path: Path) -> None:
    for name, text in (("a", "the king\n\n"), ("b", "zebra")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (group,) = read_text([tmp_path / "a", tmp_path / "b"], scorer)
    king = scorer.vocabulary.ids["king"]
    assert group.text.ids.tolist() == [scorer.vocabulary.ids["the"], king, 3, 3, 1, 3]
    assert group.text.offsets.tolist() == [0, 3, 4, 6]
    assert group.tokens == [["the", "king"], [], ["zebra"]]
    assert group.raw == ["the king", "", "zebra"]


def test_read_ahead_is_bounded(scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("the\n" * 7, encoding="utf-8")
    monkeypatch.setattr(lm_scorer, "BLOCK_LINES", 3)
    assert [len(group.text) for group in read_text([tmp_path / "a"], scorer)] == [3, 3, 1]


def test_terminal_input_is_read_line_by_line(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(io.BytesIO(b"the king\nthe cat\n")))
    assert [group.raw for group in read_text([STDIN], scorer)] == [["the king"], ["the cat"]]


def test_only_ngram_models_have_ngrams(scorer: Scorer, tmp_path: Path) -> None:
    assert scorer.ngrams.order == 3
    folder = tiny_models.speaker_folder(tmp_path, tiny_models.speaker(), "spaces")
    with pytest.raises(ValueError, match=str(folder)):
        _ = open_scorer(folder, "best", torch.device("cpu")).ngrams


def test_features_that_cannot_be_read_are_named_by_file_and_line(scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the king\tformal\nthe\tx\ty\n", encoding="utf-8")
    (group,) = read_text([tmp_path / "a"], scorer)
    assert group.tokens[0] == ["the", "king", "formal"], "a TAB is white space where there are no features"
    assert scorer.tokenizer is not None
    featured = replace(scorer, tokenizer=FeaturedTokenizer(scorer.tokenizer))
    with pytest.raises(DataError, match=r"a:2: .* 2 TABs"):
        list(read_text([tmp_path / "a"], featured))
    (tmp_path / "a").write_text("the king\tformal\n", encoding="utf-8")
    (group,) = read_text([tmp_path / "a"], featured)
    assert group.tokens == [["␉formal", "the", "king"]]
