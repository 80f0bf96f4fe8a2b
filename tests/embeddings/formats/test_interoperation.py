"""Exchange of vectors with gensim and fastText, in both directions."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.embeddings.samples import COUNTS, SUBWORDS, WORDS, make_table, same_bits

from rnnkit.embeddings import WordVectors, formats
from rnnkit.embeddings.formats import FASTTEXT, FASTTEXT_BINARY, GLOVE, WORD2VEC, WORD2VEC_BINARY, WRITERS
from rnnkit.embeddings.vector_table import VectorTable

UNSEEN = ["unseen", "straßen", "日本", "x"]


@pytest.fixture(scope="module")
def keyed_vectors() -> Any:
    return pytest.importorskip("gensim.models").KeyedVectors


@pytest.fixture(scope="module")
def fasttext() -> Any:
    return pytest.importorskip("fasttext")


def assert_same(keyed: Any, table: VectorTable) -> None:
    assert keyed.index_to_key == list(table.words)
    assert same_bits(keyed.vectors, np.array(table.matrix_VD))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        (WORD2VEC, {}),
        (FASTTEXT, {}),
        (WORD2VEC_BINARY, {"binary": True}),
        (GLOVE, {"no_header": True}),
    ],
)
def test_gensim_reads_what_is_written(tmp_path: Path, keyed_vectors: Any, format: str, options: Any) -> None:
    WRITERS[format](tmp_path / "f", make_table(7))
    assert_same(keyed_vectors.load_word2vec_format(str(tmp_path / "f"), **options), make_table(7))


@pytest.mark.parametrize("options", [{}, {"binary": True}, {"write_header": False}])
def test_what_gensim_writes_is_read(tmp_path: Path, keyed_vectors: Any, options: Any) -> None:
    keyed = keyed_vectors(vector_size=7)
    keyed.add_vectors(WORDS, make_table(7).matrix_VD)
    keyed.save_word2vec_format(str(tmp_path / "f"), **options)
    assert_same(keyed, formats.load(tmp_path / "f"))


def test_the_same_neighbors_as_gensim(tmp_path: Path, keyed_vectors: Any) -> None:
    WRITERS[WORD2VEC](tmp_path / "f", make_table(7))
    keyed, vectors = keyed_vectors.load_word2vec_format(str(tmp_path / "f")), WordVectors.load(tmp_path / "f")
    for query in WORDS:
        expected = keyed.most_similar(query, topn=9)
        found = vectors.neighbors(query, 9)
        assert [neighbor.word for neighbor in found] == [word for word, _ in expected]
        assert [neighbor.similarity for neighbor in found] == pytest.approx([score for _, score in expected], abs=1e-6)
    expected = keyed.most_similar(positive=WORDS[:2], negative=WORDS[2:3])
    assert [neighbor.word for neighbor in vectors.analogy(WORDS[:2], WORDS[2:3])] == [word for word, _ in expected]
    assert vectors.odd_one_out(WORDS) == keyed.doesnt_match(WORDS)
    assert vectors.similarity(*WORDS[:2]) == pytest.approx(keyed.similarity(*WORDS[:2]), abs=1e-6)


def test_gensim_reads_models_with_subwords(tmp_path: Path, keyed_vectors: Any) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    table = make_table(7, subwords=True)
    WRITERS[FASTTEXT_BINARY](tmp_path / "f.bin", table)
    keyed, vectors = load_facebook_vectors(str(tmp_path / "f.bin")), WordVectors(table)
    assert keyed.index_to_key == WORDS
    for word in WORDS + UNSEEN:
        assert keyed[word] == pytest.approx(vectors[word], abs=1e-6)


def test_gensim_reads_models_without_subwords(tmp_path: Path, keyed_vectors: Any) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    WRITERS[FASTTEXT_BINARY](tmp_path / "f.bin", make_table(7))
    assert_same(load_facebook_vectors(str(tmp_path / "f.bin")), make_table(7))


@pytest.mark.parametrize("subwords", [False, True])
def test_fasttext_reads_what_is_written(tmp_path: Path, fasttext: Any, subwords: bool) -> None:
    table = replace(make_table(7, subwords=subwords), contexts_VD=make_table(7).matrix_VD)
    WRITERS[FASTTEXT_BINARY](tmp_path / "f.bin", table)
    model, vectors = fasttext.load_model(str(tmp_path / "f.bin")), WordVectors(table)
    words, counts = model.get_words(include_freq=True)
    assert (words, counts.tolist(), model.get_dimension()) == (WORDS, COUNTS, 7)
    for word in WORDS + UNSEEN * subwords:
        assert model.get_word_vector(word) == pytest.approx(vectors[word], abs=1e-6)
    assert same_bits(model.get_output_matrix(), make_table(7).matrix_VD)
    _, buckets = model.get_subwords("unseen")
    assert buckets.tolist() == [len(WORDS) + row for row in SUBWORDS.rows("unseen")] * subwords


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "skipgram", "minn": 3, "maxn": 6, "bucket": 300},
        {"model": "cbow", "minn": 1, "maxn": 2, "bucket": 31, "loss": "hs"},
        {"model": "skipgram", "minn": 0, "maxn": 0},
    ],
)
def test_what_fasttext_trains_is_read(tmp_path: Path, fasttext: Any, settings: Any) -> None:
    chosen = random.Random(5)
    lines = "".join(
        " ".join(chosen.choices(["straße", "日本語", "don't", "a", *"bcdef"], k=9)) + "\n" for _ in range(300)
    )
    (tmp_path / "text").write_text(lines, encoding="utf-8")
    # fastText 0.9 fills a tenth of the input matrix a thread and leaves the rest as it finds it: so many threads.
    model = fasttext.train_unsupervised(
        str(tmp_path / "text"), dim=7, epoch=1, minCount=1, thread=11, t=1.0, verbose=0, **settings
    )
    model.save_model(str(tmp_path / "f.bin"))
    vectors = WordVectors.load(tmp_path / "f.bin")
    assert list(vectors.words) == model.words
    assert "</s>" in vectors
    for word in model.words + UNSEEN * (settings["maxn"] > 0):
        assert vectors[word] == pytest.approx(model.get_word_vector(word), abs=1e-6)
