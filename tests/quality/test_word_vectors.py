"""Word vectors of a real text, evaluated by human similarity ratings."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from rnnkit.stages.evaluation import evaluate_embeddings
from rnnkit.stages.training import train_embeddings
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions

TEXT_BYTES = 3_000_000
EPOCHS = 15  # the text is small; all else is as it comes

FLOORS: list[tuple[dict[str, Any], float]] = [({}, 0.42), ({"method": "cbow"}, 0.32), ({"subwords": True}, 0.45)]
"""Options, and the minimum Spearman correlation with WordSim-353. Four seeds exceeded it by at least 0.05."""


@pytest.fixture(scope="module")
def corpora() -> Path:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    return Path(os.environ["RNNKIT_CORPORA"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "floor"),
    [FLOORS[0], FLOORS[1], pytest.param(*FLOORS[2], marks=pytest.mark.exhaustive)],
    ids=str,
)
def test_vectors_agree_with_people(corpora: Path, tmp_path: Path, options: dict[str, Any], floor: float) -> None:
    with gzip.open(corpora / "wikipedia-en-2015" / "wiki.az.txt.gz") as file:
        (tmp_path / "text").write_bytes(file.read(TEXT_BYTES))
    vectors = tmp_path / "vectors"
    train_embeddings.run(TrainEmbeddingsOptions([tmp_path / "text"], output=vectors, epochs=EPOCHS, **options))
    pairs = corpora / "word-similarity" / "wordsim353.tsv"
    found = evaluate_embeddings.run(evaluate_embeddings.EvaluateEmbeddingsOptions([pairs], vectors=vectors)).as_dict()[
        "scores"
    ][0]
    assert found["coverage"] > 0.6
    assert found["spearman"] > floor
