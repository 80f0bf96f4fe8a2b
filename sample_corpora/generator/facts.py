"""Sentences of facts: ages, prices, birthdays, timetables, and where things lie and are put."""

from __future__ import annotations

from dataclasses import replace

from .adverbials import CITIES, clock, date, number, past_time, repeated_time, weekday, year
from .choices import CLEAR_OWNERS, clause, name, person, some_adjective, subject, thing
from .clauses import ENGLISH_BE, SEIN, Clause, Tense
from .dice import Dice
from .nouns import noun_named, nouns_of_kind
from .phrases import (
    DEFINITE,
    DU,
    ICH,
    INDEFINITE,
    PRONOUNS,
    THIS,
    WIR,
    Pair,
    Phrase,
    join,
    noun_phrase,
    possessive,
    prepositional,
    pronoun,
)
from .sentences import arranged, finish
from .verbs import ARRIVE, DEPART, LAY, TRANSITIVE, verb

SPOTS = (("auf", "on"), ("unter", "under"), ("neben", "next to"), ("hinter", "behind"))
GET_UP = verb("auf|stehen steht stand aufgestanden = get up", flags="sein")


def age(dice: Dice) -> Pair:
    """Anna ist dreiundzwanzig Jahre alt."""
    actor = dice.choice((name(dice), pronoun(dice.choice(PRONOUNS)), person(dice, CLEAR_OWNERS)))
    while actor.referent is None and actor.subject.startswith(("every", "many")):
        actor = person(dice, CLEAR_OWNERS)
    value = number(dice, 2, 99)
    german = join(actor.german["nom"], SEIN[actor.person], value.german, "Jahre alt")
    return finish(german, join(actor.subject, ENGLISH_BE[actor.person], value.english, "years old"))


def price(dice: Dice) -> Pair:
    """What things cost: Diese Äpfel kosten drei Euro."""
    entry = dice.choice(nouns_of_kind("thing", "fruit", "baked"))
    plural = "mass" not in entry.kinds and dice.chance(0.3)
    determiner = dice.choice((DEFINITE, THIS))
    item = noun_phrase(entry, determiner, some_adjective(dice, entry, 0.4), plural=plural)
    value = number(dice, 2, 99)
    past = dice.chance(0.35)
    german = ("kostete" if past else "kostet") if item.person == "er" else ("kosteten" if past else "kosten")
    english = "cost" if past or item.person == "sie" else "costs"
    return finish(
        join(item.german["nom"], german, value.german, "Euro"), join(item.subject, english, value.english, "euros")
    )


def purchase(dice: Dice) -> Pair:
    """Who paid how much for what."""
    actor = subject(dice)
    while actor.person == "du":
        actor = subject(dice)
    entry = dice.choice(nouns_of_kind("thing", "baked"))
    item = thing(dice, entry, actor)
    value = number(dice, 2, 99)
    for_words = prepositional("für", item, "acc")
    have = dict(ich="habe", du="hast", er="hat", wir="haben", sie="haben")[actor.person]
    german = join(actor.german["nom"], have, for_words, value.german, "Euro bezahlt")
    return finish(german, join(actor.subject, "paid", value.english, "euros for", item.object))


def birth(dice: Dice) -> Pair:
    """Peter wurde am 4. Mai 1987 in Hamburg geboren: place before time in English, after it in German."""
    actor = dice.choice((name(dice), person(dice, CLEAR_OWNERS), pronoun(dice.choice((ICH, *PRONOUNS[2:4])))))
    while actor.person == "sie" or actor.referent is None:
        actor = person(dice, CLEAR_OWNERS)
    when = date(dice, with_year=True) if dice.chance(0.6) else date(dice, with_year=False) if dice.chance(0.3) else year(dice)
    where = dice.choice(CITIES)
    place = Pair(f"in {where.german}", f"in {where.english}") if dice.chance(0.7) else Pair()
    was = "wurde"
    if dice.chance(0.3):
        german = join(when.german, was, actor.german["nom"], place.german, "geboren")
        return finish(german, join(when.english, actor.subject, "was born", place.english))
    german = join(actor.german["nom"], was, when.german, place.german, "geboren")
    return finish(german, join(actor.subject, "was born", place.english, when.english))


