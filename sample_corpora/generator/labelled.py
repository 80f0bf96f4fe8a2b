"""The labelled corpus: English sentences with parts of speech, names and a topic, all known from the frames.

Three sets are drawn from the same frames: `pos` has a part of speech and features for each word (CoNLL-U), `names` has
persons, places and organizations as BIO tags (CoNLL columns), `topics` has a topic for each sentence (TSV). Some words
of the tables are held out: they occur in valid and test only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from .dice import Dice
from .labelled_words import (
    CITIES,
    COUNTRIES,
    DAYS,
    FAMILY_NAMES,
    FRAMES,
    GIVEN_NAMES,
    IRREGULAR,
    MANNERS,
    NUMBERS,
    ORGANIZATIONS,
    ROLES,
    SPEECH,
    TAGS,
    TOPICS,
    Topic,
)

SIZES: dict[str, tuple[int, int, int]] = {"pos": (420, 60, 90), "names": (500, 60, 100), "topics": (800, 100, 150)}
"""Sentences of train, valid and test of each set."""

HELD_OUT = 0.06
"""Share of the words of the tables that train lacks."""

VOWELS = "aeiou"
FEATURES = {
    "Sing": "Number=Sing", "Plur": "Number=Plur", "Pres": "Tense=Pres", "Past": "Tense=Past", "Inf": "VerbForm=Inf",
    "Ger": "VerbForm=Ger", "Part": "VerbForm=Part",
}  # fmt: skip
"""CoNLL-U features by the mark that follows a tag."""


@dataclass(frozen=True)
class Word:
    """A word with its labels.

    Attributes:
        form: The word.
        upos: Its universal part of speech.
        features: Its features; `_` if it has none.
        name: Its BIO tag.
    """

    form: str
    upos: str
    features: str = "_"
    name: str = "O"


@dataclass(frozen=True)
class Sentence:
    """A sentence with its topic, and the words of tables that it has."""

    words: tuple[Word, ...]
    topic: str
    drawn: frozenset[str]

    @property
    def text(self) -> str:
        """The sentence as it is written: no space before punctuation, n't and 's."""
        return re.sub(r" (?=[.,?!]|n't\b|'s\b)", "", " ".join(word.form for word in self.words))


def plural(word: str) -> str:
    """Return the plural of a noun, which is also the third person of a verb."""
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if _ends_in_y(word) else word + "s"


def past(word: str) -> str:
    """Return the past tense of a verb, which is also its participle."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word == "plan":
        return "planned"
    return word[:-1] + "ied" if _ends_in_y(word) else word.removesuffix("e") + "ed"


def gerund(word: str) -> str:
    """Return the -ing form of a verb."""
    return "planning" if word == "plan" else word.removesuffix("e") + "ing"


def _ends_in_y(word: str) -> bool:
    return word.endswith("y") and word[-2] not in VOWELS


def _same(word: str) -> str:
    return word


SLOTS: dict[str, tuple[str, Callable[[str], str], str]] = {
    "thing": ("things", _same, "NOUN:Sing"),
    "things": ("things", plural, "NOUN:Plur"),
    "person": ("people", _same, "NOUN:Sing"),
    "people": ("people", plural, "NOUN:Plur"),
    "place": ("places", _same, "NOUN:Sing"),
    "do": ("actions", _same, "VERB:Inf"),
    "do_all": ("actions", _same, "VERB:Pres"),
    "does": ("actions", plural, "VERB:Pres"),
    "did": ("actions", past, "VERB:Past"),
    "done": ("actions", past, "VERB:Part"),
    "doing": ("actions", gerund, "VERB:Ger"),
    "quality": ("qualities", _same, "ADJ"),
    "roles": ("roles", plural, "NOUN:Plur"),
    "role_does": ("roles", plural, "VERB:Pres"),
    "role_do": ("roles", _same, "VERB:Pres"),
    "said": ("speech", past, "VERB:Past"),
    "manner": ("manners", _same, "ADV"),
    "day": ("days", _same, "PROPN"),
    "number": ("numbers", _same, "NUM"),
}
"""Table, form and tag of each slot that is filled with one word, names excepted."""

NAMES = {"city": CITIES, "country": COUNTRIES, "family": FAMILY_NAMES, "given": GIVEN_NAMES}


