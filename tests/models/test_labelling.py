"""Taggers and text classifiers: padding, characters, pooling, losses, and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rnnkit.data.word_table import Alphabet, SparseRows, WordBatch, WordTable
from rnnkit.models.labelling.labelling_encoder import LabellingConfig, LabellingEncoder
from rnnkit.models.labelling.labelling_store import character_features, hash_ngrams, word_shapes
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.nn.crf import LinearChainCRF
from rnnkit.nn.label_losses import IGNORED
from rnnkit.text.special_tokens import EOS, UNK

WORDS = ["</s>", "a", "bird", "sings", "", "über"]
SENTENCES = [np.array(rows) for rows in ([1, 2, 3, 0], [5, 0], [2, 2, 5, 1, 3, 2, 0], [0])]
ALPHABET = Alphabet.of_words(WORDS[1:])
SMALL = LabellingConfig(
    "lstm", 12, [5, 3], embedding=7, hidden=6, layers=2, characters="lstm", alphabet=len(ALPHABET),
    character_embedding=3, character_hidden=4, dropout=0.0, heads=2, unknown=0.0,
)  # fmt: skip


def table(config: LabellingConfig, pieces: bool = False) -> WordTable:
    tokens = [[EOS], [4], [5], [6], [UNK], [7]]
    if pieces:
        tokens[2:4] = [[5, 8], [6, 8, 9]]
    made = WordTable(WORDS, SparseRows.from_lists(tokens))
    if config.word_vectors:
        vectors_WD = np.random.default_rng(4).normal(size=(len(WORDS), config.word_vectors))
        made = replace(made, vectors_WD=vectors_WD.astype(np.float32))
    return made.with_features(character_features(config, ALPHABET))


def configured(**changes: Any) -> LabellingConfig:
    config = replace(SMALL, **changes)
    return replace(config, alphabet=50) if config.characters == "ngrams" else config


def batch(config: LabellingConfig, *rows: int, pieces: bool = False) -> WordBatch:
    return table(config, pieces).batch([SENTENCES[row] for row in rows])


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("characters", ["lstm", "cnn", "ngrams", "none"])
@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm", "mingru", "transformer"])
def test_a_sentence_is_encoded_alike_alone_and_in_a_batch(arch: str, characters: str, pieces: bool) -> None:
    torch.manual_seed(5)
    config = configured(arch=arch, characters=characters)
    encoder = LabellingEncoder(config).eval()
    together = encoder(batch(config, 0, 1, 2, 3, pieces=pieces))
    assert together.length_B.tolist() == [4, 2, 7, 1]
    for row in range(4):
        alone = encoder(batch(config, row, pieces=pieces))
        length = len(SENTENCES[row])
        torch.testing.assert_close(together.state_BTH[row, :length], alone.state_BTH[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("characters", ["cnn", "none"])
@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_static_vectors_are_those_of_the_words(arch: str, characters: str, causal: bool, pieces: bool) -> None:
    torch.manual_seed(5)
    config = configured(arch=arch, characters=characters, word_vectors=3, bidirectional=not causal, causal=causal)
    if causal:
        config = replace(config, embedding=6, layers=1)
    encoder = LabellingEncoder(config).eval()
    given = batch(config, 0, 1, 2, 3, pieces=pieces)
    together = encoder(given)
    assert given.vectors_WD is not None
    for row in range(4):
        alone = encoder(batch(config, row, pieces=pieces))
        length = len(SENTENCES[row])
        torch.testing.assert_close(together.state_BTH[row, :length], alone.state_BTH[0], rtol=1e-5, atol=1e-6)
    changed_WD = given.vectors_WD.copy()
    changed_WD[given.rows_W.tolist().index(2)] += 1  # `bird`: positions 1; none; 0, 1 and 5; none
    other = encoder(replace(given, vectors_WD=changed_WD))
    differs_BT = (other.state_BTH - together.state_BTH).abs().amax(2) > 1e-5
    assert differs_BT.any(1).tolist() == [True, False, True, False]
    if causal:
        assert differs_BT[2].nonzero()[:, 0].tolist() == [0, 1, 5]
    with pytest.raises(ValueError, match="no static word vectors"):
        encoder(replace(given, vectors_WD=None))


@pytest.mark.parametrize("characters", ["lstm", "cnn", "ngrams"])
def test_characters_once_per_word_equal_once_per_occurrence(characters: str) -> None:
    """The reference encodes the characters of every occurrence; values and gradients are the same."""
    torch.manual_seed(6)
    config = configured(characters=characters)
    encoder = LabellingEncoder(config).eval()
    whole = batch(config, 0, 2)
    assert whole.features is not None
    assert encoder.character_encoder is not None
    once_WH = encoder.character_encoder(whole.features)
    occurring_N = torch.from_numpy(np.concatenate([whole.word_BS[0, :4], whole.word_BS[1]]))
    each_NH = encoder.character_encoder(whole.features.select(occurring_N.numpy()))
    torch.testing.assert_close(once_WH[occurring_N], each_NH)
    weight_NH = torch.randn_like(each_NH)
    parameters = list(encoder.character_encoder.parameters())
    found = torch.autograd.grad((once_WH[occurring_N] * weight_NH).sum(), parameters)
    expected = torch.autograd.grad((each_NH * weight_NH).sum(), parameters)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_state_of_a_word_is_that_of_its_last_piece() -> None:
    cut = batch(configured(), 0, pieces=True)
    assert cut.end_BT is not None
    assert cut.token_BS.tolist() == [[4, 5, 8, 6, 8, 9, EOS]]
    assert cut.end_BT.tolist() == [[0, 2, 5, 6]]


def test_rare_words_become_unknown_in_training_only() -> None:
    encoder = LabellingEncoder(configured(characters="none", unknown=1e9))
    encoder.set_token_counts(np.ones(12, np.int64))
    token_BS = torch.tensor([[4, 5, EOS]])
    assert encoder._replace_tokens(token_BS).tolist() == [[UNK, UNK, EOS]]
    assert encoder.eval()._replace_tokens(token_BS) is token_BS


def labels(*rows: list[int]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [IGNORED] * (longest - len(row)) for row in rows])


@pytest.mark.parametrize("crf", [False, True])
def test_the_loss_of_a_batch_is_the_sum_of_its_sentences(crf: bool) -> None:
    torch.manual_seed(7)
    config = configured(crf=crf)
    tagger = TaggerNetwork(config, [LinearChainCRF(count) for count in config.labels] if crf else ())
    rows = [[0, 4, 1], [2], [1, 1, 0, 3, 3, 2], []]
    small = [[label % 3 for label in row] for row in rows]
    loss, nll = tagger.loss(batch(config, 0, 1, 2, 3), [labels(*rows), labels(*small)])
    alone = [
        tagger.loss(batch(config, row), [labels(rows[row] or [IGNORED]), labels(small[row] or [IGNORED])])[0]
        for row in range(4)
    ]
    torch.testing.assert_close(loss, torch.stack(alone).sum(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.detach(), nll)
    weighted, _ = tagger.loss(
        batch(config, 0, 1, 2, 3), [labels(*rows), labels(*small)], weight_B=torch.tensor([2.0, 0, 1, 1])
    )
    torch.testing.assert_close(weighted, 2 * alone[0] + alone[2], rtol=1e-5, atol=1e-5)


def test_a_sentence_with_an_unseen_tag_costs_a_crf_nothing() -> None:
    config = configured(labels=[5], crf=True)
    tagger = TaggerNetwork(config, [LinearChainCRF(5)])
    loss, _ = tagger.loss(batch(config, 0), [labels([0, IGNORED, 1])])
    assert loss.item() == 0


POOLED = {"last", "mean", "max", "attention", "all"}


@pytest.mark.parametrize("pooling", sorted(POOLED))
@pytest.mark.parametrize("bidirectional", [True, False])
def test_pooling_ignores_padding(pooling: str, bidirectional: bool) -> None:
    torch.manual_seed(8)
    config = configured(pooling=pooling, bidirectional=bidirectional)
    classifier = ClassifierNetwork(config).eval()
    scores, weight_BT = classifier.scores_and_attention(batch(config, 0, 1, 2, 3))
    assert (weight_BT is not None) == (pooling in ("attention", "all"))
    if weight_BT is not None:
        torch.testing.assert_close(weight_BT.sum(1), torch.ones(4))
        assert not weight_BT[1, 2:].any()
    for row in range(4):
        alone = classifier.scores(batch(config, row))
        for together_BC, alone_BC in zip(scores, alone, strict=True):
            torch.testing.assert_close(together_BC[row], alone_BC[0], rtol=1e-5, atol=1e-6)


def test_poolings_by_their_definition() -> None:
    torch.manual_seed(9)
    config = configured(labels=[2])
    reference = ClassifierNetwork(replace(config, pooling="mean")).eval()
    state_TH = reference.encoder(batch(config, 0)).state_BTH[0]
    half = config.hidden // 2
    expected = {
        "mean": state_TH.mean(0),
        "max": state_TH.amax(0),
        "last": torch.cat([state_TH[-1, :half], state_TH[0, half:]]),
    }
    for pooling, pooled_H in expected.items():
        classifier = ClassifierNetwork(replace(config, pooling=pooling)).eval()  # type: ignore[arg-type]
        classifier.load_state_dict(reference.state_dict())
        (scores_BC,) = classifier.scores(batch(config, 0))
        torch.testing.assert_close(scores_BC[0], nn.functional.linear(pooled_H, *classifier.outputs[0].parameters()))


def test_hashed_ngrams_are_bounded() -> None:
    found = hash_ngrams("ab", 50)
    assert len(found) == 3 + 2 + 1 + 1 + 2 * 3
    assert max(found) < 50
    assert hash_ngrams("", 50)
    assert len(hash_ngrams("x" * 10_000, 50)) < 4 * 520
    assert hash_ngrams("ab", 50) != hash_ngrams("ba", 50)


@pytest.mark.parametrize(
    ("word", "shapes"),
    [("Oslo", ("Xxxx", "Xx")), ("mRNA-12", ("xXXX-dd", "xX-d")), ("über", ("xxxx", "x")), ("", ("", ""))],
)
def test_word_shapes(word: str, shapes: tuple[str, str]) -> None:
    assert word_shapes(word) == shapes


def test_words_of_one_shape_have_common_features() -> None:
    """Besides their shapes, these words have no common n-gram."""
    common = set(hash_ngrams("Quiz", 10**9)) & set(hash_ngrams("Bonn", 10**9))
    assert len(common) == 2
    assert len(set(hash_ngrams("Bonn", 10**9)) & set(hash_ngrams("bonn", 10**9))) > 2
