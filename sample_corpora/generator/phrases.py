"""Noun phrases and pronouns: every case in German, subject and object form in English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .adjectives import Adjective
from .nouns import Gender, Noun

Case = Literal["nom", "acc", "dat", "gen"]
Person = Literal["ich", "du", "er", "wir", "sie"]
Number = Literal["m", "f", "n", "pl"]
CASES: tuple[Case, ...] = ("nom", "acc", "dat", "gen")

# One row a case; the columns are masculine, feminine, neuter, plural.
NUMBERS: tuple[Number, ...] = ("m", "f", "n", "pl")
ARTICLE = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem den", "gen": "des der des der"}
DER_ENDINGS = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en", "gen": "es er es er"}
EIN_ENDINGS = {"nom": "- e - e", "acc": "en e - e", "dat": "em er em en", "gen": "es er es er"}
WEAK_ENDINGS = {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en", "gen": "en en en en"}
MIXED_ENDINGS = {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en", "gen": "en en en en"}
STRONG_ENDINGS = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en", "gen": "en er en er"}


@dataclass(frozen=True)
class Pair:
    """The same words in both languages."""

    german: str = ""
    english: str = ""


@dataclass(frozen=True)
class Referent:
    """Who or what a pronoun stands for: its German forms by case, its English ones, its possessives."""

    person: Person
    german: tuple[str, str, str]
    english: tuple[str, str]
    possessive: Pair


ICH = Referent("ich", ("ich", "mich", "mir"), ("I", "me"), Pair("mein", "my"))
DU = Referent("du", ("du", "dich", "dir"), ("you", "you"), Pair("dein", "your"))
ER = Referent("er", ("er", "ihn", "ihm"), ("he", "him"), Pair("sein", "his"))
SIE = Referent("er", ("sie", "sie", "ihr"), ("she", "her"), Pair("ihr", "her"))
WIR = Referent("wir", ("wir", "uns", "uns"), ("we", "us"), Pair("unser", "our"))
SIE_PLURAL = Referent("sie", ("sie", "sie", "ihnen"), ("they", "them"), Pair("ihr", "their"))
IT = {
    "m": Referent("er", ("er", "ihn", "ihm"), ("it", "it"), Pair("sein", "its")),
    "f": Referent("er", ("sie", "sie", "ihr"), ("it", "it"), Pair("ihr", "its")),
    "n": Referent("er", ("es", "es", "ihm"), ("it", "it"), Pair("sein", "its")),
}
PRONOUNS = (ICH, DU, ER, SIE, WIR, SIE_PLURAL)


@dataclass(frozen=True)
class Determiner:
    """An article, a possessive, a number or nothing. `pattern` says how it and the adjective are declined."""

    pattern: Literal["article", "der", "ein", "bare"]
    german: str
    english: str
    english_plural: str = ""
    german_dative: str = ""
    definite: bool = False


DEFINITE = Determiner("article", "", "the", "the", definite=True)
INDEFINITE = Determiner("ein", "ein", "a", "")
NEGATIVE = Determiner("ein", "kein", "a", "any")
NEGATIVE_MASS = Determiner("ein", "kein", "any", "any")
THIS = Determiner("der", "dies", "this", "these", definite=True)
EVERY = Determiner("der", "jed", "every", "")
BARE = Determiner("bare", "", "", "")
MANY = Determiner("bare", "viele", "", "many", german_dative="vielen")
SOME = Determiner("bare", "einige", "", "some", german_dative="einigen")


def possessive(owner: Referent) -> Determiner:
    """My, your, his: declined like ein."""
    words = owner.possessive
    return Determiner("ein", words.german, words.english, words.english, definite=True)


def counted(german: str, english: str) -> Determiner:
    """A number before a plural noun."""
    return Determiner("bare", german, "", english)


@dataclass(frozen=True)
class Phrase:
    """A noun phrase or pronoun, ready to be put anywhere in a sentence."""

    german: Mapping[Case, str]
    subject: str
    object: str
    person: Person
    referent: Referent | None = None
    """What a pronoun that takes this phrase up again looks like; None where German leaves a choice."""
    light: bool = False
    """Pronouns and names stand at the front of the middle field, before adverbials of time."""
    masculine: bool = False
    """Accusative and nominative differ, so the object can stand first without ambiguity."""
    definite: bool = True
    negative: bool = False
    """Begins with kein: the clause is negated already."""

    @property
    def pronominal(self) -> bool:
        """Whether this is a pronoun: English puts it between verb and particle."""
        return self.referent is not None and self.object == self.referent.english[1]


def cell(table: Mapping[str, str], case: Case, number: Number) -> str:
    """One ending of a table; `-` is the empty one."""
    ending = table[case].split()[NUMBERS.index(number)]
    return "" if ending == "-" else ending


def noun_form(noun: Noun, case: Case, plural: bool) -> str:
    """The German noun itself: des Lehrers, den Nachbarn, mit den Kindern."""
    if plural:
        form = noun.german_plural
        return form + "n" if case == "dat" and not form.endswith(("n", "s")) else form
    if noun.weak and case != "nom":
        return noun.german + ("n" if noun.german.endswith(("e", "r")) else "en")
    if case == "gen" and noun.gender != "f":
        if noun.german.endswith("us") and not noun.german.endswith("aus"):
            return noun.german + "ses"
        return noun.german + ("s" if noun.german.endswith(("er", "el", "en", "e", "o", "um")) else "es")
    return noun.german


def german_noun_phrase(
    noun: Noun, determiner: Determiner, adjective: Adjective | None, plural: bool, case: Case
) -> str:
    """Determiner, adjective and noun in agreement."""
    number: Number = "pl" if plural else noun.gender
    endings = {"article": WEAK_ENDINGS, "der": WEAK_ENDINGS, "ein": MIXED_ENDINGS, "bare": STRONG_ENDINGS}
    if determiner.pattern == "article":
        word = cell(ARTICLE, case, number)
    elif determiner.pattern == "bare":
        word = determiner.german_dative if case == "dat" and determiner.german_dative else determiner.german
    else:
        word = determiner.german + cell(DER_ENDINGS if determiner.pattern == "der" else EIN_ENDINGS, case, number)
    quality = adjective.stem + cell(endings[determiner.pattern], case, number) if adjective else ""
    return join(word, quality, noun_form(noun, case, plural))


def english_noun_phrase(noun: Noun, determiner: Determiner, adjective: Adjective | None, plural: bool) -> str:
    """Determiner, adjective and noun, with a or an as the next word asks."""
    rest = join(adjective.english if adjective else "", noun.english_plural if plural else noun.english)
    word = determiner.english_plural if plural else determiner.english
    return join(indefinite_article(rest) if word == "a" else word, rest)


def indefinite_article(following: str) -> str:
    """An before a vowel. No word of the lexicon begins with a silent h or with the sound of `you`."""
    return "an" if following[0] in "aeiou" else "a"


def noun_phrase(
    noun: Noun, determiner: Determiner, adjective: Adjective | None = None, *, plural: bool = False
) -> Phrase:
    """The phrase in all its forms."""
    german = {case: german_noun_phrase(noun, determiner, adjective, plural, case) for case in CASES}
    english = english_noun_phrase(noun, determiner, adjective, plural)
    return Phrase(
        german,
        english,
        english,
        "sie" if plural else "er",
        referent_of(noun, plural) if determiner is not EVERY else None,
        masculine=noun.gender == "m" and not plural,
        definite=determiner.definite,
        negative=determiner in (NEGATIVE, NEGATIVE_MASS),
    )


def referent_of(noun: Noun, plural: bool) -> Referent | None:
    """Who is meant by a pronoun for this noun. None for das Kind and das Mädchen, where usage wavers."""
    if plural:
        return SIE_PLURAL
    by_gender: dict[Gender, Referent | None] = {"m": ER, "f": SIE, "n": None}
    return by_gender[noun.gender] if "person" in noun.kinds else IT[noun.gender]


def pronoun(referent: Referent) -> Phrase:
    """A personal pronoun. It has no genitive."""
    nominative, accusative, dative = referent.german
    german: dict[Case, str] = {"nom": nominative, "acc": accusative, "dat": dative}
    return Phrase(german, referent.english[0], referent.english[1], referent.person, referent, light=True)


def named(name: str, referent: Referent) -> Phrase:
    """A person by name."""
    german: dict[Case, str] = {"nom": name, "acc": name, "dat": name, "gen": name + "s"}
    return Phrase(german, name, name, "er", referent, light=True)


def joined(first: Phrase, second: Phrase, *, names: bool = True) -> Phrase:
    """Two phrases with and between them; they agree in the plural."""
    german: dict[Case, str] = {
        case: f"{first.german[case]} und {second.german[case]}" for case in ("nom", "acc", "dat")
    }
    english = f"{first.object} and {second.object}"
    definite = first.definite and second.definite
    return Phrase(german, english, english, "sie", SIE_PLURAL, light=names, definite=definite)


CONTRACTIONS = {
    "in dem": "im",
    "in das": "ins",
    "an dem": "am",
    "an das": "ans",
    "von dem": "vom",
    "zu dem": "zum",
    "zu der": "zur",
    "bei dem": "beim",
}


def prepositional(preposition: str, phrase: Phrase, case: Case) -> str:
    """Preposition and phrase, run together where German does so: in dem Park is im Park."""
    words = f"{preposition} {phrase.german[case]}"
    for loose, close in CONTRACTIONS.items():
        if words.startswith(loose + " "):
            return close + words[len(loose) :]
    return words


def join(*parts: str) -> str:
    """The parts that are not empty, with spaces between."""
    return " ".join(part for part in parts if part)
