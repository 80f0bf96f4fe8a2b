"""Simple sentences: statements, journeys, questions, requests."""

from __future__ import annotations

from dataclasses import replace

from .adverbials import CITIES, TO, number
from .choices import clause, object_of, subject
from .clauses import (
    NOTHING,
    Clause,
    Tense,
    english_main,
    english_question,
    german_main,
    german_question,
)
from .dice import Dice
from .phrases import DU, Pair, Phrase, join, pronoun
from .verbs import LIVE, MOTION, STAY, TRANSITIVE, TRAVEL, Verb

FIRST_OBJECT_ALLOWED = (Tense.PERFECT, Tense.PRETERITE, Tense.HABIT, Tense.FUTURE, Tense.MODAL)


def finish(german: str, english: str, mark: str = ".") -> Pair:
    """The sentence with its capital and its mark."""
    return Pair(german[0].upper() + german[1:] + mark, english[0].upper() + english[1:] + mark)


def in_city(dice: Dice) -> Pair:
    """In Wien."""
    city = dice.choice(CITIES)
    return Pair(f"in {city.german}", f"in {city.english}")


def to_city(dice: Dice) -> Pair:
    """Nach Wien."""
    city = dice.choice(CITIES)
    return Pair(f"nach {city.german}", f"to {city.english}")


def statement(dice: Dice) -> Pair:
    """A main clause with the subject, an adverbial of time or a masculine object in front."""
    return arranged(dice, clause(dice))


def arranged(dice: Dice, said: Clause) -> Pair:
    """A clause as a main clause, in one of the orders German has for it."""
    if object_may_lead(said) and dice.chance(0.18):
        return finish(german_main(said, "object"), english_main(said, "object"))
    if said.time.german and dice.chance(0.5):
        return finish(german_main(said, "time"), english_main(said, "time"))
    return finish(german_main(said), english_main(said))


def object_may_lead(said: Clause) -> bool:
    """Whether the object can stand first and still be told from the subject by its article."""
    return (
        said.object is not None
        and said.object.masculine
        and said.object.definite
        and said.verb.government in ("acc", "dat")
        and said.tense in FIRST_OBJECT_ALLOWED
    )


def movement(dice: Dice) -> Pair:
    """Going to places and travelling to cities."""
    said = clause(dice, verb=dice.choice(MOTION if dice.chance(0.6) else TRAVEL))
    if said.verb in MOTION:
        return arranged(dice, replace(said, place=dice.choice(TO)))
    place = to_city(dice)
    if said.verb.infinitive == "reisen":
        means = dice.choice((Pair("mit dem Zug", "by train"), Pair("mit dem Bus", "by bus"), NOTHING))
        place = Pair(join(means.german, place.german), join(place.english, means.english))
    return arranged(dice, replace(said, place=place))


def residence(dice: Dice) -> Pair:
    """Who lives where, and for how long someone stayed."""
    actor = subject(dice)
    if dice.chance(0.5):
        return arranged(dice, replace(clause(dice, actor, LIVE), place=in_city(dice)))
    spans = (Pair("Tage", "days"), Pair("Wochen", "weeks"), Pair("Monate", "months"), Pair("Jahre", "years"))
    span, value = dice.choice(spans), number(dice, 2, 30)
    time = Pair(f"{value.german} {span.german}", f"for {value.english} {span.english}")
    tense = Tense.PERFECT if dice.chance(0.6) or actor.person == "du" else Tense.PRETERITE
    said = Clause(actor, STAY, tense, time=time, place=in_city(dice))
    return finish(german_main(said), english_main(said))


def askable(dice: Dice, verb: Verb | None = None) -> Clause:
    """A clause that can become a question: no negation, no adverb of frequency, no modal with to."""
    said = clause(dice, verb=verb)
    while said.negation or said.often.english or (said.modal and said.modal.english.endswith("to")):
        said = clause(dice, verb=verb)
    return said


def question(dice: Dice) -> Pair:
    """A question to be answered by yes or no, or with when, where and why."""
    said = askable(dice)
    plain = said.tense in (Tense.ALREADY, Tense.NOW)
    words = [(1.0, Pair("wann", "when")), (1.0, Pair("wo", "where")), (1.0, Pair("warum", "why"))]
    opening = NOTHING if plain else dice.weighted([(5.0, NOTHING), *words])
    if opening.german == "wann":
        said = replace(said, time=NOTHING)
    if opening.german == "wo":
        said = replace(said, place=NOTHING)
    german = join(opening.german, german_question(said))
    return finish(german, join(opening.english, english_question(said)), "?")


def question_about_object(dice: Dice) -> Pair:
    """What or whom: the object leaves its place in both languages."""
    verb = dice.choice([entry for entry in TRANSITIVE if not entry.stative and not ends_in_preposition(entry)])
    said = askable(dice, verb)
    whom = "person" in verb.objects and (len(verb.objects) == 1 or dice.chance(0.7))
    without = replace(said, object=None)
    german = join("wen" if whom else "was", german_question(without))
    return finish(german, join("who" if whom else "what", english_question(said, gap=True)), "?")


def ends_in_preposition(verb: Verb) -> bool:
    """Whether the object's gap leaves `put on` before a time: what did she put on on Friday?"""
    return verb.english.particle == "on"


def question_about_subject(dice: Dice) -> Pair:
    """Who did it."""
    who = Phrase({"nom": "wer"}, "who", "who", "er")
    said = clause(dice, who)
    while said.negation or said.tense is Tense.MODAL:
        said = clause(dice, who)
    return finish(german_main(said), english_main(said), "?")


# The imperative of du; verbs that change their vowel in the present keep it (lies, iss).
IMPERATIVES = {
    "kaufen": "kauf",
    "suchen": "such",
    "lesen": "lies",
    "schreiben": "schreib",
    "öffnen": "öffne",
    "waschen": "wasch",
    "essen": "iss",
    "trinken": "trink",
    "reparieren": "reparier",
    "malen": "mal",
    "besuchen": "besuch",
    "anrufen": "ruf",
    "abholen": "hol",
    "einladen": "lad",
    "mitbringen": "bring",
    "zurückbringen": "bring",
    "anziehen": "zieh",
}


def request(dice: Dice) -> Pair:
    """Please do."""
    you = pronoun(DU)
    verb = dice.choice([entry for entry in TRANSITIVE if entry.prefix + entry.infinitive in IMPERATIVES])
    target = object_of(dice, verb, you)
    when = dice.weighted(
        [(3.0, NOTHING), (1.0, Pair("heute", "today")), (1.0, Pair("morgen", "tomorrow")), (1.0, Pair("jetzt", "now"))]
    )
    thing = target.german["acc"]
    middle = (thing, "bitte", when.german) if target.light else ("bitte", when.german, thing)
    german = join(IMPERATIVES[verb.prefix + verb.infinitive], *middle, verb.prefix)
    words = (target.object, verb.english.particle) if target.pronominal else (verb.english.particle, target.object)
    english = join("please", verb.english.base, *words, when.english)
    return finish(german, english, "!")
