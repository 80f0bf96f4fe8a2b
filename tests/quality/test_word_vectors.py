"""Word vectors of a real text, by what people say of words."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from rnnkit.stages import evaluate_embeddings, train_embeddings

TEXT_BYTES = 3_000_000
LEAST = {"skipgram": 0.30, "cbow": 0.30}
"""Spearman's rank correlation with WordSim-353."""


@pytest.fixture(scope="module")
def corpora() -> Path:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    return Path(os.environ["RNNKIT_CORPORA"])


@pytest.mark.slow
@pytest.mark.parametrize("method", LEAST)
def test_vectors_agree_with_people(corpora: Path, tmp_path: Path, method: str) -> None:
    with gzip.open(corpora / "wikipedia-en-2015" / "wiki.az.txt.gz") as file:
        (tmp_path / "text").write_bytes(file.read(TEXT_BYTES))
    vectors = tmp_path / "vectors"
    train_embeddings.run(train_embeddings.Options([tmp_path / "text"], method=method, output=vectors))
    pairs = corpora / "word-similarity" / "wordsim353.tsv"
    found = evaluate_embeddings.run(evaluate_embeddings.Options([pairs], vectors)).as_dict()["scores"][0]
    assert found["coverage"] > 0.5
    assert found["spearman"] > LEAST[method]
