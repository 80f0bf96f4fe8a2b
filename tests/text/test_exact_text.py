"""`--normalize none`: white space is kept exactly."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import FormatError
from rnnkit.text.special_tokens import OTHER_WHITE_SPACE
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.tokenizer_store import (
    RULE_BASED_TOKENIZERS,
    SUBWORD_KINDS,
    load_tokenizer,
    read_tokenizer_identity,
    save_tokenizer,
)
from rnnkit.text.unicode import NONE, Normalizer

from .texts import TEXTS

EXACT = Normalizer(NONE, exact=True)
FOLDED = Normalizer(NONE)
KINDS = tuple(kind for kind in (*RULE_BASED_TOKENIZERS, *SUBWORD_KINDS) if kind != "spaces")
LINE_ENDS = "\n\r"
SPACED = st.text(st.sampled_from(f"  {OTHER_WHITE_SPACE}a\u0301￭▁␛⑪_<0x>中,"), max_size=20)
LINES = st.one_of(TEXTS, SPACED).map(lambda text: text.translate(dict.fromkeys(map(ord, LINE_ENDS))))


@cache
def make(kind: str) -> Tokenizer:
    if kind in RULE_BASED_TOKENIZERS:
        return RULE_BASED_TOKENIZERS[kind](EXACT)
    return train_subwords(
        ["il dit\u00a0: «\u00a0non\u00a0»", "  deux  espaces\t", "deux mots ␛⑪"] * 5, kind, None, EXACT
    )


def test_white_space_is_all_that_python_splits_at() -> None:
    assert sorted(f" {OTHER_WHITE_SPACE}") == [
        character for character in map(chr, range(0x110000)) if character.isspace()
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200)
@given(line=LINES)
def test_every_text_comes_back_as_it_was(kind: str, line: str) -> None:
    tokenizer = make(kind)
    tokens = tokenizer.tokenize(line)
    assert tokenizer.detokenize(tokens) == line
    assert " ".join(tokens).split() == tokens, "no token holds white space"
    assert bool(tokens) == bool(line)
    assert tokenizer.tokenize_batch([line, "a"], threads=2) == [tokens, tokenizer.tokenize("a")]
    assert tokenizer.tokenize_to_lines([line, "", line]) == [" ".join(tokens), "", " ".join(tokens)]
    assert tokenizer.replaced_line_ends == 0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(line=LINES.map(lambda line: line.replace("\t", " ")))
def test_features_with_exact_text(kind: str, line: str) -> None:
    tokenizer = FeaturedTokenizer(make(kind))
    tokens = tokenizer.tokenize(f"{line}\tV;PST")
    assert tokens[:2] == ["␉V", "␉PST"]
    assert tokenizer.detokenize(tokens) == line


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("dit\u00a0: a", "dit ￭<0xC2><0xA0>￭ : a"),
        ("a  b", "a <0x20>￭ b"),
        ("a   b", "a <0x20> b"),
        (" a ", "<0x20>￭ a ￭<0x20>"),
        ("   ", "<0x20> <0x20>"),
        ("a\t b", "a ￭<0x09> b"),
        ("<0x20> <0xC2><0xA0>", "<￭ 0x20 ￭> <￭ 0xC2 ￭> ￭<￭ 0xA0 ￭>"),
    ],
)
def test_words(line: str, tokens: str) -> None:
    found = make("words").tokenize(line)
    assert make("words").detokenize(found) == line
    assert " ".join(found) == tokens


def test_spaces_keep_tokens_only() -> None:
    tokenizer = RULE_BASED_TOKENIZERS["spaces"](EXACT)
    assert tokenizer.tokenize("  a\u00a0b \t c ") == ["a", "b", "c"]
    assert tokenizer.detokenize(["a", "b", "c"]) == "a b c"


@pytest.mark.parametrize("kind", KINDS)
def test_older_directories_tokenize_as_before(tmp_path: Path, kind: str) -> None:
    old = (
        RULE_BASED_TOKENIZERS[kind](FOLDED)
        if kind in RULE_BASED_TOKENIZERS
        else train_subwords(["a b", " c"] * 5, kind, None, FOLDED)
    )
    new = (
        RULE_BASED_TOKENIZERS[kind](EXACT)
        if kind in RULE_BASED_TOKENIZERS
        else train_subwords(["a b", " c"] * 5, kind, None, EXACT)
    )
    assert "exact" not in old.options and new.options["exact"] is True
    save_tokenizer(old, tmp_path / "old")
    save_tokenizer(new, tmp_path / "new")
    assert read_tokenizer_identity(tmp_path / "old") != read_tokenizer_identity(tmp_path / "new")
    line = "  a\u00a0 b\t"
    folded, exact = load_tokenizer(tmp_path / "old"), load_tokenizer(tmp_path / "new")
    assert folded.detokenize(folded.tokenize(line)) == "a b"
    assert exact.detokenize(exact.tokenize(line)) == line
    assert str(exact).endswith("none, white space kept")
    meta = tmp_path / "new" / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace('"none"', '"nfc"'), encoding="utf-8")
    with raises(FormatError, "exact True", path=meta):
        load_tokenizer(tmp_path / "new")


@pytest.mark.parametrize("kind", ["words", "bytes", *SUBWORD_KINDS])
def test_a_line_end_is_never_written(kind: str) -> None:
    tokenizer = make(kind)
    assert tokenizer.detokenize(["<0x0A>", "a", "<0x0D>", "<0x0A>"]).translate({32: None}) == "␊a␍␊"
    assert tokenizer.replaced_line_ends == 1
    tokenizer.replaced_line_ends = 0
