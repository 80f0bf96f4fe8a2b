"""Linear text classifiers: features, scores and weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.linear_texts import IDF, NGRAMS, SMALL, make_lines, to_texts, train

from rnnkit.data.word_table import SparseRows
from rnnkit.kernels.word_hashing import hash_word_ngrams
from rnnkit.models.labelling import linear_text
from rnnkit.models.labelling.linear_text import LinearText, LinearTextConfig, TextLabels
from rnnkit.training.linear_text_trainer import train_linear_text


@pytest.mark.parametrize("config", [SMALL, NGRAMS, IDF])
def test_scores_depend_on_the_text_alone(config: LinearTextConfig) -> None:
    """Not on other texts, and not on the ids that its words have."""
    model, lines = train(config), [*make_lines(9, seed=1)[0], "", "judges | never lawful balls"]
    together = model.scores(to_texts(lines))
    for line, score_C in zip(lines, together, strict=True):
        assert np.array_equal(model.scores(to_texts([line]))[0], score_C)
    assert np.array_equal(model.scores(to_texts(lines, words=["zebra", "a", "law"])), together)
    assert not together[-2].any()


def test_features_are_words_and_ngrams() -> None:
    """The mean of the rows that the texts' spelling selects, n by n."""
    model = train(NGRAMS)
    line, inputs_RD = "the law | unlawful the law a", model.weights()["inputs"]
    words = line.split()
    buckets = model.character_buckets.tolist(), model.ngram_buckets.tolist()
    rows = [model.words.index(word) for word in words if word in model.words]
    for word in set(words) - {"|"}:
        starts, found = linear_text._character_buckets(NGRAMS, [word])
        spelled = f"<{word}>"
        assert starts[1] == sum(max(0, len(spelled) - n + 1) for n in (3, 4))
        rows += [len(model.words) + buckets[0].index(one) for one in found.tolist() if one in buckets[0]] * words.count(
            word
        )
    for part in line.split(" | "):
        texts = to_texts([part])
        found = hash_word_ngrams(texts.ids.values.astype(np.int32), texts.ids.offsets, texts.words, 3, NGRAMS.buckets)
        first = len(model.words) + len(buckets[0])
        rows += [first + buckets[1].index(one) for one in found.ravel().tolist() if one in buckets[1]]
    expected_C = model.weights()["outputs"] @ inputs_RD[rows].mean(0)
    np.testing.assert_allclose(model.scores(to_texts([line]))[0], expected_C, rtol=1e-4, atol=1e-5)


def test_rare_words_and_ngrams_have_no_row() -> None:
    lines = ["once upon", "a a time", "a a time"]
    labels = TextLabels(SparseRows.from_lists([[0], [1], [1]]), 2)
    config = replace(SMALL, word_ngrams=2, min_count=2, min_ngram_count=3)
    model, _ = train_linear_text(config, to_texts(lines), labels)
    assert model.words == ("a", "time")
    assert len(model.ngram_buckets) == 0
    model, _ = train_linear_text(replace(config, min_ngram_count=2), to_texts(lines), labels)
    assert len(model.ngram_buckets) == 2


@pytest.mark.parametrize("config", [SMALL, NGRAMS, IDF])
def test_weights_are_saved_and_loaded(config: LinearTextConfig, tmp_path: Path) -> None:
    model, texts = train(config), to_texts(make_lines(9, seed=1)[0])
    save_file(model.weights(), tmp_path / "best.safetensors")
    loaded = LinearText.from_weights(config, model.words, load_file(tmp_path / "best.safetensors"))
    assert np.array_equal(loaded.scores(texts), model.scores(texts))


def test_weights_are_checked() -> None:
    model = train(NGRAMS)
    weights = model.weights()
    with pytest.raises(ValueError, match="inputs have shape"):
        LinearText.from_weights(NGRAMS, model.words[1:], weights)
    with pytest.raises(ValueError, match="outputs have shape"):
        LinearText.from_weights(NGRAMS, model.words, weights | {"outputs": weights["outputs"][:, 1:]})
    with pytest.raises(ValueError, match="buckets are not all from 0 to 999"):
        LinearText.from_weights(NGRAMS, model.words, weights | {"ngram_buckets": weights["ngram_buckets"] + 999})
    with pytest.raises(ValueError, match="arrays"):
        LinearText.from_weights(NGRAMS, model.words, {"inputs": weights["inputs"]})
    with pytest.raises(ValueError, match="'length'"):
        LinearText.from_weights(replace(NGRAMS, feature_weights="length"), model.words, weights)
    weighted = train(IDF).weights()
    with pytest.raises(ValueError, match="row_weights have shape"):
        LinearText.from_weights(IDF, model.words, weighted | {"row_weights": weighted["row_weights"][1:]})
    with pytest.raises(ValueError, match="row_weights"):
        LinearText.from_weights(IDF, model.words, weights)


def test_probabilities() -> None:
    score_NC = np.array([[1, 2, -80], [0, 0, 0]], np.float32)
    p_NC = LinearText.probabilities(train(), score_NC)
    np.testing.assert_allclose(p_NC.sum(axis=1), 1, rtol=1e-6)
    assert p_NC[0, 1] / p_NC[0, 0] == pytest.approx(np.e, rel=1e-5)
    p_NC = LinearText.probabilities(train(replace(SMALL, one_vs_all=True)), score_NC)
    np.testing.assert_allclose(p_NC, 1 / (1 + np.exp(-score_NC.astype(np.float64))), rtol=1e-6, atol=1e-30)