def passive(dice: Dice) -> Pair:
    """Die Brücke wurde 1987 gebaut."""
    choices = [
        ("gebaut", "built", ("built", "Schiff")),
        ("verkauft", "sold", ("home", "vehicle", "Bild")),
        ("repariert", "repaired", ("vehicle", "machine", "built")),
        ("gefunden", "found", ("small",)),
        ("geöffnet", "opened", ("Museum", "Schule", "Hotel", "Brücke", "Krankenhaus")),
    ]
    participle, english, kinds = dice.choice(choices)
    entry = dice.choice(nouns_of_kind(*kinds))
    plural = dice.chance(0.3)
    item = noun_phrase(entry, DEFINITE if dice.chance(0.7) else THIS, some_adjective(dice, entry, 0.4), plural=plural)
    when = year(dice) if dice.chance(0.45) else past_time(dice)
    was = ("wurde", "was") if item.person == "er" else ("wurden", "were")
    if dice.chance(0.35):
        german = join(when.german, was[0], item.german["nom"], participle)
        return finish(german, join(when.english, item.subject, was[1], english))
    agent = person(dice, CLEAR_OWNERS) if dice.chance(0.25) and participle != "geöffnet" else None
    by = (prepositional("von", agent, "dat"), f"by {agent.object}") if agent else ("", "")
    german = join(item.german["nom"], was[0], when.german, by[0], participle)
    return finish(german, join(item.subject, was[1], english, by[1], when.english))


def timetable(dice: Dice) -> Pair:
    """Der Zug nach Berlin fährt um halb acht ab."""
    vehicle, city = dice.choice((noun_named("Zug"), noun_named("Bus"))), dice.choice(CITIES)
    to = dice.chance(0.6)
    goal = Pair(f"nach {city.german}", f"to {city.english}") if to else Pair(f"aus {city.german}", f"from {city.english}")
    base = noun_phrase(vehicle, DEFINITE)
    actor = Phrase(
        {"nom": f"{base.german['nom']} {goal.german}"}, f"{base.subject} {goal.english}", "", "er", base.referent
    )
    tense = dice.choice((Tense.HABIT, Tense.HABIT, Tense.FUTURE, Tense.PERFECT))
    when = clock(dice)
    if tense is Tense.HABIT and dice.chance(0.4):
        every = repeated_time(dice) if dice.chance(0.3) else Pair("jeden Tag", "every day")
        if "Abend" not in every.german and "Morgen" not in every.german:
            when = Pair(f"{every.german} {when.german}", f"{when.english} {every.english}")
    return arranged(dice, Clause(actor, DEPART if to else ARRIVE, tense, time=when))


def appointment(dice: Dice) -> Pair:
    """Getting up, calling and meeting at a time of day."""
    verbs = [GET_UP, *[entry for entry in TRANSITIVE if entry.infinitive in ("rufen", "treffen", "holen", "besuchen")]]
    said = clause(dice, verb=dice.choice(verbs))
    while said.tense in (Tense.NOW, Tense.ALREADY) or said.often.german:
        said = clause(dice, verb=said.verb)
    when = clock(dice)
    if dice.chance(0.3) and said.tense in (Tense.PERFECT, Tense.PRETERITE, Tense.FUTURE):
        day = weekday(dice)
        when = Pair(f"{day.german} {when.german}", f"{when.english} {day.english}")
    return arranged(dice, replace(said, time=when))


def lying(dice: Dice) -> Pair:
    """Where things lie (dative) and where they are put (accusative)."""
    small = dice.choice([noun_named(word) for word in ("Buch", "Brief", "Zeitung", "Schlüssel", "Bild", "Hemd", "Ball")])
    spot = dice.choice(nouns_of_kind("furniture"))
    german_preposition, english_preposition = dice.choice(SPOTS)
    actor = subject(dice)
    owner = dice.choice((ICH, DU, WIR))
    where = noun_phrase(
        spot,
        dice.choice((DEFINITE, DEFINITE, possessive(owner), INDEFINITE)),
        some_adjective(dice, spot, 0.4),
    )
    if dice.chance(0.5):
        plural = dice.chance(0.25)
        item = noun_phrase(small, DEFINITE if dice.chance(0.6) else possessive(owner), plural=plural)
        past = dice.chance(0.35)
        lies = ("lag" if past else "liegt") if not plural else ("lagen" if past else "liegen")
        be = ("was" if past else "is") if not plural else ("were" if past else "are")
        german = join(item.german["nom"], lies, prepositional(german_preposition, where, "dat"))
        return finish(german, join(item.subject, be, "lying", english_preposition, where.object))
    item = thing(dice, small, actor)
    place = Pair(prepositional(german_preposition, where, "acc"), f"{english_preposition} {where.object}")
    said = clause(dice, actor, LAY)
    while said.negation or said.tense is Tense.ALREADY:
        said = clause(dice, actor, LAY)
    return arranged(dice, replace(said, object=item, place=place))
