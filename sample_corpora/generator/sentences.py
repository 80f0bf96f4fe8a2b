"""Simple sentences: statements, questions, requests, descriptions, numbers, dates, places."""

from __future__ import annotations

from dataclasses import replace

from .adjectives import ADJECTIVES, Adjective, adjectives_for
from .adverbials import AT, CITIES, TO, number
from .choices import (
    CLEAR_OWNERS,
    clause,
    name,
    object_of,
    person,
    some_adjective,
    subject,
)
from .clauses import (
    ENGLISH_BE,
    ENGLISH_WAS,
    SEIN,
    WAR,
    Clause,
    Tense,
    english_main,
    english_question,
    german_main,
    german_question,
)
from .dice import Dice
from .nouns import BUILDINGS, FAMILY, PEOPLE, THINGS, Noun, noun_named, nouns_of_kind
from .phrases import (
    DEFINITE,
    DU,
    ICH,
    INDEFINITE,
    NEGATIVE,
    SIE_PLURAL,
    THIS,
    WIR,
    Pair,
    Phrase,
    counted,
    join,
    noun_phrase,
    possessive,
    pronoun,
)
from .verbs import LIVE, MOTION, STAY, TRANSITIVE, TRAVEL

FIRST_OBJECT_ALLOWED = (Tense.PERFECT, Tense.PRETERITE, Tense.HABIT, Tense.FUTURE, Tense.MODAL)


def finish(german: str, english: str, mark: str = ".") -> Pair:
    """The sentence with its capital and its mark."""
    return Pair(german[0].upper() + german[1:] + mark, english[0].upper() + english[1:] + mark)


def statement(dice: Dice) -> Pair:
    """A main clause with the subject, an adverbial of time or a masculine object in front."""
    return arranged(dice, clause(dice))


def arranged(dice: Dice, said: Clause) -> Pair:
    """A clause as a main clause, in one of the orders German has for it."""
    thing_said = said.object
    if (
        thing_said is not None
        and thing_said.masculine
        and thing_said.definite
        and said.verb.government in ("acc", "dat")
        and said.tense in FIRST_OBJECT_ALLOWED
        and dice.chance(0.18)
    ):
        return finish(german_main(said, "object"), english_main(said, "object"))
    if said.time.german and dice.chance(0.5):
        return finish(german_main(said, "time"), english_main(said, "time"))
    return finish(german_main(said), english_main(said))


def movement(dice: Dice) -> Pair:
    """Going to places and travelling to cities."""
    said = clause(dice, verb=dice.choice(MOTION if dice.chance(0.6) else TRAVEL))
    if said.verb in MOTION:
        return arranged(dice, replace(said, place=dice.choice(TO)))
    city = dice.choice(CITIES)
    place = Pair(f"nach {city.german}", f"to {city.english}")
    if said.verb.infinitive == "reisen":
        means = dice.choice((Pair("mit dem Zug", "by train"), Pair("mit dem Bus", "by bus"), Pair()))
        place = Pair(join(means.german, place.german), join(place.english, means.english))
    return arranged(dice, replace(said, place=place))


def residence(dice: Dice) -> Pair:
    """Who lives where, and for how long someone stayed."""
    actor, city = subject(dice), dice.choice(CITIES)
    place = Pair(f"in {city.german}", f"in {city.english}")
    if dice.chance(0.5):
        return arranged(dice, replace(clause(dice, actor, LIVE), place=place))
    span = dice.choice((Pair("Tage", "days"), Pair("Wochen", "weeks"), Pair("Monate", "months"), Pair("Jahre", "years")))
    value = number(dice, 2, 30)
    time = Pair(f"{value.german} {span.german}", f"for {value.english} {span.english}")
    said = Clause(actor, STAY, Tense.PERFECT if dice.chance(0.6) or actor.person == "du" else Tense.PRETERITE)
    return finish(*sides(replace(said, time=time, place=place)))


