"""What training takes is compiled before there is any data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rnnkit.embeddings import kernels
from rnnkit.embeddings.chunk import learn_chunk
from rnnkit.embeddings.word_table import _encode, _refill
from rnnkit.stages.vectors import train_embeddings
from rnnkit.stages.vectors.train_embeddings.options import TrainEmbeddingsOptions

KERNELS: list[Any] = [learn_chunk, _encode, _refill]


@pytest.mark.parametrize("options", [{}, {"method": "cbow"}, {"subwords": True}, {"plain_loops": True}], ids=str)
def test_nothing_is_left_to_compile(tmp_path: Path, options: dict[str, Any]) -> None:
    kernels.prepare()
    versions = [len(kernel.signatures) for kernel in KERNELS]
    assert all(versions)
    text = tmp_path / "text"
    text.write_text("a b c\n" * 5, encoding="utf-8")
    train_embeddings.run(TrainEmbeddingsOptions([text], output=tmp_path / "vectors", dimension=3, **options))
    assert [len(kernel.signatures) for kernel in KERNELS] == versions
