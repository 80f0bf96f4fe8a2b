"""Phrase constraints hold at word boundaries for every tokenizer, direction and search."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny_models import speaker, translator

from rnnkit.decoding.beam_search import beam_search
from rnnkit.decoding.constraint_files import ConstraintFiles, ConstraintReader
from rnnkit.decoding.constraints import BatchConstraints, Constraints
from rnnkit.decoding.ensemble import Direction
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.phrase_spellings import ALWAYS, INSIDE, START
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import TranslatedLine, TranslationOptions, translate_tokens
from rnnkit.decoding.translator import TranslationEnsemble
from rnnkit.models.steppers import NeuralPrompts
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.rule_based_tokenizers import ByteTokenizer, CharacterTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import BYTE_TOKENS
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.unicode import Normalizer
from rnnkit.text.vocabulary import Vocabulary

from .tables import random_stepper

TEXT = (
    "the cat sat, and the (category) ran.",
    'a "cat" cats: bobcat, cat-like é!',
    "我给他不的日本电影。",
    "他不给我日本 IBM 电影，好。",
    "ฉันกินข้าว กิน",
    "カメラのデジタルカメラ",
    "naïve cafés 3.5 cat",
)
PHRASES = (
    *("cat", "the cat", "category", ", and", ".", "cat-like", "(category)", "sat,", "a", "é", "cafés", "3"),
    *("他不", "日本", "。", "IBM", "กิน", "カメラ"),
)
KINDS = (
    *("words", "spaces", "chars", "bytes", "unigram", "bpe"),
    *("words with features", "unigram with features", "unigram with octets"),
)


@cache
def tokenizer(kind: str) -> Tokenizer:
    kind, _, featured = kind.partition(" ")
    plain: dict[str, Callable[[Normalizer], Tokenizer]] = {
        "words": WordTokenizer,
        "spaces": WhitespaceTokenizer,
        "chars": CharacterTokenizer,
        "bytes": ByteTokenizer,
    }
    found = plain[kind](Normalizer()) if kind in plain else train_subwords(TEXT * 3, kind, None, Normalizer())
    return FeaturedTokenizer(found) if featured == "with features" else found


@cache
def model(kind: str, seed: int, **changes: Any) -> LoadedSeq2Seq:
    cut = tokenizer(kind)
    tokens = [token for line in TEXT for token in cut.tokenize(line)]
    if kind == "spaces":
        tokens += [word for phrase in PHRASES for word in phrase.split()]
    if "features" in kind:
        tokens += ["␉V"]
    if kind.startswith(("unigram", "bpe")):
        tokens += [token for phrase in PHRASES for token in cut.tokenize(phrase)]
        tokens += set("".join(PHRASES).replace(" ", ""))
    if "octets" in kind:
        tokens += BYTE_TOKENS
    table = Vocabulary.from_counts({token: tokens.count(token) for token in tokens})
    network = translator(seed=seed, size=len(table), spread=1.0, **changes)
    return LoadedSeq2Seq(Path("m"), network, cut, table, table, ("de", "en"), {})


def is_word(character: str) -> bool:
    """Return whether a character is a word character of a script with spaces, by its Unicode name."""
    unspaced = ("CJK", "HIRAGANA", "KATAKANA", "THAI")
    return unicodedata.category(character)[0] in "LMN" and not unicodedata.name(character).startswith(unspaced)


def has(text: str, phrase: str) -> bool:
    """Return whether a text contains a phrase between word boundaries, by definition."""
    for at in range(len(text) - len(phrase) + 1):
        if text[at : at + len(phrase)] != phrase:
            continue
        before, after = text[:at][-1:], text[at + len(phrase) :][:1]
        glued = [bool(left and right) and is_word(left) and is_word(right) for left, right in
                 ((before, phrase[0]), (phrase[-1], after))]  # fmt: skip
        if not any(glued) and not (after and unicodedata.category(after)[0] == "M"):
            return True
    return False


SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 5, "nbest": 5},
    "rules": {"beam": 4, "nbest": 2, "min_length": 6, "no_repeat_ngram": 2},
    "groups": {"beam": 4, "groups": 2, "diversity": 0.5, "nbest": 2},
    "short": {"beam": 3, "max_length": 2},
    "sampling": {"nbest": 2},
}


def constraints_for(here: LoadedSeq2Seq, phrases: list[str], prefix: str = "") -> Constraints:
    reader = ConstraintReader(here, ConstraintFiles())
    found = reader.read(1, "", [prefix, "\t".join(phrases), ""])
    assert not reader.problems
    return found


def found(
    translators: tuple[LoadedSeq2Seq, ...], per_sentence: list[Constraints], search: str, **changes: Any
) -> list[TranslatedLine]:
    sampling = SamplingOptions(temperature=1.5) if search == "sampling" else None
    options = TranslationOptions(SearchOptions(**SEARCHES[search]), 1000, sampling=sampling)
    sources = [translators[0].tokenizer.tokenize(line) for line in ("the cat", "日本", "", "a b c d e f")]
    return list(
        translate_tokens(
            replace(TranslationEnsemble(translators), **changes), sources[: len(per_sentence)], per_sentence, options
        )
    )


SOME = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3, unique=True)


def check(outputs: list[TranslatedLine], required: list[list[str]]) -> None:
    for one, phrases in zip(outputs, required, strict=True):
        assert one.outputs and len(one.constraints_met) == len(one.outputs)
        for text, constraints_met in zip(one.outputs, one.constraints_met, strict=True):
            assert constraints_met and all(has(text, phrase) for phrase in phrases), (text, phrases)


@pytest.mark.parametrize("right_to_left", [False, True], ids=["left to right", "right to left"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(required=st.lists(SOME, min_size=4, max_size=4), seed=st.integers(0, 3), search=st.sampled_from(list(SEARCHES)))
def test_outputs_contain_phrases_at_word_boundaries(
    kind: str, right_to_left: bool, required: list[list[str]], seed: int, search: str
) -> None:
    here = model(kind, seed, right_to_left=right_to_left)
    check(found((here,), [constraints_for(here, phrases) for phrases in required], search), required)


@pytest.mark.parametrize(
    "kind", [kind if kind in ("bytes", "unigram") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
@settings(max_examples=2, deadline=None)
@given(required=st.lists(SOME, min_size=4, max_size=4), seed=st.integers(0, 3))
def test_ensembles_directions_and_fusion_keep_constraints(kind: str, required: list[list[str]], seed: int) -> None:
    one, other, reverse = model(kind, seed), model(kind, seed + 1), model(kind, seed, right_to_left=True)
    per_sentence = [constraints_for(one, phrases) for phrases in required]
    check(found((one, other), per_sentence, "beam"), required)
    check(found((one, reverse), per_sentence, "beam"), required)
    network = speaker(size=len(one.target_vocabulary))
    fused = {"fusion_models": (lambda sentences: NeuralPrompts(network, [()] * sentences),), "weights": (0.4,)}
    check(found((one,), per_sentence, "beam", **fused), required)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, deadline=None)
@given(phrases=SOME, seed=st.integers(0, 3), search=st.sampled_from(list(SEARCHES)))
def test_prefixes_combine_with_phrases(kind: str, phrases: list[str], seed: int, search: str) -> None:
    here = model(kind, seed)
    tried = 0
    for prefix in ("the", "a cat", "the (", "bobcat", "日本", "a cat, and"):
        reader = ConstraintReader(here, ConstraintFiles())
        constraints = reader.read(1, "", [prefix, "\t".join(phrases), ""])
        if reader.problems:  # not in the vocabulary
            continue
        (one,) = found((here,), [constraints], search)
        check([one], [phrases])
        assert all(text.startswith(prefix) for text in one.outputs)
        tried += 1
    assert tried > 1


@pytest.mark.parametrize("kind", KINDS)
def test_batch_equals_single_sentences(kind: str) -> None:
    here = model(kind, 1)
    per_sentence = [constraints_for(here, list(phrases)) for phrases in (PHRASES[:2], PHRASES[3:6], PHRASES[7:8])]
    together = found((here,), [per_sentence[0], Constraints(), per_sentence[1], per_sentence[2]], "beam")
    alone = found((here,), per_sentence[:1], "beam")
    assert (alone[0].outputs, alone[0].tokens) == (together[0].outputs, together[0].tokens)
    assert not together[1].constraints_met


def shown(here: LoadedSeq2Seq, phrase: str) -> list[tuple[str, str]]:
    (one,) = constraints_for(here, [phrase]).phrases
    return [(" ".join(here.target_vocabulary.decode(way.ids)), way.placement) for way in one.spellings]


def test_spellings_follow_the_tokenizer() -> None:
    """A phrase has the spellings that the tokenizer gives it in each context."""
    assert shown(model("words", 1), "cat") == [("cat", ALWAYS)]
    assert shown(model("words", 1), ", and") == [("￭, and", ALWAYS)]
    assert shown(model("words", 1), "日本") == [("￭日 ￭本", ALWAYS)]
    assert shown(model("chars", 1), "cat") == [("c a t", ALWAYS), ("▁ c a t", INSIDE)]
    assert shown(model("chars", 1), "日本") == [("日 本", ALWAYS)]
    assert shown(model("spaces", 1), "the cat") == [("the cat", ALWAYS)]
    ways = dict(shown(model("unigram", 1), "日本"))
    assert all(offered == (START if way.startswith("▁") else ALWAYS) for way, offered in ways.items())
    assert any(not way.startswith("▁") for way in ways)


def test_vocabulary_without_space_has_no_boundaries() -> None:
    cut = CharacterTokenizer(Normalizer())
    table = Vocabulary.from_counts(dict.fromkeys("abcdes", 1))
    here = LoadedSeq2Seq(Path("m"), translator(size=len(table)), cut, table, table, ("de", "en"), {})
    constraints = constraints_for(here, ["ed", "s"])
    (one,) = translate_tokens(
        TranslationEnsemble((here,)), [list("abe")], [constraints], TranslationOptions(SearchOptions(min_length=7), 100)
    )
    assert one.constraints_met == (True,)
    assert "ed" in one.outputs[0] and "s" in one.outputs[0]


@pytest.mark.parametrize("right_to_left", [False, True], ids=["left to right", "right to left"])
@pytest.mark.parametrize("phrases", [("a",), ("aa",), (",",), ("a,",), ("中",), ("中a",), ("a", "中"), (",", "中")])
@pytest.mark.parametrize("seed", [1, 2])
def test_full_beam_equals_exhaustive_search(right_to_left: bool, phrases: tuple[str, ...], seed: int) -> None:
    table = Vocabulary.from_counts(dict.fromkeys("a,中▁", 1))
    cut = CharacterTokenizer(Normalizer())
    here = LoadedSeq2Seq(Path("m"), translator(size=len(table)), cut, table, table, ("de", "en"), {})
    constraints = constraints_for(here, list(phrases))
    if right_to_left:
        constraints = Direction(random_stepper(1, 8, seed), right_to_left=True).reorder_constraints(constraints)
    batch_constraints, options = BatchConstraints([constraints]), SearchOptions(beam=1500, nbest=20)
    limit_B = batch_constraints.extend_limits(torch.tensor([5]), options)
    (left,) = beam_search(random_stepper(1, 8, seed), limit_B, options, constraints=batch_constraints)
    (right,) = exhaustive_search(random_stepper(1, 8, seed), limit_B, options, batch_constraints)
    assert [one.ids for one in left] == [one.ids for one in right]
    for one in right:
        text = cut.detokenize(table.decode(one.ids[::-1] if right_to_left else one.ids))
        assert all(has(text, phrase) for phrase in phrases)
