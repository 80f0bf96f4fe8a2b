"""Figures against sacreBLEU's own command live in `tests/stages/test_bleu.py`; here is what the wrapper adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import ConfigError, DataError
from rnnkit.evaluation import translation_metrics
from rnnkit.evaluation.translation_metrics import (
    BleuSettings,
    ChrfSettings,
    MetricSettings,
    TerSettings,
    corpus_score,
    ngram_precisions,
    sentence_scores,
    textbook_bleu,
)

HYPOTHESES = ["the cat sat on the mat", "a dog runs", "ein Hund läuft über die Straße"]
REFERENCES = [["the cat sat on a mat", "a dog is running", "ein Hund läuft über die Straße"]]


def test_names_are_those_of_sacrebleu() -> None:
    import sacrebleu
    from sacrebleu.metrics.bleu import BLEU

    later = {"spBLEU-1K"} if sacrebleu.__version__.startswith(("2.4.", "2.5.")) else set()
    assert set(translation_metrics.TOKENIZERS) - later == set(BLEU.TOKENIZERS)
    assert set(translation_metrics.SMOOTHING) == set(BLEU.SMOOTH_DEFAULTS)


def test_default_settings_are_those_of_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    pairs: list[tuple[MetricSettings, Any]] = [(BleuSettings(), BLEU), (ChrfSettings(), CHRF), (TerSettings(), TER)]
    for settings, metric in pairs:
        theirs = metric()
        theirs.corpus_score(HYPOTHESES, REFERENCES)
        assert corpus_score(HYPOTHESES, REFERENCES, settings).signature == theirs.get_signature().format()


def test_identical_text_is_perfect() -> None:
    assert corpus_score(HYPOTHESES, [HYPOTHESES]).value == pytest.approx(100)
    assert corpus_score(HYPOTHESES, [HYPOTHESES], ChrfSettings()).value == pytest.approx(100)
    assert corpus_score(HYPOTHESES, [HYPOTHESES], TerSettings()).value == 0


def test_a_score_prints_as_sacrebleu_prints_it() -> None:
    score = corpus_score(HYPOTHESES, REFERENCES)
    assert score.line(1).startswith("BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert f" = {score.value:.1f} " in score.line(1)
    assert score.line(1).endswith("hyp_len = 15 ref_len = 16)")
    assert score.number(3) == f"{score.value:.3f}"
    assert score.as_dict(2)["score"] == round(score.value, 2)


def test_sentence_scores_leave_out_orders_longer_than_the_line() -> None:
    scores = sentence_scores(["a dog"], [["a dog"]])
    assert [score.value for score in scores] == [pytest.approx(100)]
    assert "eff:yes" in scores[0].signature


def test_each_sentence_has_all_its_references() -> None:
    first, second = sentence_scores(["b c d", "x"], [["a", "x"], ["b c d", "y"]], ChrfSettings())
    assert [first.value, second.value] == pytest.approx([100, 100])
    assert "nrefs:2" in first.signature


@pytest.mark.parametrize("score", [corpus_score, sentence_scores])
def test_counts_must_agree(score: Callable[..., object]) -> None:
    with raises(DataError, "2 hypotheses", "1 lines in reference 2"):
        score(["a", "b"], [["a", "b"], ["a"]])


def test_nothing_to_score() -> None:
    with raises(DataError, "0 hypotheses"):
        corpus_score([], [[]])


def test_a_tokenizer_that_an_older_sacrebleu_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.metrics import bleu as theirs

    def unknown(name: str) -> object:
        raise KeyError(name)

    monkeypatch.setattr(theirs, "_get_tokenizer", unknown)
    with raises(ConfigError, "spBLEU-1K", "`pip install --upgrade sacrebleu`"):
        translation_metrics.make_tokenizer("spBLEU-1K")


def test_a_tokenizer_that_needs_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.tokenizers import tokenizer_ja_mecab

    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    with raises(ConfigError, "ja-mecab", "`pip install 'sacrebleu[ja]'`"):
        corpus_score(HYPOTHESES, REFERENCES, BleuSettings(tokenize="ja-mecab"))


def test_a_tokenizer_whose_model_cannot_be_fetched_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.metrics import bleu as theirs

    def unreachable(name: str) -> object:
        raise OSError("no route to host")

    monkeypatch.setattr(theirs, "_get_tokenizer", unreachable)
    with raises(ConfigError, "flores200", "no route to host", "13a, none, char, intl, zh"):
        translation_metrics.make_tokenizer("flores200")


TOKENS = st.lists(st.sampled_from("abc"), max_size=8)


def test_worked_example() -> None:
    """Label ABCDEF, prediction ABBCD: p1 4/5, p2 3/4, p3 1/3, p4 0."""
    assert ngram_precisions("ABBCD", "ABCDEF", 4) == [4 / 5, 3 / 4, 1 / 3, 0]
    assert textbook_bleu("ABBCD", "ABCDEF", 2) == pytest.approx(0.6815, abs=5e-5)
    assert textbook_bleu("ABBCD", "ABCDEF", 4) == 0


def test_the_formula_term_by_term() -> None:
    brevity = math.exp(1 - 6 / 5)
    assert textbook_bleu("ABBCD", "ABCDEF", 3) == pytest.approx(
        brevity * (4 / 5) ** (1 / 2) * (3 / 4) ** (1 / 4) * (1 / 3) ** (1 / 8)
    )


def test_an_ngram_counts_no_more_often_than_in_the_label() -> None:
    assert ngram_precisions("aaaa", "ab", 1) == [1 / 4]


def test_length_is_punished_only_where_it_falls_short() -> None:
    assert textbook_bleu("abab", "ab", 1) == pytest.approx((2 / 4) ** (1 / 2))
    assert textbook_bleu("a", "abcd", 1) == pytest.approx(math.exp(-3))


def test_empty_sides() -> None:
    assert textbook_bleu([], ["a"], 4) == 0
    assert textbook_bleu(["a"], [], 4) == 0
    assert textbook_bleu([], [], 4) == 1


@given(TOKENS, st.integers(1, 6))
def test_identical_is_one(tokens: list[str], max_n: int) -> None:
    assert textbook_bleu(tokens, tokens, max_n) == 1


@given(TOKENS, TOKENS, st.integers(1, 6))
def test_between_zero_and_one_and_falling_with_longer_ngrams(
    prediction: list[str], label: list[str], max_n: int
) -> None:
    score = textbook_bleu(prediction, label, max_n)
    assert 0 <= textbook_bleu(prediction, label, max_n + 1) <= score <= 1
