"""Sentences about what people and things are like, whose they are, and how many there are."""

from __future__ import annotations

from .adjectives import ADJECTIVES, UNGRADED, Adjective, adjectives_for, opposed
from .adverbials import AT, number
from .choices import CLEAR_OWNERS, name, person, same_words, some_adjective, subject
from .clauses import HABEN, NOTHING, copula
from .dice import Dice
from .nouns import BUILDINGS, FAMILY, PEOPLE, THINGS, Noun, nouns_of_kind
from .phrases import (
    DEFINITE,
    DU,
    ICH,
    INDEFINITE,
    NEGATIVE,
    PRONOUNS,
    THIS,
    WIR,
    Pair,
    Phrase,
    counted,
    join,
    noun_phrase,
    possessive,
    pronoun,
    referent_of,
)
from .sentences import finish

# Young and old are left to nouns that allow them: not every person can be both.
HUMAN_QUALITIES = [entry for entry in ADJECTIVES if "person" in entry.kinds]
# Things are compared with others of their sort.
SORTS = ("furniture", "clothes", "vehicle", "building", "animal", "person", "text", "plant")
VERY, TOO, NOT = Pair("sehr", "very"), Pair("zu", "too"), Pair("nicht", "not")


def degree(dice: Dice, quality: Adjective, *, denied: bool = True) -> Pair:
    """Very, too, not, or mostly nothing."""
    graded = 0.0 if quality.german in UNGRADED else 1.0
    return dice.weighted([(5.0, NOTHING), (2.0 * graded, VERY), (1.0 * graded, TOO), (1.2 if denied else 0.0, NOT)])


def predicate(actor: Phrase, quality: Adjective, how: Pair, *, past: bool) -> Pair:
    """Ist sehr alt, is very old."""
    be = copula(actor, past=past)
    return Pair(join(be.german, how.german, quality.german), join(be.english, how.english, quality.english))


def description(dice: Dice) -> Pair:
    """The house is old; my friends were tired."""
    if dice.chance(0.4):
        actor, quality = subject(dice), dice.choice(HUMAN_QUALITIES)
    else:
        pool = THINGS + BUILDINGS + nouns_of_kind("food", "drink", "animal")
        entry = dice.choice([one for one in pool if adjectives_for(one)])
        quality = dice.choice(adjectives_for(entry))
        shared = entry.kinds & {"building", "Baum"}
        determiner = dice.weighted(
            [(5.0, DEFINITE), (1.5, THIS), (0.0 if shared else 2.0, possessive(dice.choice(CLEAR_OWNERS)))]
        )
        actor = noun_phrase(entry, determiner, plural="mass" not in entry.kinds and dice.chance(0.25))
    denied = not actor.subject.startswith(("every ", "many ", "some "))
    words = predicate(actor, quality, degree(dice, quality, denied=denied), past=dice.chance(0.3))
    return finish(join(actor.german["nom"], words.german), join(actor.subject, words.english))


def comparison(dice: Dice) -> Pair:
    """Older than, as old as."""
    pool = nouns_of_kind(dice.choice(SORTS))
    qualities = [one for one in ADJECTIVES if one.german_comparative]
    quality = dice.choice([one for one in qualities if sum(bool(one.kinds & entry.kinds) for entry in pool) > 1])
    fitting = [one for one in pool if one.kinds & quality.kinds]
    first, second = comparable(dice, fitting), comparable(dice, fitting)
    while same_words(first, second):
        second = comparable(dice, fitting)
    be = copula(first)
    if dice.chance(0.3):
        german = join(first.german["nom"], be.german, "so", quality.german, "wie", second.german["nom"])
        return finish(german, join(first.subject, be.english, "as", quality.english, "as", second.subject))
    german = join(first.german["nom"], be.german, quality.german_comparative, "als", second.german["nom"])
    return finish(german, join(first.subject, be.english, quality.english_comparative, "than", second.subject))


def comparable(dice: Dice, pool: list[Noun]) -> Phrase:
    """One side of a comparison."""
    entry = dice.choice(pool)
    if entry in BUILDINGS or entry.kinds & {"unowned", "transport", "Baum"}:
        return noun_phrase(entry, DEFINITE if dice.chance(0.7) else THIS)
    return noun_phrase(entry, DEFINITE if dice.chance(0.4) else possessive(dice.choice((ICH, DU, WIR))))


def contrast(dice: Dice) -> Pair:
    """Der Tisch ist alt, aber er ist schön: it in English, er, sie or es in German."""
    if dice.chance(0.35):
        actor, qualities = subject(dice), HUMAN_QUALITIES
        while actor.referent is None:
            actor = subject(dice)
        again = pronoun(actor.referent)
    else:
        pool = THINGS + BUILDINGS + nouns_of_kind("animal")
        entry = dice.choice([one for one in pool if len(adjectives_for(one)) > 1])
        plural = dice.chance(0.25)
        referent = referent_of(entry, plural)
        assert referent is not None, entry
        actor, again, qualities = noun_phrase(entry, DEFINITE, plural=plural), pronoun(referent), adjectives_for(entry)
    first, second = dice.shuffled(qualities)[:2]
    past = dice.chance(0.2)
    left, right = (predicate(actor, quality, NOTHING, past=past) for quality in (first, second))
    link = Pair("aber", "but") if opposed(first, second) else Pair("und", "and")
    return finish(
        f"{actor.german['nom']} {left.german}, {link.german} {again.german['nom']} {right.german}",
        f"{actor.subject} {left.english}, {link.english} {again.subject} {right.english}",
    )


