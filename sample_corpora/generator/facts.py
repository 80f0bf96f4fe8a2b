"""Sentences of facts: ages, prices, birthdays, timetables, and where things lie and are put."""

from __future__ import annotations

from dataclasses import replace

from .adverbials import CITIES, LAST_YEAR, SPANS, ago, clock, date, number, past_time, repeated_time, weekday, year
from .choices import CLEAR_OWNERS, clause, name, person, some_adjective, subject, thing
from .clauses import HABEN, NOTHING, Clause, Tense, copula
from .dice import Dice
from .nouns import FAMILY, PEOPLE, Noun, noun_named, nouns_of_kind
from .numbers import english_cardinal, german_cardinal
from .phrases import (
    DEFINITE,
    DU,
    ER,
    ICH,
    INDEFINITE,
    PRONOUNS,
    SIE,
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
from .sentences import arranged, finish, in_city
from .verbs import ARRIVE, DEPART, INTRANSITIVE, LAY, TRANSITIVE

SPOTS = (("auf", "on"), ("unter", "under"), ("neben", "next to"), ("hinter", "behind"))
DATED = [
    entry
    for entry in (*TRANSITIVE, *INTRANSITIVE)
    if entry.prefix + entry.infinitive in ("anrufen", "treffen", "abholen", "besuchen", "aufstehen")
]


def age(dice: Dice) -> Pair:
    """Anna ist dreiundzwanzig Jahre alt."""
    kind = dice.weighted([(3.0, "name"), (2.5, "pronoun"), (4.5, "noun")])
    value = number(dice, 18, 99)
    if kind == "noun":
        entry = dice.choice(PEOPLE + FAMILY)
        owned = "unowned" not in entry.kinds
        actor = noun_phrase(entry, possessive(dice.choice(CLEAR_OWNERS)) if owned else DEFINITE)
        value = number(dice, 2, 17) if "young" in entry.kinds else value
    else:
        actor = name(dice) if kind == "name" else pronoun(dice.choice(PRONOUNS))
    if dice.chance(0.12):
        return finish(join("wie alt", copula(actor).german, actor.german["nom"]), asked_age(actor), "?")
    be = copula(actor)
    return finish(
        join(actor.german["nom"], be.german, value.german, "Jahre alt"),
        join(actor.subject, be.english, value.english, "years old"),
    )


def asked_age(actor: Phrase) -> str:
    """How old is she."""
    return join("how old", copula(actor).english, actor.subject)


def amount(dice: Dice, entry: Noun) -> Pair:
    """So many euros: hundreds and thousands for what is dear."""
    size = 0
    if entry.kinds & {"Auto", "home", "Pferd"}:
        size = 1000
    elif entry.kinds & {"furniture", "machine", "clothes"} and dice.chance(0.3):
        size = 100
    if size:
        value = size * dice.integer(1, 9 if size == 100 else 5)
        return Pair(german_cardinal(value), english_cardinal(value))
    return number(dice, 2, 20) if "food" in entry.kinds else number(dice, 2, 99)


def price(dice: Dice) -> Pair:
    """What things cost: Diese Äpfel kosten drei Euro."""
    entry = dice.choice(nouns_of_kind("thing", "fruit", "baked", "home", "Pferd"))
    plural = "mass" not in entry.kinds and dice.chance(0.3)
    item = noun_phrase(entry, dice.choice((DEFINITE, THIS)), some_adjective(dice, entry, 0.4), plural=plural)
    past = dice.chance(0.35)
    german = ("kostete" if past else "kostet") + ("n" if plural and past else "")
    german = "kosten" if plural and not past else german
    if dice.chance(0.15):
        does = "did" if past else "do" if plural else "does"
        return finish(f"wie viel {german} {item.german['nom']}", f"how much {does} {item.subject} cost", "?")
    value = amount(dice, entry)
    english = "cost" if past or plural else "costs"
    return finish(
        join(item.german["nom"], german, value.german, "Euro"), join(item.subject, english, value.english, "euros")
    )


def purchase(dice: Dice) -> Pair:
    """Who paid how much for what."""
    actor = subject(dice)
    entry = dice.choice(nouns_of_kind("thing", "baked", "home", "Pferd"))
    item, value = thing(dice, entry, actor), amount(dice, entry)
    german = join(
        actor.german["nom"], HABEN[actor.person], prepositional("für", item, "acc"), value.german, "Euro bezahlt"
    )
    return finish(german, join(actor.subject, "paid", value.english, "euros for", item.object))


def birth(dice: Dice) -> Pair:
    """Peter wurde am 4. Mai 1987 in Hamburg geboren: place before time in English, after it in German."""
    kind = dice.weighted([(3.0, "name"), (2.0, "pronoun"), (5.0, "noun")])
    last = LAST_YEAR
    if kind == "noun":
        entry = dice.choice(PEOPLE + FAMILY)
        # Doctors and aunts are grown up.
        last = LAST_YEAR if "young" in entry.kinds else LAST_YEAR - 20
        owned = "unowned" not in entry.kinds
        actor = noun_phrase(entry, possessive(dice.choice(CLEAR_OWNERS)) if owned else DEFINITE)
    else:
        actor = name(dice) if kind == "name" else pronoun(dice.choice((ICH, ER, SIE)))
    when = dice.weighted(
        [
            (6.0, date(dice, with_year=True, last_year=last)),
            (1.2, date(dice, with_year=False)),
            (2.8, year(dice, last_year=last)),
        ]
    )
    place = in_city(dice) if dice.chance(0.7) else NOTHING
    if dice.chance(0.3):
        german = join(when.german, "wurde", actor.german["nom"], place.german, "geboren")
        return finish(german, join(when.english, actor.subject, "was born", place.english))
    german = join(actor.german["nom"], "wurde", when.german, place.german, "geboren")
    return finish(german, join(actor.subject, "was born", place.english, when.english))


# Participle in both languages, what it is said of, and whether a person can be named who did it.
DONE = (
    ("gebaut", "built", ("built", "Schiff"), False),
    ("verkauft", "sold", ("home", "Auto", "Fahrrad", "Schiff", "Bild"), True),
    ("repariert", "repaired", ("vehicle", "machine", "Brücke"), True),
    ("gefunden", "found", ("small",), True),
    ("geöffnet", "opened", ("Museum", "Schule", "Hotel", "Brücke", "Krankenhaus"), False),
)


def passive(dice: Dice) -> Pair:
    """Die Brücke wurde 1987 gebaut."""
    participle, english, kinds, personal = dice.choice(DONE)
    entry = dice.choice(nouns_of_kind(*kinds))
    plural = dice.chance(0.3)
    item = noun_phrase(entry, DEFINITE if dice.chance(0.7) else THIS, some_adjective(dice, entry, 0.4), plural=plural)
    long_ago = year(dice) if dice.chance(0.7) else ago(dice, SPANS[-1:])
    when = past_time(dice) if personal and dice.chance(0.6) else long_ago
    was = ("wurden", "were") if plural else ("wurde", "was")
    if dice.chance(0.35):
        german = join(when.german, was[0], item.german["nom"], participle)
        return finish(german, join(when.english, item.subject, was[1], english))
    agent = person(dice, CLEAR_OWNERS) if personal and dice.chance(0.35) else None
    by = Pair(prepositional("von", agent, "dat"), f"by {agent.object}") if agent else NOTHING
    german = join(item.german["nom"], was[0], when.german, by.german, participle)
    return finish(german, join(item.subject, was[1], english, by.english, when.english))


def timetable(dice: Dice) -> Pair:
    """Der Zug nach Berlin fährt um halb acht ab."""
    base = noun_phrase(noun_named(dice.choice(("Zug", "Bus"))), DEFINITE)
    city, leaves = dice.choice(CITIES), dice.chance(0.6)
    goal = Pair(f"aus {city.german}", f"from {city.english}")
    if leaves:
        goal = Pair(f"nach {city.german}", f"to {city.english}")
    actor = Phrase({"nom": f"{base.german['nom']} {goal.german}"}, f"{base.subject} {goal.english}", "", "er")
    tense = dice.choice((Tense.HABIT, Tense.HABIT, Tense.FUTURE, Tense.PERFECT))
    when = clock(dice)
    if tense is Tense.HABIT and dice.chance(0.4):
        every = repeated_time(dice)
        # Every evening at eight in the morning is not a time.
        if every.english in ("every morning", "every evening", "every week"):
            every = Pair("jeden Tag", "every day")
        when = Pair(f"{every.german} {when.german}", f"{when.english} {every.english}")
    return arranged(dice, Clause(actor, DEPART if leaves else ARRIVE, tense, time=when))


def appointment(dice: Dice) -> Pair:
    """Getting up, calling and meeting at a time of day."""
    said = clause(dice, verb=dice.choice(DATED))
    while said.tense in (Tense.NOW, Tense.ALREADY) or said.often.german:
        said = clause(dice, verb=said.verb)
    when = clock(dice)
    if dice.chance(0.3) and said.tense in (Tense.PERFECT, Tense.PRETERITE, Tense.FUTURE):
        day = weekday(dice)
        when = Pair(f"{day.german} {when.german}", f"{when.english} {day.english}")
    return arranged(dice, replace(said, time=when))


def lying(dice: Dice) -> Pair:
    """Where things lie (dative) and where they are put (accusative)."""
    words = ("Buch", "Brief", "Zeitung", "Schlüssel", "Bild", "Hemd", "Ball", "Hut", "Tasche", "Jacke")
    small = noun_named(dice.choice(words))
    # A lamp is furniture, but nothing is put on it.
    spot = dice.choice([entry for entry in nouns_of_kind("furniture") if "machine" not in entry.kinds])
    on = Pair(*dice.choice(SPOTS))
    actor, owner = subject(dice), possessive(dice.choice((ICH, DU, WIR)))
    determiner = dice.weighted([(3.0, DEFINITE), (1.0, owner), (1.0, INDEFINITE)])
    where = noun_phrase(spot, determiner, some_adjective(dice, spot, 0.4))
    if dice.chance(0.5):
        plural, past = dice.chance(0.25), dice.chance(0.35)
        item = noun_phrase(small, DEFINITE if dice.chance(0.6) else owner, plural=plural)
        lies = ("lagen" if past else "liegen") if plural else "lag" if past else "liegt"
        german = join(item.german["nom"], lies, prepositional(on.german, where, "dat"))
        return finish(german, join(item.subject, copula(item, past=past).english, "lying", on.english, where.object))
    place = Pair(prepositional(on.german, where, "acc"), f"{on.english} {where.object}")
    said = clause(dice, actor, LAY)
    while said.negation or said.tense is Tense.ALREADY:
        said = clause(dice, actor, LAY)
    return arranged(dice, replace(said, object=thing(dice, small, actor), place=place))
