"""Features of a line, with every kind of tokenizer."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.subword_training import SubwordTrainingOptions, train_from_files, train_subwords
from rnnkit.text.token_files import read_token_lines
from rnnkit.text.tokenizer import (
    FEATURE_MARK,
    FeaturedTokenizer,
    Tokenizer,
    escape_marks,
    feature_tokens,
    is_feature,
    read_raw_text,
    remove_features,
    split_features,
)
from rnnkit.text.tokenizer_store import RULE_BASED_TOKENIZERS, SUBWORD_KINDS
from rnnkit.text.unicode import Normalizer
from rnnkit.text.vocabulary import Vocabulary

from .texts import TEXTS

NFC = Normalizer()
KINDS = (*RULE_BASED_TOKENIZERS, *SUBWORD_KINDS)

WITHOUT_TABS = st.one_of(TEXTS, st.text("␉V▁ ", max_size=9)).map(lambda text: text.replace("\t", " "))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t;␉"), min_size=1, max_size=8)
FEATURES = st.lists(
    NAMES.filter(lambda name: name.split() == [name]).filter(lambda name: NFC(name) == name), max_size=5
)
# The Greek question mark is a semicolon in NFC, so that the last filter leaves it out.


@cache
def plain(kind: str) -> Tokenizer:
    if kind in RULE_BASED_TOKENIZERS:
        return RULE_BASED_TOKENIZERS[kind](NFC)
    return train_subwords(["ein Mann ␉ ein Wort", "␉␉ ein anderer Mann"] * 5, kind, None, NFC)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(text=WITHOUT_TABS, names=FEATURES, separator=st.sampled_from([";", " ", " ; "]))
def test_text_and_features_come_back(kind: str, text: str, names: list[str], separator: str) -> None:
    tokenizer = FeaturedTokenizer(plain(kind))
    line = f"{text}\t{separator.join(names)}" if names else text
    tokens = tokenizer.tokenize(line)
    assert tokens[: len(names)] == [FEATURE_MARK + name for name in names]
    assert not any(tokenizer.is_feature(token) for token in tokens[len(names) :])
    assert all(tokenizer.is_feature(token) for token in tokens[: len(names)])
    assert tokenizer.detokenize(tokens) == tokenizer.detokenize(tokens[len(names) :]) == NFC(text)
    assert tokenizer.detokenize([*tokens[len(names) :], *tokens[: len(names)]]) == NFC(text), "wherever they stand"
    assert " ".join(tokens).split() == tokens
    assert tokenizer.tokenize_batch([line, "a", line], threads=2) == [tokens, tokenizer.tokenize("a"), tokens]
    assert tokenizer.tokenize_to_lines([line, "", line]) == [" ".join(tokens), "", " ".join(tokens)]
    if FEATURE_MARK not in text:
        assert tokens[len(names) :] == plain(kind).tokenize(text), "marks change nothing else"


@settings(max_examples=30)
@given(lines=st.lists(st.tuples(WITHOUT_TABS, FEATURES), min_size=1, max_size=4))
def test_token_files_and_vocabularies_hold_them(lines: list[tuple[str, list[str]]]) -> None:
    assume(not lines[0][0].startswith("\ufeff"))  # the line reader takes it for a byte order mark
    tokenizer = FeaturedTokenizer(plain("chars"))
    rows = tokenizer.tokenize_batch([f"{text}\t{';'.join(names)}" for text, names in lines])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.a.tok"
        path.write_text("".join(f"{' '.join(row)}\n" for row in rows), encoding="utf-8")
        assert [line.split() for line in read_token_lines(path)] == rows
        vocabulary = Vocabulary.from_counts(Counter(token for row in rows for token in row))
        vocabulary.save(Path(folder) / "vocab.tsv")
        loaded = Vocabulary.load(Path(folder) / "vocab.tsv")
    assert loaded == vocabulary
    assert [loaded.decode(loaded.encode(row)) for row in rows] == rows
    assert loaded.encode(["␉never met"]) == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_without_features_a_tab_is_white_space(kind: str) -> None:
    assert plain(kind).tokenize("ein\tWort ␉V") == plain(kind).tokenize("ein Wort ␉V")
    assert plain(kind).split_features("ein\ta\tb", "x:1") == ("ein\ta\tb", [])
    assert not plain(kind).is_feature("␉V")


def test_text_that_looks_like_a_feature() -> None:
    spaces, characters = FeaturedTokenizer(plain("spaces")), FeaturedTokenizer(plain("chars"))
    assert spaces.tokenize("␉V a␉ ␉␉ ␉\tV") == ["␉V", "␉␉V", "a␉", "␉␉␉", "␉␉"]
    assert characters.tokenize("␉V\tV") == ["␉V", "␉␉", "V"]
    assert characters.tokenize_normalized("␉V") == ["␉␉", "V"]


def test_case_is_the_texts() -> None:
    tokenizer = FeaturedTokenizer(RULE_BASED_TOKENIZERS["words"](Normalizer("nfc", lowercase=True)))
    assert tokenizer.tokenize("Ein Wort\tV;Pst") == ["␉V", "␉Pst", "ein", "wort"]


def test_samples_all_have_their_lines_features() -> None:
    tokenizer = FeaturedTokenizer(plain("unigram"))
    rows = tokenizer.sample_batch(["ein Mann\tV;x", "ein ␉"], 3, 0.1, 5)
    assert [row[:2] == ["␉V", "␉x"] for row in rows] == [True] * 3 + [False] * 3
    assert [tokenizer.detokenize(row) for row in rows] == ["ein Mann"] * 3 + ["ein ␉"] * 3
    assert [[token for token in row if token.startswith("␉V")] for row in rows[3:]] == [[], [], []]
    with pytest.raises(TypeError, match="chars"):
        FeaturedTokenizer(plain("chars")).sample_batch(["a"], 2, 0.1, 5)


@pytest.mark.parametrize("kind", SUBWORD_KINDS)
def test_features_are_not_part_of_the_training_text(tmp_path: Path, kind: str) -> None:
    texts = ["ein Mann", "ein anderer Mann", "", "kein Wort"] * 4
    (tmp_path / "a").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    (tmp_path / "b").write_text("".join(f"{text}\tqqq;QQQ;qqq\n" for text in texts), encoding="utf-8")
    training = SubwordTrainingOptions(kind, None, 1000, seed=1)
    models = [train_from_files([tmp_path / name], training, NFC, features=True)[0].model for name in ("a", "b")]
    assert models[0] == models[1]
    assert train_from_files([tmp_path / "b"], training, NFC)[0].model != models[0]
    (tmp_path / "b").write_text("ein\na\tb\tc\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b:2: the line has 2 TABs"):
        train_from_files([tmp_path / "b"], training, NFC, features=True)
    (tmp_path / "b").write_text("\tV\n", encoding="utf-8")
    with pytest.raises(DataError, match="b has only blank lines"):
        train_from_files([tmp_path / "b"], training, NFC, features=True)


def test_files_are_read_for_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\tV\nb\n\tx\t\n", encoding="utf-8")
    lines = ["a\tV", "b", "\tx\t"]
    assert list(read_raw_text(tmp_path / "a", None)) == list(read_raw_text(tmp_path / "a", plain("words"))) == lines
    reading = read_raw_text(tmp_path / "a", FeaturedTokenizer(plain("words")))
    assert [next(reading), next(reading)] == lines[:2]
    with pytest.raises(DataError, match=r"a:3: the line has 2 TABs"):
        next(reading)


@pytest.mark.parametrize(
    ("line", "text", "tokens"),
    [
        ("aufgehen\tV;PST;2;SG", "aufgehen", "␉V ␉PST ␉2 ␉SG"),
        ("auf gehen\tV PST", "auf gehen", "␉V ␉PST"),
        ("a\t ; V;;PST\u00a0x; ", "a", "␉V ␉PST ␉x"),
        ("Abu\tN;ABL(PL;PSS(2,PL))", "Abu", "␉N ␉ABL(PL ␉PSS(2,PL))"),
        ("a\tU\u0308\u037eß", "a", "␉Ü ␉ß"),
        ("a;b c", "a;b c", ""),
        ("a\t", "a", ""),
        ("\tV", "", "␉V"),
        ("", "", ""),
    ],
)
def test_columns(line: str, text: str, tokens: str) -> None:
    found, column = split_features(line)
    assert found == text
    assert feature_tokens(column, "nfc") == tokens.split()


def test_other_forms() -> None:
    assert feature_tokens("ﬁ;U\u0308", "nfkc") == ["␉fi", "␉Ü"]
    assert feature_tokens("ﬁ;U\u0308", "none") == ["␉ﬁ", "␉U\u0308"]


@pytest.mark.parametrize(
    ("line", "value"),
    [("a\tb\tc", "2 TABs"), ("\t\t\t", "3 TABs"), ("a\tV;x␉y", "'x␉y'"), ("a\t␉V", "'␉V'")],
)
def test_lines_that_cannot_be_read_are_named(line: str, value: str) -> None:
    with raises(DataError, "train.de:7: ", value, path="train.de", line=7):
        split_features(line, "train.de:7")
    with raises(DataError, value) as caught:
        split_features(line)
    assert (caught.value.path, caught.value.line) == (None, None)


TOKENS = st.lists(st.text([FEATURE_MARK, "V", "▁"], min_size=1, max_size=4), max_size=6)


@given(found=TOKENS, text=TOKENS)
def test_features_and_text_are_distinct(found: list[str], text: list[str]) -> None:
    features = [FEATURE_MARK + token.replace(FEATURE_MARK, "x") for token in found]
    assert all(map(is_feature, features))
    assert not any(map(is_feature, escape_marks(text)))
    assert remove_features(features + escape_marks(text)) == text
    assert remove_features(escape_marks(text) + features) == text