def sides(said: Clause) -> tuple[str, str]:
    """A clause in both languages, subject first."""
    return german_main(said), english_main(said)


def question(dice: Dice) -> Pair:
    """A question to be answered by yes or no, or with when, where and why."""
    said = clause(dice)
    while said.negation or said.often.english or (said.modal and said.modal.english.endswith("to")):
        said = clause(dice)
    opening = dice.weighted([(5.0, "")] + [(1.0, word) for word in ("wann", "wo", "warum")])
    if opening == "wann":
        said = replace(said, time=Pair())
    if opening == "wo":
        said = replace(said, place=Pair())
    english = {"": "", "wann": "when", "wo": "where", "warum": "why"}[opening]
    return finish(join(opening, german_question(said)), join(english, english_question(said)), "?")


def question_about_object(dice: Dice) -> Pair:
    """What or whom: the object leaves its place in both languages."""
    verb = dice.choice([entry for entry in TRANSITIVE if not entry.stative])
    said = clause(dice, verb=verb)
    while said.negation or said.often.english or (said.modal and said.modal.english.endswith("to")):
        said = clause(dice, verb=verb)
    whom = "person" in verb.objects and dice.chance(0.7)
    if not whom and not verb.objects - {"person"}:
        whom = True
    without = replace(said, object=None)
    german = join("wen" if whom else "was", german_question(without))
    return finish(german, join("who" if whom else "what", english_question(said, gap=True)), "?")


def question_about_subject(dice: Dice) -> Pair:
    """Who did it."""
    who = Phrase({"nom": "wer"}, "who", "who", "er")
    said = clause(dice, who)
    while said.negation or said.tense is Tense.MODAL:
        said = clause(dice, who)
    return finish(*sides(said), "?")


def request(dice: Dice) -> Pair:
    """Please do: the imperative of du. Verbs with a change of vowel keep it (lies, gib), so they are listed."""
    forms = {
        **{"kaufen": "kauf", "suchen": "such", "lesen": "lies", "schreiben": "schreib", "öffnen": "öffne"},
        **{"waschen": "wasch", "essen": "iss", "trinken": "trink", "reparieren": "reparier", "malen": "mal"},
        **{"besuchen": "besuch", "an|rufen": "ruf", "ab|holen": "hol", "ein|laden": "lad", "mit|bringen": "bring"},
        **{"zurück|bringen": "bring", "an|ziehen": "zieh"},
    }
    verbs = {join_prefix(entry.prefix, entry.infinitive): entry for entry in TRANSITIVE}
    key = dice.choice(list(forms))
    verb = verbs[key]
    target = object_of(dice, verb, pronoun(DU))
    while target.light and target.referent is DU:
        target = object_of(dice, verb, pronoun(DU))
    when = dice.choice((Pair(), Pair("heute", "today"), Pair("morgen", "tomorrow"), Pair("jetzt", "now")))
    words = target.german["acc"], when.german
    german = join(forms[key], "bitte" if not target.light else "", *words, "bitte" if target.light else "", verb.prefix)
    english = join("please", verb.english.base, target.object, verb.english.particle, when.english)
    return finish(german, english, "!")


def join_prefix(prefix: str, infinitive: str) -> str:
    """The infinitive as `verbs.py` writes it: an|rufen."""
    return f"{prefix}|{infinitive}" if prefix else infinitive


def described(dice: Dice, pool: list[Noun]) -> tuple[Noun, Adjective, bool]:
    """A noun, what can be said of it, and whether there are several."""
    entry = dice.choice([one for one in pool if adjectives_for(one)])
    return entry, dice.choice(adjectives_for(entry)), "mass" not in entry.kinds and dice.chance(0.25)