class SentenceWriter:
    """Fills the slots of one sentence.

    Args:
        dice: Draws words.
        topic: What the sentence is about.
    """

    def __init__(self, dice: Dice, topic: Topic) -> None:
        self._dice = dice
        self._tables = {
            **{name: getattr(topic, name) for name in ("things", "people", "places", "actions", "qualities")},
            "roles": ROLES, "speech": SPEECH, "manners": MANNERS, "days": DAYS, "numbers": NUMBERS,
        }  # fmt: skip
        self.drawn: set[str] = set()

    def fill(self, frame: str) -> Iterator[Word]:
        """Yield the words of a frame."""
        for item in frame.split():
            slot = item.strip("{}")
            if slot == item:
                form, _, tag = item.partition("/")
                yield _tagged(form, tag or TAGS[form])
            elif slot in SLOTS:
                table, inflect, tag = SLOTS[slot]
                yield _tagged(inflect(self._draw(self._tables[table])), tag)
            else:
                yield from self._name(slot)

    def _draw(self, table: tuple[str, ...]) -> str:
        word = self._dice.choice(table)
        self.drawn.add(word)
        return word

    def _name(self, slot: str) -> Iterator[Word]:
        """Yield a name: a person, a place or an organization."""
        if slot == "name":
            family = [self._draw(FAMILY_NAMES)] if self._dice.chance(0.4) else []
            yield from _span([Word(self._draw(GIVEN_NAMES), "PROPN"), *(Word(each, "PROPN") for each in family)], "PER")
        elif slot == "org":
            words = [self._organization_word(item) for item in self._dice.choice(ORGANIZATIONS).split()]
            article = words[0].form == "the"
            yield from words[:article]
            yield from _span(words[article:], "ORG")
        else:
            yield from _span([Word(self._draw(NAMES[slot]), "PROPN")], "LOC")

    def _organization_word(self, item: str) -> Word:
        slot = item.strip("{}")
        if slot != item:
            return Word(self._draw(NAMES[slot]), "PROPN")
        return Word(item, {"the": "DET", "of": "ADP", "and": "CCONJ", "&": "CCONJ"}.get(item, "PROPN"))


def _tagged(form: str, tag: str) -> Word:
    upos, _, mark = tag.partition(":")
    return Word(form, upos, FEATURES.get(mark, "_"))


def _span(words: Iterable[Word], kind: str) -> Iterator[Word]:
    """Yield words with the BIO tags of a name."""
    for index, word in enumerate(words):
        yield replace(word, name=f"{'I' if index else 'B'}-{kind}")


def sentence(dice: Dice) -> Sentence:
    """Return a sentence about anything."""
    topic = dice.weighted([(each.share, name) for name, each in TOPICS.items()])
    writer = SentenceWriter(dice, TOPICS[topic])
    words = list(writer.fill(dice.choice(FRAMES)))
    for index, (word, following) in enumerate(pairwise(words)):
        if word.form == "a" and following.form[0] in VOWELS:
            words[index] = replace(word, form="an")
    words[0] = replace(words[0], form=words[0].form[0].upper() + words[0].form[1:])
    return Sentence(tuple(words), topic, frozenset(writer.drawn))


def held_out_words(dice: Dice) -> frozenset[str]:
    """Return the words that train lacks."""
    tables = [table for topic in TOPICS.values() for table in (topic.things, topic.people, topic.qualities)]
    words = sorted({word for table in (*tables, GIVEN_NAMES, FAMILY_NAMES, CITIES, MANNERS) for word in table})
    return frozenset(dice.shuffled(words)[: round(HELD_OUT * len(words))])


def split(dice: Dice, sizes: tuple[int, int, int]) -> dict[str, list[Sentence]]:
    """Return train, valid and test, all sentences different, with the held-out words in valid and test only."""
    held_out = held_out_words(dice)
    train_size, valid_size, test_size = sizes
    seen: set[str] = set()
    tested: list[Sentence] = []
    train: list[Sentence] = []
    while len(train) < train_size:
        drawn = sentence(dice)
        if drawn.text in seen:
            continue
        seen.add(drawn.text)
        if len(tested) < valid_size + test_size:
            tested.append(drawn)
        elif held_out.isdisjoint(drawn.drawn):
            train.append(drawn)
    return {"train": train, "valid": tested[:valid_size], "test": tested[valid_size:]}


def as_conllu(sentence: Sentence) -> str:
    """Return a sentence in CoNLL-U."""
    return "".join(
        f"{number}\t{word.form}\t_\t{word.upos}\t_\t{word.features}\t_\t_\t_\t_\n"
        for number, word in enumerate(sentence.words, start=1)
    ) + "\n"  # fmt: skip


def as_columns(sentence: Sentence) -> str:
    """Return a sentence as CoNLL columns."""
    return "".join(f"{word.form} {word.name}\n" for word in sentence.words) + "\n"


def as_row(sentence: Sentence) -> str:
    """Return a sentence as a row of a table."""
    return f"{sentence.text}\t{sentence.topic}\n"


FORMATS: dict[str, tuple[str, Callable[[Sentence], str]]] = {
    "pos": ("conllu", as_conllu),
    "names": ("conll", as_columns),
    "topics": ("tsv", as_row),
}
"""Extension and writer of each set."""


def corpus(seed: int) -> dict[str, str]:
    """Return the files of the corpus by name."""
    files = {}
    for name, (extension, write) in FORMATS.items():
        for part, sentences in split(Dice(f"labelled {name} {seed}"), SIZES[name]).items():
            files[f"labelled/{name}/{part}.{extension}"] = "".join(map(write, sentences))
    return files
