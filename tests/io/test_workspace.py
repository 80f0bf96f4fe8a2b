"""Default paths."""

from __future__ import annotations

from pathlib import Path

from rnnkit.io.workspace import Workspace


def test_default_paths() -> None:
    work = Workspace(Path("w"))
    assert [work.tokens, work.tokenizer, work.data, work.model, work.embeddings] == [
        Path("w") / name for name in ("tokens", "tokenizer", "data", "model", "embeddings")
    ]
    assert work.vocabulary() == Path("w/vocab.tsv")
    assert work.vocabulary("de") == Path("w/vocab.de.tsv")