def description(dice: Dice) -> Pair:
    """The house is old; my friends were tired yesterday."""
    if dice.chance(0.4):
        actor = subject(dice)
        quality = dice.choice([entry for entry in ADJECTIVES if "person" in entry.kinds])
    else:
        entry, quality, plural = described(dice, THINGS + BUILDINGS + nouns_of_kind("food", "drink", "animal"))
        determiner = dice.weighted([(5.0, DEFINITE), (1.5, THIS), (2.0, possessive(dice.choice(CLEAR_OWNERS)))])
        if entry in BUILDINGS or "Baum" in entry.kinds:
            determiner = DEFINITE
        actor = noun_phrase(entry, determiner, plural=plural)
    past = dice.chance(0.3)
    degree = dice.weighted([(5.0, Pair()), (2.0, Pair("sehr", "very")), (1.0, Pair("zu", "too")), (1.5, Pair("nicht", "not"))])
    verbs = (WAR, ENGLISH_WAS) if past else (SEIN, ENGLISH_BE)
    german = join(actor.german["nom"], verbs[0][actor.person], degree.german, quality.german)
    return finish(german, join(actor.subject, verbs[1][actor.person], degree.english, quality.english))


def comparison(dice: Dice) -> Pair:
    """Older than, as old as."""
    pool = dice.choice((THINGS, BUILDINGS, PEOPLE, FAMILY, nouns_of_kind("animal")))
    quality = dice.choice([one for one in ADJECTIVES if one.german_comparative and any(one.kinds & n.kinds for n in pool)])
    fitting = [one for one in pool if one.kinds & quality.kinds]
    first, second = comparable(dice, fitting), comparable(dice, fitting)
    be = (SEIN[first.person], ENGLISH_BE[first.person])
    if dice.chance(0.3):
        german = join(first.german["nom"], be[0], "so", quality.german, "wie", second.german["nom"])
        return finish(german, join(first.subject, be[1], "as", quality.english, "as", second.subject))
    german = join(first.german["nom"], be[0], quality.german_comparative, "als", second.german["nom"])
    return finish(german, join(first.subject, be[1], quality.english_comparative, "than", second.subject))


def comparable(dice: Dice, pool: list[Noun]) -> Phrase:
    """One side of a comparison."""
    entry = dice.choice(pool)
    if entry in BUILDINGS or "unowned" in entry.kinds:
        return noun_phrase(entry, DEFINITE if dice.chance(0.7) else THIS)
    return noun_phrase(entry, DEFINITE if dice.chance(0.4) else possessive(dice.choice((ICH, DU, WIR))))


def belongs(dice: Dice) -> Pair:
    """Gehören and gefallen: with the latter the German subject is the English object."""
    entry = dice.choice(THINGS[:5] + THINGS[13:14] + nouns_of_kind("clothes", "vehicle", "home"))
    plural = dice.chance(0.25)
    item = noun_phrase(entry, DEFINITE if dice.chance(0.6) else THIS, some_adjective(dice, entry, 0.4), plural=plural)
    owner = person(dice, CLEAR_OWNERS) if dice.chance(0.7) else pronoun(dice.choice((ICH, DU, WIR, SIE_PLURAL)))
    denial = dice.chance(0.2)
    if dice.chance(0.5):
        verb = "gehört" if item.person == "er" else "gehören"
        german = join(item.german["nom"], verb, owner.german["dat"], "nicht" if denial else "")
        does, belong = ("does", "belongs") if item.person == "er" else ("do", "belong")
        words = (does, "not belong to") if denial else (belong, "to")
        return finish(german, join(item.subject, *words, owner.object))
    verb = "gefällt" if item.person == "er" else "gefallen"
    german = join(item.german["nom"], verb, owner.german["dat"], "nicht" if denial else "")
    third = owner.person == "er"
    like = ("does not like" if third else "do not like") if denial else ("likes" if third else "like")
    return finish(german, join(owner.subject, like, item.object))


