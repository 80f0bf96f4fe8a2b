"""Rule-based tokenizers: words, characters, bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text.rule_based_tokenizers import ByteTokenizer, CharacterTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import BYTE_TOKENS, to_byte_tokens, tokens_to_text
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.unicode import Normalizer

from .texts import TEXTS

NFC = Normalizer()
WORDS = WordTokenizer(NFC)
CHARACTERS = CharacterTokenizer(NFC)
OCTETS = ByteTokenizer(NFC)
SPACES = WhitespaceTokenizer(NFC)


@pytest.mark.parametrize("tokenizer", [WORDS, CHARACTERS, OCTETS, SPACES], ids=str)
@given(line=TEXTS)
def test_every_text_comes_back(tokenizer: Tokenizer, line: str) -> None:
    tokens = tokenizer.tokenize(line)
    assert tokenizer.detokenize(tokens) == NFC(line)
    assert " ".join(tokens).split() == tokens
    assert tokenizer.tokenize_batch([line, line]) == [tokens, tokens]
    assert tokenizer.tokenize_to_lines([line, "", line]) == [" ".join(tokens), "", " ".join(tokens)]
    assert bool(tokens) == bool(NFC(line))


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ('Wow, "naïve" (3.5)!', 'Wow ￭, "￭ naïve ￭" (￭ 3 ￭.￭ 5 ￭) ￭!'),
        ("don't x_y 5% $5", "don ￭'￭ t x ￭_￭ y 5 ￭% $￭ 5"),
        ("((x)) ...", "( ￭(￭ x ￭) ￭) . ￭. ￭."),
        ("中文，字。 ABC中文3個", "中 ￭文 ￭，￭ 字 ￭。 ABC ￭中 ￭文 ￭3 ￭個"),
        ("ไทย นี้ก็", "ไ ￭ท ￭ย นี้ ￭ก็"),
        ("ひらカタカナー", "ひ ￭ら ￭カタカナー"),
        ("हिन्दी में می‌خواهم", "हिन्दी में می‌خواهم"),
        ("👩‍👩‍👧‍👦👍🏽🇩🇪🇫🇷 1️⃣", "👩‍👩‍👧‍👦 ￭👍🏽 ￭🇩🇪 ￭🇫🇷 1️⃣"),
        ("e\u0301 \u0301x", "é \u0301x"),
        ("a￭b ￭", "a ￭<0xEF><0xBF><0xAD>￭ b <0xEF><0xBF><0xAD>"),
        ("<unk> </s>", "<￭ unk ￭> < ￭/￭ s ￭>"),
        ("<0xEF>", "<￭ 0xEF ￭>"),
    ],
)
def test_words(line: str, tokens: str) -> None:
    assert " ".join(WORDS.tokenize(line)) == tokens


def test_whitespace_tokenizer_splits_at_spaces_only() -> None:
    assert SPACES.tokenize("  <unk> does n't \t cost $ N , 中文 ") == [
        "<unk>",
        "does",
        "n't",
        "cost",
        "$",
        "N",
        ",",
        "中文",
    ]
    assert SPACES.detokenize(["<unk>", "does", "n't"]) == "<unk> does n't"


def test_uncached_long_words_have_the_same_tokens() -> None:
    assert WORDS.tokenize("ab," * 50) == ["ab", "￭,￭"] * 49 + ["ab", "￭,"]


@given(st.lists(st.sampled_from(["￭", "￭￭", "￭a￭", "<unk>", "a￭", "", "￭,"])))
def test_words_of_a_model_are_always_text(tokens: list[str]) -> None:
    assert "￭" not in WORDS.detokenize(tokens)


@pytest.mark.parametrize(
    ("line", "characters", "octets"),
    [
        ("ab é", "a b ▁ é", "<0x61> <0x62> ▁ <0xC3> <0xA9>"),
        ("▁", "<0xE2> <0x96> <0x81>", "<0xE2> <0x96> <0x81>"),
        ("<0x0A>", "< 0 x 0 A >", "<0x3C> <0x30> <0x78> <0x30> <0x41> <0x3E>"),
        ("", "", ""),
    ],
)
def test_characters_and_bytes(line: str, characters: str, octets: str) -> None:
    assert " ".join(CHARACTERS.tokenize(line)) == characters
    assert " ".join(OCTETS.tokenize(line)) == octets


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    assert OCTETS.detokenize(["<0xC3>", "▁", "<0x61>", "<unk>", "<0xE2>", "<0x96>"]) == "\ufffd a<unk>\ufffd"


def test_spelling_of_bytes() -> None:
    assert (BYTE_TOKENS[0], BYTE_TOKENS[10], BYTE_TOKENS[255]) == ("<0x00>", "<0x0A>", "<0xFF>")
    assert tokens_to_text(to_byte_tokens("né▁")) == "né▁"


def test_settings_are_displayed() -> None:
    tokenizer = CharacterTokenizer(Normalizer("nfkc", lowercase=True))
    assert tokenizer.options == {"type": "chars", "normalise": "nfkc", "lowercase": True}
    assert str(tokenizer) == "chars, nfkc, lower case"
    assert tokenizer.tokenize("ﬁX") == ["f", "i", "x"]
