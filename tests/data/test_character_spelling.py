"""Words in characters: blanks, joiner marks, pieces, and words without characters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from rnnkit.data.character_spelling import END_OF_SENTENCE, WordSpeller, spell_table
from rnnkit.text.rule_based_tokenizers import ByteTokenizer, CharacterTokenizer, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import UNK
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.unicode import Normalizer
from rnnkit.text.vocabulary import Vocabulary

CHARACTERS = "▁thesoup.wai\u00fc(),"
LINES = ["the soup is hot.", "the (hot) soup, it is", "a", "", "it's hot . ", "\u00fc u\u0308 (", "soup\u00a0pot is"]


def vocabulary() -> Vocabulary:
    return Vocabulary.from_counts({name: 100 - place for place, name in enumerate(dict.fromkeys(CHARACTERS))})


def speller(marks: Tokenizer | None = None, lowercase: bool = False) -> WordSpeller:
    return WordSpeller(CharacterTokenizer(Normalizer(lowercase=lowercase)), vocabulary(), marks)


def spelled(words: list[str], marks: Tokenizer | None = None) -> tuple[str, list[str]]:
    """The text of a line, and of each of its words."""
    made = speller(marks)
    line = made.join([*map(made.spell, words), END_OF_SENTENCE])
    assert (line.start_T[-1], line.end_T[-1]) == (len(line.id_N), len(line.id_N))
    text = "".join(vocabulary().decode(line.id_N.tolist())).replace("<unk>", "?")
    spans = zip(line.start_T[:-1].tolist(), line.end_T[:-1].tolist(), strict=True)
    return text, [text[start:end] for start, end in spans]


def test_words_are_separated_by_blanks() -> None:
    assert spelled(["the", "soup", ".", "Zoo"]) == ("the▁soup▁.▁?oo", ["the", "soup", ".", "?oo"])
    assert spelled([]) == ("", [])


def test_a_word_without_characters_is_empty_and_adds_no_blank() -> None:
    assert spelled(["\u00a0", "the", "\u00a0", "\u00a0", "soup", "\u00a0"]) == (
        "the▁soup", ["", "the", "", "", "soup", ""],
    )  # fmt: skip
    made = speller()
    line = made.join(map(made.spell, ["a", "\u00a0", "\u00a0", "it"]))
    assert line.start_T.tolist() == [0, 1, 1, 2]
    assert line.end_T.tolist() == [1, 1, 1, 4]


@cache
def marks_of(kind: str) -> Tokenizer:
    if kind == "features":
        return FeaturedTokenizer(WordTokenizer(Normalizer()))
    simple: dict[str, Callable[[Normalizer], Tokenizer]] = {
        "words": WordTokenizer,
        "spaces": WhitespaceTokenizer,
        "chars": CharacterTokenizer,
    }
    if kind in simple:
        return simple[kind](Normalizer())
    return train_subwords(map(Normalizer(), LINES * 9), kind, None, Normalizer())


@pytest.mark.parametrize("kind", ["words", "spaces", "chars", "unigram", "bpe", "features"])
@pytest.mark.parametrize("line", LINES)
def test_tokens_of_a_classifier_spell_its_text(kind: str, line: str) -> None:
    """The line is the one that the language model's own tokenizer makes of the text."""
    marks = marks_of(kind)
    made = speller(marks)
    tokens = marks.tokenize(line + "\tV;PST" if kind == "features" else line)
    found = made.join(map(made.spell, tokens))
    expected = CharacterTokenizer(Normalizer()).tokenize(line)
    assert found.id_N.tolist() == vocabulary().encode(expected)
    assert len(found.start_T) == len(tokens)


def test_bytes_have_no_characters() -> None:
    tokens = ByteTokenizer(Normalizer()).tokenize("the")
    assert spelled(tokens, ByteTokenizer(Normalizer())) == ("", ["", "", ""])


def test_a_table_begins_with_the_end_of_a_sentence() -> None:
    table = spell_table(speller(lowercase=True), ["</s>", "The", "Xi"])
    assert table[0] == END_OF_SENTENCE
    ids = vocabulary().ids
    assert [each.ids for each in table[1:]] == [tuple(ids[name] for name in "the"), (UNK, ids["i"])]
