"""Pretrained vectors of a vocabulary, their coverage, and embeddings initialized from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rnnkit.embeddings.vector_table import Subwords
from rnnkit.embeddings.vectors import WordVectors
from rnnkit.models import pretrained_embeddings
from rnnkit.text.vocabulary import Vocabulary

DIMENSION = 5


def vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary.from_counts({token: 10_000 - rank for rank, token in enumerate(tokens)})


def vectors(*words: str, scale: float = 1.0) -> WordVectors:
    random = np.random.default_rng(3)
    return WordVectors.of(words, (scale * random.normal(2.0, 3.0, (len(words), DIMENSION))).astype(np.float32))


@pytest.mark.parametrize(
    ("token", "words", "match"),
    [
        ("Haus", ["haus", "Haus"], "Haus"),
        ("Haus", ["haus"], "haus"),
        ("▁Haus", ["Haus", "▁Haus"], "▁Haus"),
        ("▁Haus", ["haus", "Haus"], "Haus"),
        ("▁Haus", ["▁haus", "haus"], "▁haus"),
        ("▁HAUS", ["haus"], "haus"),
        ("￭,￭", [","], ","),
        ("▁", ["▁"], "▁"),
        ("Haus", ["Häuser"], None),
        ("▁", ["x"], None),
    ],
)
def test_spellings_are_tried_in_order(token: str, words: list[str], match: str | None) -> None:
    known = vectors(*words)
    found = pretrained_embeddings.match_vectors(vocabulary(token), known)
    if match is None:
        assert found.vectors_ND.shape == (0, DIMENSION)
    else:
        assert found.rows.tolist() == [4]
        np.testing.assert_array_equal(found.vectors_ND[0], known[match])


def test_special_tokens_and_zeros_have_no_vector() -> None:
    known = WordVectors.of(["</s>", "<unk>", "a", "b"], np.array([[1.0], [1.0], [0.0], [2.0]], np.float32))
    found = pretrained_embeddings.match_vectors(vocabulary("a", "b", "</s>"), known)
    assert found.rows.tolist() == [5, 6], "the text </s> is an ordinary token, the symbol is none"
    assert pretrained_embeddings.match_vectors(vocabulary("a"), known).vectors_ND.shape == (0, 1)


def test_unknown_words_are_composed_from_subwords() -> None:
    random = np.random.default_rng(4)
    buckets_KD = random.normal(size=(50, DIMENSION)).astype(np.float32)
    known = WordVectors.of(["haus"], np.ones((1, DIMENSION), np.float32), None, Subwords(3, 4, 50), buckets_KD)
    found = pretrained_embeddings.match_vectors(vocabulary("▁Hund", "haus"), known)
    assert found.rows.tolist() == [5, 4], "composed ones are last"
    assert found.composed == 1
    np.testing.assert_allclose(found.vectors_ND[1], buckets_KD[Subwords(3, 4, 50).rows("Hund")].mean(0), rtol=1e-5)


def test_coverage_counts_words_of_the_text_and_running_tokens() -> None:
    found = pretrained_embeddings.MatchedVectors(
        np.array([4, 6, 8, 5]), np.ones((4, DIMENSION), np.float32), composed=1
    )
    counts_V = np.array([900, 9, 0, 70, 20, 5, 0, 15, 10])  # row 6 is in the vocabulary, but not in this text
    coverage = pretrained_embeddings.measure_coverage(found, counts_V)
    assert coverage == pretrained_embeddings.VectorCoverage(words=4, found=2, composed=1, share=35 / 50)
    assert str(coverage) == "2 of 4 words found (50.0%), 1 composed from subwords, 70.0% of running tokens"
    assert (
        str(pretrained_embeddings.VectorCoverage(5000, 4321, 0, 0.97))
        == "4,321 of 5,000 words found (86.4%), 97.0% of running tokens"
    )
    assert counts_V[0] == 900, "the caller's counts stay"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_vectors_are_scaled_like_random_embeddings(scale: float) -> None:
    names = [f"w{number}" for number in range(300)]
    found = pretrained_embeddings.match_vectors(
        vocabulary(*names, *(f"x{number}" for number in range(900))), vectors(*names, scale=scale)
    )
    embedding = nn.Embedding(4 + 1200, DIMENSION, padding_idx=0)
    torch.manual_seed(1)
    pretrained_embeddings.init_embedding(embedding, found)
    table_VD = embedding.weight.detach()
    filled_ND = table_VD[torch.from_numpy(found.rows)]
    assert filled_ND.square().sum(1).mean().item() == pytest.approx(1, rel=1e-5)
    directions_ND = torch.from_numpy(found.vectors_ND)
    cosines_N = torch.cosine_similarity(filled_ND, directions_ND)
    torch.testing.assert_close(cosines_N, torch.ones(300))
    assert not table_VD[0].any(), "padding is zero"
    others_ND = table_VD[304:]
    torch.testing.assert_close(others_ND.mean(0), filled_ND.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(others_ND.std(0), filled_ND.std(0), atol=0.05, rtol=0)
    assert table_VD[1:4].std().item() > 0.05, "the special symbols are drawn too"
    assert embedding.weight.requires_grad


def test_one_vector_alone_does_not_make_all_others_equal() -> None:
    embedding = nn.Embedding(7, DIMENSION)
    pretrained_embeddings.init_embedding(
        embedding, pretrained_embeddings.match_vectors(vocabulary("a", "b", "c"), vectors("b"))
    )
    assert len({tuple(row) for row in embedding.weight.tolist()}) == 7