def possession(dice: Dice) -> Pair:
    """The teacher's car, with the German genitive after the noun and names before it."""
    entry = dice.choice(nouns_of_kind("thing", "animal", "home"))
    fitting = adjectives_for(entry)
    quality = dice.choice(fitting)
    if dice.chance(0.3):
        owner = name(dice)
        german, english = f"{owner.german['gen']} {entry.german}", f"{owner.object}'s {entry.english}"
    else:
        keeper = dice.choice(PEOPLE + FAMILY)
        unowned = "unowned" in keeper.kinds
        determiner = DEFINITE if unowned or dice.chance(0.5) else possessive(dice.choice(CLEAR_OWNERS))
        owner = noun_phrase(keeper, determiner)
        owned = noun_phrase(entry, DEFINITE)
        german, english = f"{owned.german['nom']} {owner.german['gen']}", f"{owner.object}'s {entry.english}"
    past = dice.chance(0.3)
    degree = Pair("sehr", "very") if dice.chance(0.3) else Pair()
    words = ("war", "was") if past else ("ist", "is")
    return finish(
        join(german, words[0], degree.german, quality.german), join(english, words[1], degree.english, quality.english)
    )


def ownership(dice: Dice) -> Pair:
    """Haben with an object: has three sisters, has no umbrella."""
    actor = subject(dice)
    have = dict(ich="habe", du="hast", er="hat", wir="haben", sie="haben")[actor.person]
    english = "has" if actor.person == "er" else "have"
    if dice.chance(0.35):
        entry = dice.choice(nouns_of_kind("family", "animal"))
        plural = dice.chance(0.6)
        value = number(dice, 2, 6)
        many = counted(value.german, value.english)
        item = noun_phrase(entry, many if plural else INDEFINITE, some_adjective(dice, entry, 0.2), plural=plural)
    else:
        entry = dice.choice(nouns_of_kind("thing"))
        if dice.chance(0.4):
            item = noun_phrase(entry, NEGATIVE, some_adjective(dice, entry, 0.3))
            does = "does not have" if actor.person == "er" else "do not have"
            return finish(join(actor.german["nom"], have, item.german["acc"]), join(actor.subject, does, item.object))
        value = number(dice, 2, 99)
        many = counted(value.german, value.english)
        plural = dice.chance(0.5)
        item = noun_phrase(entry, many if plural else INDEFINITE, some_adjective(dice, entry, 0.5), plural=plural)
    return finish(join(actor.german["nom"], have, item.german["acc"]), join(actor.subject, english, item.object))


def existence(dice: Dice) -> Pair:
    """In der Küche gibt es drei Stühle: there are three chairs in the kitchen."""
    indoors = ("in der Küche", "in der Schule", "im Büro", "in der Bibliothek", "zu Hause", "im Restaurant", "im Hotel")
    outdoors = ("im Park", "im Garten", "am See", "auf dem Markt", "am Bahnhof", "im Dorf", "in der Stadt")
    if dice.chance(0.5):
        place = dice.choice(indoors)
        pool = nouns_of_kind("furniture") + [noun_named(word) for word in ("Fenster", "Computer", "Bild", "Tür", "Flasche")]
    else:
        place = dice.choice(outdoors)
        town = place in ("im Dorf", "in der Stadt")
        kinds = ("built",) if town else ("plant", "animal", "Fahrrad")
        pool = nouns_of_kind(*kinds)
    english = {"im Hotel": "in the hotel", "im Dorf": "in the village", "in der Stadt": "in the town"}.get(place)
    english = english or AT[place].english
    entry = dice.choice(pool)
    value = number(dice, 2, 99)
    plural = dice.chance(0.75)
    determiner = counted(value.german, value.english) if plural else NEGATIVE if dice.chance(0.3) else INDEFINITE
    item = noun_phrase(entry, determiner, some_adjective(dice, entry, 0.45), plural=plural)
    there = "there are" if plural else "there is"
    negated = item.object.partition(" ")[2]
    words = f"there is no {negated}" if item.negative else f"{there} {item.object}"
    if dice.chance(0.6):
        return finish(join(place, "gibt es", item.german["acc"]), f"{words} {english}")
    return finish(join("es gibt", item.german["acc"], place), f"{words} {english}")