def belongs(dice: Dice) -> Pair:
    """Gehören and gefallen: with the latter the German subject is the English object."""
    entry = dice.choice(nouns_of_kind("text", "box", "clothes", "Auto", "Fahrrad", "home"))
    plural = dice.chance(0.25)
    item = noun_phrase(entry, DEFINITE if dice.chance(0.6) else THIS, some_adjective(dice, entry, 0.4), plural=plural)
    owner = person(dice, CLEAR_OWNERS) if dice.chance(0.65) else pronoun(dice.choice(PRONOUNS))
    every = owner.subject.startswith(("every ", "many ", "some "))
    denied = not every and dice.chance(0.2)
    one = item.person == "er"
    ending = "nicht" if denied else ""
    if dice.chance(0.5):
        german = join(item.german["nom"], "gehört" if one else "gehören", owner.german["dat"], ending)
        belong = ("does not belong" if one else "do not belong") if denied else "belongs" if one else "belong"
        return finish(german, join(item.subject, belong, "to", owner.object))
    german = join(item.german["nom"], "gefällt" if one else "gefallen", owner.german["dat"], ending)
    third = owner.person == "er"
    like = ("does not like" if third else "do not like") if denied else "likes" if third else "like"
    return finish(german, join(owner.subject, like, item.object))


def possession(dice: Dice) -> Pair:
    """The teacher's car, with the German genitive after the noun and names before it."""
    entry = dice.choice(nouns_of_kind("thing", "animal", "home"))
    quality = dice.choice(adjectives_for(entry))
    item = noun_phrase(entry, DEFINITE)
    if dice.chance(0.3):
        owner = name(dice)
        german = f"{owner.german['gen']} {entry.german}"
    else:
        keeper = dice.choice(PEOPLE + FAMILY)
        free = "unowned" in keeper.kinds or dice.chance(0.5)
        determiner = DEFINITE if free else possessive(dice.choice(CLEAR_OWNERS))
        owner = noun_phrase(keeper, determiner)
        german = f"{item.german['nom']} {owner.german['gen']}"
    words = predicate(item, quality, degree(dice, quality), past=dice.chance(0.3))
    return finish(join(german, words.german), join(f"{owner.object}'s {entry.english}", words.english))


def ownership(dice: Dice) -> Pair:
    """Haben with an object: has three sisters, has no umbrella."""
    actor = subject(dice)
    living = dice.chance(0.35)
    entry = dice.choice(nouns_of_kind("family", "animal") if living else nouns_of_kind("thing", "vehicle"))
    denied = dice.chance(0.28) and not actor.subject.startswith(("every ", "many ", "some "))
    plural = not denied and dice.chance(0.5)
    value = number(dice, 2, 99 if "heap" in entry.kinds else 6)
    determiner = NEGATIVE if denied else counted(value.german, value.english) if plural else INDEFINITE
    item = noun_phrase(entry, determiner, some_adjective(dice, entry, 0.2 if living else 0.45), plural=plural)
    third = actor.person == "er"
    has = ("does not have" if third else "do not have") if denied else "has" if third else "have"
    return finish(
        join(actor.german["nom"], HABEN[actor.person], item.german["acc"]), join(actor.subject, has, item.object)
    )


# What there is where: places with the nouns that are found there, and the most of them.
FOUND_AT = (
    (("in der Küche", "zu Hause"), ("furniture", "Fenster", "Flasche", "Bild"), 12),
    (("im Büro", "im Restaurant", "im Hotel", "in der Bibliothek"), ("furniture", "Fenster", "Computer", "Bild"), 99),
    (("im Museum", "in der Kirche"), ("Bild", "Fenster", "Stuhl"), 99),
    (("im Park", "im Garten", "am See"), ("plant", "animal", "Gartenstuhl"), 99),
    (("am Bahnhof", "auf dem Markt"), ("Fahrrad", "Auto", "Baum"), 99),
    (("im Dorf", "in der Stadt"), ("built", "Brücke"), 20),
)
FURTHER_PLACES = {
    "im Hotel": "in the hotel",
    "im Museum": "in the museum",
    "in der Kirche": "in the church",
    "im Dorf": "in the village",
    "in der Stadt": "in the town",
}


def existence(dice: Dice) -> Pair:
    """In der Küche gibt es drei Stühle: there are three chairs in the kitchen."""
    places, kinds, most = dice.choice(FOUND_AT)
    place = dice.choice(places)
    where = FURTHER_PLACES.get(place) or AT[place].english
    entry = dice.choice(nouns_of_kind(*kinds))
    value = number(dice, 2, most)
    if dice.chance(0.15):
        quality = some_adjective(dice, entry, 0.3)
        several = noun_phrase(entry, counted("wie viele", "how many"), quality, plural=True)
        german = join(several.german["acc"], "gibt es", place)
        return finish(german, join(several.object, "are there", where), "?")
    plural = dice.chance(0.75)
    determiner = counted(value.german, value.english) if plural else NEGATIVE if dice.chance(0.3) else INDEFINITE
    item = noun_phrase(entry, determiner, some_adjective(dice, entry, 0.45), plural=plural)
    words = item.object if not item.negative else "no " + item.object.partition(" ")[2]
    english = join("there are" if plural else "there is", words, where)
    if dice.chance(0.6):
        return finish(join(place, "gibt es", item.german["acc"]), english)
    return finish(join("es gibt", item.german["acc"], place), english)
