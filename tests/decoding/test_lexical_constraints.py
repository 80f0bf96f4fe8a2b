"""Constraints in text: whatever the tokenizer, the direction and the search, outputs have their phrases as words."""

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
from rnnkit.decoding.constraints.constraint_files import ConstraintFiles, ConstraintReader
from rnnkit.decoding.constraints.phrase_spellings import ALWAYS, INSIDE, START
from rnnkit.decoding.constraints.token_constraints import BatchConstraints, Constraints
from rnnkit.decoding.ensemble import Direction
from rnnkit.decoding.exhaustive import exhaustive_search
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import TranslatedLine, TranslationOptions, translate_tokens
from rnnkit.decoding.translator import Translator
from rnnkit.models.prompts import NeuralPrompts
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.byte_tokens import BYTE_TOKENS
from rnnkit.text.tokenizers.features import FeaturedTokenizer
from rnnkit.text.tokenizers.simple_tokenizers import ByteTokenizer, CharacterTokenizer, WhitespaceTokenizer
from rnnkit.text.tokenizers.subword_training import train_subwords
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.tokenizers.word_tokenizer import WordTokenizer
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
    """Of a script with spaces, told by the names that Unicode gives."""
    unspaced = ("CJK", "HIRAGANA", "KATAKANA", "THAI")
    return unicodedata.category(character)[0] in "LMN" and not unicodedata.name(character).startswith(unspaced)


