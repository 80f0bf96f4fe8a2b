"""The commands of the demo fit the sample corpora; those that train for long are not run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnkit.errors import DataError
from rnnkit.stages import demo

from .conftest import Run

CORPORA = Path(__file__).resolve().parents[2] / "sample_corpora"


def test_the_tagger_of_the_demo(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TAGGER", f"{demo.TAGGER} --hidden 8 --character-hidden 8 --max-steps 2")

    def call(*words: str) -> str:
        outcome = run(*words)
        assert outcome.code == 0, outcome.err
        return outcome.out

    options = demo.DemoOptions(corpora=CORPORA, work=tmp_path / "demo")
    tagged, accuracy = demo._train_tagger(options, call)  # type: ignore[arg-type]
    first = (tmp_path / "demo" / "tags" / "test.form").read_text(encoding="utf-8").split("\n")[0]
    assert " ".join(each.rpartition("/")[0] for each in tagged.split(" ")) == first
    assert 0 <= accuracy <= 1


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    for name in ("parallel", "monolingual"):
        (tmp_path / name).symlink_to(CORPORA / name)
    with pytest.raises(DataError, match=r"labelled/pos/train\.conllu is missing"):
        demo.run(demo.DemoOptions(corpora=tmp_path))
