"""Sentences with a relative clause: the pronoun has its gender from the noun and its case from the clause."""

from __future__ import annotations

from dataclasses import replace

from .adjectives import adjectives_for
from .choices import clause, same_words, some_adjective, subject
from .clauses import NOTHING, Clause, Tense, english_predicate, german_question, german_subordinate
from .complex_sentences import doing
from .descriptions import degree, predicate
from .dice import Dice
from .nouns import PEOPLE, Noun, nouns_of_kind
from .phrases import DEFINITE, NUMBERS, Case, Pair, Phrase, join, noun_phrase
from .sentences import ends_in_preposition, finish, in_city
from .verbs import LIVE, OBJECT_VERBS

RELATIVE: dict[Case, str] = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem denen"}


def relative_word(entry: Noun, plural: bool, case: Case) -> str:
    """Der, den, dem: gender from the noun, case from the clause."""
    return RELATIVE[case].split()[NUMBERS.index("pl" if plural else entry.gender)]


def ending_of_relative(dice: Dice, entry: Noun, head: Phrase) -> Pair:
    """What is said about a person or thing after its relative clause."""
    if "person" in entry.kinds and dice.chance(0.45):
        said = Clause(silent(head), LIVE, Tense.HABIT, place=in_city(dice))
        return Pair(german_question(said), english_predicate(said))
    quality = dice.choice([one for one in adjectives_for(entry) if one.english not in head.subject.split()])
    return predicate(head, quality, degree(dice, quality), past=dice.chance(0.25))


def silent(phrase: Phrase) -> Phrase:
    """A subject that agrees but is not said, being the gap of a relative clause."""
    return replace(phrase, german={**phrase.german, "nom": ""}, subject="")


def subject_relative(dice: Dice) -> Pair:
    """Der Mann, der das Auto gekauft hat, wohnt in Köln."""
    entry, plural = dice.choice(PEOPLE), dice.chance(0.25)
    head = noun_phrase(entry, DEFINITE, some_adjective(dice, entry, 0.12), plural=plural)
    said = doing(dice, silent(head), Tense.PERFECT, Tense.PERFECT, Tense.NOW, Tense.HABIT, Tense.MODAL)
    word = relative_word(entry, plural, "nom")
    end = ending_of_relative(dice, entry, head)
    german = f"{head.german['nom']}, {word} {german_subordinate(said)}, {end.german}"
    return finish(german, join(head.subject, "who", english_predicate(said), end.english))


def unclear(entry: Noun, head: Phrase, actor: Phrase, case: Case) -> bool:
    """Whether die Frau, die die Lehrerin sah, leaves open who saw whom."""
    marked = actor.pronominal and actor.german["nom"] != actor.german["acc"]
    if case != "acc" or head.masculine or marked or not entry.kinds & {"person", "animal"}:
        return False
    # Otherwise only the number of the verb can tell.
    return (head.person == "sie") == (actor.person == "sie")


def object_relative(dice: Dice) -> Pair:
    """Die Frau, der wir geholfen haben, ist Ärztin; das Buch, auf das er wartet."""
    verb = dice.choice([entry for entry in OBJECT_VERBS if not ends_in_preposition(entry)])
    entry = dice.choice([one for one in nouns_of_kind(*verb.objects) if adjectives_for(one)])
    plural = "mass" not in entry.kinds and dice.chance(0.25)
    # What is said of it in the end must be another quality.
    quality = some_adjective(dice, entry, 0.15) if len(adjectives_for(entry)) > 1 else None
    head = noun_phrase(entry, DEFINITE, quality, plural=plural)
    case: Case = verb.prepositional_case if verb.government == "prep" else "dat" if verb.government == "dat" else "acc"
    actor = subject(dice)
    said = replace(clause(dice, actor, verb), place=NOTHING)
    while said.negation or said.tense is Tense.FUTURE or same_words(actor, head) or unclear(entry, head, actor, case):
        actor = subject(dice)
        said = replace(clause(dice, actor, verb), place=NOTHING)
    word = join(verb.preposition, relative_word(entry, plural, case))
    end = ending_of_relative(dice, entry, head)
    gone = Phrase(dict.fromkeys(("nom", "acc", "dat", "gen"), ""), "", "", "er")
    german = f"{head.german['nom']}, {word} {german_subordinate(replace(said, object=None))}, {end.german}"
    link = "who" if "person" in entry.kinds else "that"
    gap = english_predicate(replace(said, object=gone), gap=True)
    return finish(german, join(head.subject, link, actor.subject, gap, end.english))
