"""The figures of a text, held against their definitions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.lm_metrics import CHANGE_KINDS, LMScore, measure, normalization_changes
from rnnkit.text.unicode import FORMS, Normalizer

RAW = ["aé b", "", "中 c"]
IDS = np.array([5, 1, 3, 3, 1, 7, 3])
LOG_P = np.log([0.5, 0.125, 0.5, 0.25, 0.25, 0.5, 0.5])


@pytest.fixture
def score() -> LMScore:
    return measure(IDS, LOG_P, RAW, 3)


def test_counts(score: LMScore) -> None:
    assert (score.lines, score.tokens, score.unknown, score.impossible) == (3, 7, 2, 0)
    assert score.characters == 4 + 1 + 0 + 1 + 3 + 1
    assert score.bytes == 5 + 1 + 0 + 1 + 5 + 1


def test_figures_follow_their_definitions(score: LMScore) -> None:
    bits = 1 + 3 + 1 + 2 + 2 + 1 + 1
    assert score.log_p == pytest.approx(-bits * math.log(2))
    assert score.log10_p == pytest.approx(-bits * math.log10(2))
    assert score.bits_per_token == pytest.approx(bits / 7)
    assert score.nats_per_token == pytest.approx(bits / 7 * math.log(2))
    assert score.perplexity == pytest.approx(2 ** (bits / 7))
    assert score.known_perplexity == pytest.approx(2 ** ((bits - 5) / 5))
    assert score.bits_per_character == pytest.approx(bits / 10)
    assert score.bits_per_byte == pytest.approx(bits / 13)


def test_parts_of_a_text_add_up_to_the_whole(score: LMScore) -> None:
    parts = measure(IDS[:3], LOG_P[:3], RAW[:1], 1) + measure(IDS[3:], LOG_P[3:], RAW[1:], 2)
    assert (LMScore() + parts).as_dict() == pytest.approx(score.as_dict())


def test_without_raw_text_there_is_nothing_to_count(score: LMScore) -> None:
    found = measure(IDS, LOG_P, None, 3)
    assert math.isnan(found.bits_per_byte)
    assert {name for name, value in found.as_dict().items() if value is None} == {
        "characters", "bytes", "bits_per_character", "bits_per_byte",
    }  # fmt: skip
    assert found.perplexity == score.perplexity


def test_a_token_of_probability_zero_is_null_in_json() -> None:
    found = measure(np.array([5, 1, 3]), np.array([-1.0, -np.inf, -1.0]), ["a b"], 1)
    assert (found.impossible, found.perplexity) == (1, math.inf)
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (document["perplexity"], document["ln"], document["impossible"]) == (None, None, 1)


def test_only_unknown_tokens_give_no_known_perplexity() -> None:
    found = measure(np.array([1, 1]), np.array([-1.0, -2.0]), None, 1)
    assert math.isnan(found.known_perplexity)
    assert found.as_dict()["perplexity_without_unknown"] is None
    assert found.perplexity == pytest.approx(math.exp(1.5))


def test_a_perplexity_beyond_all_numbers_is_infinite() -> None:
    assert measure(np.array([5]), np.array([-1e6]), None, 1).perplexity == math.inf


def test_text_that_the_tokens_do_not_reproduce_is_counted_apart() -> None:
    reproduced = ["aé b", "", "中 c"]
    raw = ["  AÉ   b", "", "中 c"]
    found = measure(IDS, LOG_P, raw, 3, reproduced)
    plain = measure(IDS, LOG_P, reproduced, 3)
    assert found.as_dict() == plain.as_dict()
    assert (found.raw_characters, found.raw_bytes) == (15 - 1, 18 - 1)
    assert (found.changed, sorted(found.changes)) == (1, ["case", "white space"])
    parts = measure(IDS[:3], LOG_P[:3], raw[:1], 1, reproduced[:1]) + measure(IDS[3:], LOG_P[3:], raw[1:], 2)
    assert (LMScore() + parts).raw_dict() == found.raw_dict()


@pytest.mark.parametrize(("unknown", "cautious"), [(5, False), (6, True)])
def test_more_than_a_twentieth_of_unknown_tokens_is_too_many(unknown: int, cautious: bool) -> None:
    ids = np.array([1] * unknown + [5] * (100 - unknown))
    assert bool(measure(ids, np.full(100, -1.0), ["x"], 1).cautions) == cautious
    assert bool(measure(ids, np.full(100, -1.0), None, 1).cautions) == cautious


def test_nothing_has_no_cautions() -> None:
    assert LMScore().cautions == []
    assert LMScore().raw_dict()["raw_characters"] is None


@pytest.mark.parametrize(
    ("raw", "reproduced", "kinds"),
    [
        ("a b", "a b", set()),
        (" a  b ", "a b", {"white space"}),
        ("a\u00a0b", "a b", {"white space"}),
        ("A b", "a b", {"case"}),
        ("İSTANBUL", "i\u0307stanbul", {"case"}),
        ("o\u0308", "ö", {"Unicode form"}),
        ("ﬁ ２", "fi 2", {"Unicode form"}),
        ("\u212a", "K", {"Unicode form"}),
        ("O\u0308  x", "ö x", {"white space", "case", "Unicode form"}),
        ("a\x01b", "ab", {"other characters"}),
        ("a  b", "a c", {"white space", "other characters"}),
    ],
)
def test_kinds(raw: str, reproduced: str, kinds: set[str]) -> None:
    assert normalization_changes(raw, reproduced) == kinds


@given(st.text(), st.sampled_from(FORMS), st.booleans())
def test_something_is_named_exactly_where_something_changed(text: str, form: str, lowercase: bool) -> None:
    reproduced = Normalizer(form, lowercase)(text)
    found = normalization_changes(text, reproduced)
    assert found <= set(CHANGE_KINDS)
    assert bool(found) == (text != reproduced)
    if not lowercase and form != "nfkc" and text.isascii():
        assert found <= {"white space"}