def has(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text between word boundaries, from the definition."""
    for at in range(len(text) - len(phrase) + 1):
        if text[at : at + len(phrase)] != phrase:
            continue
        before, behind = text[:at][-1:], text[at + len(phrase) :][:1]
        glued = [bool(left and right) and is_word(left) and is_word(right) for left, right in
                 ((before, phrase[0]), (phrase[-1], behind))]  # fmt: skip
        if not any(glued) and not (behind and unicodedata.category(behind)[0] == "M"):
            return True
    return False


SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 5, "nbest": 5},
    "rules": {"beam": 4, "nbest": 2, "min_length": 6, "no_repeat": 2},
    "groups": {"beam": 4, "groups": 2, "diversity": 0.5, "nbest": 2},
    "short": {"beam": 3, "max_length": 2},
    "sampling": {"nbest": 2},
}


def wished(here: LoadedSeq2Seq, phrases: list[str], prefix: str = "") -> Constraints:
    demands = ConstraintReader(here, ConstraintFiles())
    found = demands.read(1, "", [prefix, "\t".join(phrases), ""])
    assert not demands.problems
    return found


def found(
    translators: tuple[LoadedSeq2Seq, ...], wishes: list[Constraints], search: str, **changes: Any
) -> list[TranslatedLine]:
    sampling = SamplingOptions(temperature=1.5) if search == "sampling" else None
    options = TranslationOptions(SearchOptions(**SEARCHES[search]), 1000, sampling=sampling)
    sources = [translators[0].tokenizer.tokenize(line) for line in ("the cat", "日本", "", "a b c d e f")]
    return list(translate_tokens(replace(Translator(translators), **changes), sources[: len(wishes)], wishes, options))


SOME = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3, unique=True)


def check(outputs: list[TranslatedLine], asked: list[list[str]]) -> None:
    for one, phrases in zip(outputs, asked, strict=True):
        assert one.outputs and len(one.met) == len(one.outputs)
        for text, met in zip(one.outputs, one.met, strict=True):
            assert met and all(has(text, phrase) for phrase in phrases), (text, phrases)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(asked=st.lists(SOME, min_size=4, max_size=4), seed=st.integers(0, 3), search=st.sampled_from(list(SEARCHES)))
def test_every_output_has_its_phrases_as_words(
    kind: str, backwards: bool, asked: list[list[str]], seed: int, search: str
) -> None:
    here = model(kind, seed, right_to_left=backwards)
    check(found((here,), [wished(here, phrases) for phrases in asked], search), asked)


@pytest.mark.parametrize(
    "kind", [kind if kind in ("bytes", "unigram") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
@settings(max_examples=2, deadline=None)
@given(asked=st.lists(SOME, min_size=4, max_size=4), seed=st.integers(0, 3))
def test_several_models_of_both_directions_keep_them_too(kind: str, asked: list[list[str]], seed: int) -> None:
    one, other, turned = model(kind, seed), model(kind, seed + 1), model(kind, seed, right_to_left=True)
    wishes = [wished(one, phrases) for phrases in asked]
    check(found((one, other), wishes, "beam"), asked)
    check(found((one, turned), wishes, "beam"), asked)
    network = speaker(size=len(one.target_vocabulary))
    fused = {"speakers": (lambda sentences: NeuralPrompts(network, [()] * sentences),), "weights": (0.4,)}
    check(found((one,), wishes, "beam", **fused), asked)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, deadline=None)
@given(phrases=SOME, seed=st.integers(0, 3), search=st.sampled_from(list(SEARCHES)))
def test_prefixes_go_with_them(kind: str, phrases: list[str], seed: int, search: str) -> None:
    here = model(kind, seed)
    tried = 0
    for prefix in ("the", "a cat", "the (", "bobcat", "日本", "a cat, and"):
        demands = ConstraintReader(here, ConstraintFiles())
        wish = demands.read(1, "", [prefix, "\t".join(phrases), ""])
        if demands.problems:  # the vocabulary cannot write this one
            continue
        (one,) = found((here,), [wish], search)
        check([one], [phrases])
        assert all(text.startswith(prefix) for text in one.outputs)
        tried += 1
    assert tried > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_meets_its_own_whatever_is_beside_it(kind: str) -> None:
    here = model(kind, 1)
    wishes = [wished(here, list(phrases)) for phrases in (PHRASES[:2], PHRASES[3:6], PHRASES[7:8])]
    together = found((here,), [wishes[0], Constraints(), wishes[1], wishes[2]], "beam")
    alone = found((here,), wishes[:1], "beam")
    assert (alone[0].outputs, alone[0].tokens) == (together[0].outputs, together[0].tokens)
    assert not together[1].met


def shown(here: LoadedSeq2Seq, phrase: str) -> list[tuple[str, str]]:
    (one,) = wished(here, [phrase]).texts
    return [(" ".join(here.target_vocabulary.decode(way.ids)), way.offered) for way in one.spellings]


def test_phrases_are_written_as_the_tokenizer_writes_them_in_every_place() -> None:
    assert shown(model("words", 1), "cat") == [("cat", ALWAYS)]
    assert shown(model("words", 1), ", and") == [("￭, and", ALWAYS)]
    assert shown(model("words", 1), "日本") == [("￭日 ￭本", ALWAYS)]
    assert shown(model("chars", 1), "cat") == [("c a t", ALWAYS), ("▁ c a t", INSIDE)]
    assert shown(model("chars", 1), "日本") == [("日 本", ALWAYS)]
    assert shown(model("spaces", 1), "the cat") == [("the cat", ALWAYS)]
    ways = dict(shown(model("unigram", 1), "日本"))
    assert all(offered == (START if way.startswith("▁") else ALWAYS) for way, offered in ways.items())
    assert any(not way.startswith("▁") for way in ways)


def test_a_vocabulary_without_a_space_has_no_word_boundaries() -> None:
    cut = CharacterTokenizer(Normalizer())
    table = Vocabulary.from_counts(dict.fromkeys("abcdes", 1))
    here = LoadedSeq2Seq(Path("m"), translator(size=len(table)), cut, table, table, ("de", "en"), {})
    wish = wished(here, ["ed", "s"])
    (one,) = translate_tokens(
        Translator((here,)), [list("abe")], [wish], TranslationOptions(SearchOptions(min_length=7), 100)
    )
    assert one.met == (True,)
    assert "ed" in one.outputs[0] and "s" in one.outputs[0]


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("phrases", [("a",), ("aa",), (",",), ("a,",), ("中",), ("中a",), ("a", "中"), (",", "中")])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_beam_that_holds_the_whole_space_is_exhaustive_search(
    backwards: bool, phrases: tuple[str, ...], seed: int
) -> None:
    table = Vocabulary.from_counts(dict.fromkeys("a,中▁", 1))
    cut = CharacterTokenizer(Normalizer())
    here = LoadedSeq2Seq(Path("m"), translator(size=len(table)), cut, table, table, ("de", "en"), {})
    wish = wished(here, list(phrases))
    if backwards:
        wish = Direction(random_stepper(1, 8, seed), right_to_left=True).turn_wish(wish)
    terms, options = BatchConstraints([wish]), SearchOptions(beam=1500, nbest=20)
    limit_B = terms.widen(torch.tensor([5]), options)
    (left,) = beam_search(random_stepper(1, 8, seed), limit_B, options, terms=terms)
    (right,) = exhaustive_search(random_stepper(1, 8, seed), limit_B, options, terms)
    assert [one.ids for one in left] == [one.ids for one in right]
    for one in right:
        text = cut.detokenize(table.decode(one.ids[::-1] if backwards else one.ids))
        assert all(has(text, phrase) for phrase in phrases)
