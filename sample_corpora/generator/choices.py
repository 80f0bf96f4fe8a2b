"""Random constituents: who, what, with which verb and in which tense."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from .adjectives import Adjective, adjectives_for
from .adverbials import AT, OFTEN, USUAL_PLACES, number, time_for
from .clauses import MODALS, Clause, Modal, Tense
from .dice import Dice
from .nouns import FAMILY, PEOPLE, Noun, nouns_of_kind
from .phrases import (
    BARE,
    DEFINITE,
    DU,
    ER,
    EVERY,
    ICH,
    INDEFINITE,
    MANY,
    NEGATIVE,
    NEGATIVE_MASS,
    PRONOUNS,
    SIE,
    SIE_PLURAL,
    SOME,
    THIS,
    WIR,
    Determiner,
    Pair,
    Phrase,
    Referent,
    counted,
    joined,
    named,
    noun_phrase,
    possessive,
    pronoun,
)
from .verbs import DITRANSITIVE, INTRANSITIVE, OBJECT_VERBS, Verb

NAMES = [
    *[(name, SIE) for name in ("Anna", "Maria", "Julia", "Lena", "Sophie")],
    *[(name, ER) for name in ("Peter", "Thomas", "Paul", "Jonas", "Martin")],
]
# A sentence that opens with `Ihre Tante` would not tell whose aunt she is; these possessives are clear alone.
CLEAR_OWNERS = (ICH, DU, WIR, ER)


def name(dice: Dice) -> Phrase:
    """A person by name."""
    return named(*dice.choice(NAMES))


def two_names(dice: Dice) -> Phrase:
    """Anna und Peter."""
    first, second = dice.shuffled(NAMES)[:2]
    return joined(named(*first), named(*second))


def subject(dice: Dice, other: Phrase | None = None) -> Phrase:
    """Someone who acts, not the same as `other`."""
    kind = dice.weighted([(4.0, "pronoun"), (1.3, "name"), (0.5, "names"), (5.0, "noun")])
    if kind == "pronoun":
        chosen = pronoun(dice.choice(PRONOUNS))
    elif kind == "name":
        chosen = name(dice)
    else:
        chosen = two_names(dice) if kind == "names" else person(dice, CLEAR_OWNERS)
    return subject(dice, other) if other and same_words(chosen, other) else chosen


def same_words(one: Phrase, other: Phrase) -> bool:
    """Whether two phrases share a name or their noun: `the teacher helps the teacher` is not said."""
    return bool(heads(one) & heads(other))


def heads(phrase: Phrase) -> set[str]:
    """The names or the noun of a phrase."""
    words = phrase.subject.split()
    return {word for word in words if word[0].isupper()} | set(words[-1:])


def person(dice: Dice, owners: tuple[Referent, ...]) -> Phrase:
    """A person with an article or possessive, singular or plural."""
    if dice.chance(0.3):
        entry = dice.choice(FAMILY)
        determiner = possessive(dice.choice(owners)) if dice.chance(0.8) else DEFINITE
        return noun_phrase(entry, determiner, some_adjective(dice, entry, 0.12))
    entry = dice.choice(PEOPLE)
    if dice.chance(0.22):
        return people(dice, entry, owners)
    determiner = dice.weighted(
        [
            (6.0, DEFINITE),
            (1.6, INDEFINITE),
            (0.0 if "unowned" in entry.kinds else 2.2, possessive(dice.choice(owners))),
            (0.6, THIS),
            (0.3, EVERY),
        ]
    )
    return noun_phrase(entry, determiner, some_adjective(dice, entry, 0.25) if determiner is not EVERY else None)


def people(dice: Dice, entry: Noun, owners: tuple[Referent, ...]) -> Phrase:
    """Several persons."""
    value = number(dice, 2, 12)
    determiner = dice.weighted(
        [
            (3.0, DEFINITE),
            (0.0 if "unowned" in entry.kinds else 1.5, possessive(dice.choice(owners))),
            (1.0, MANY),
            (0.7, SOME),
            (0.7, THIS),
            (1.2, counted(value.german, value.english)),
        ]
    )
    return noun_phrase(entry, determiner, some_adjective(dice, entry, 0.2), plural=True)


def some_adjective(dice: Dice, entry: Noun, probability: float) -> Adjective | None:
    """An adjective that goes with the noun, or none."""
    fitting = adjectives_for(entry)
    return dice.choice(fitting) if fitting and dice.chance(probability) else None


def owners_in(actor: Phrase) -> tuple[Referent, ...]:
    """Whose thing it can be: mostly the subject's own, else mine, yours or ours.

    With er and sie as the subject, sein and ihr are taken to mean the subject.
    """
    own = (actor.referent,) * 4 if actor.referent else ()
    return (*own, ICH, DU, WIR)


def thing(dice: Dice, entry: Noun, actor: Phrase, *, negative: bool = False) -> Phrase:
    """A thing with its determiner, adjective and number."""
    quality = some_adjective(dice, entry, 0.38)
    mass = "mass" in entry.kinds
    if negative:
        plural = not mass and dice.chance(0.3)
        return noun_phrase(entry, NEGATIVE_MASS if mass else NEGATIVE, quality, plural=plural)
    if mass:
        return noun_phrase(entry, BARE if dice.chance(0.7) else DEFINITE, quality)
    owner = possessive(dice.choice(owners_in(actor)))
    owned = 0.0 if entry.kinds & {"built", "sight", "Baum"} else 2.0
    if not dice.chance(0.28):
        determiner = dice.weighted([(3.5, DEFINITE), (3.0, INDEFINITE), (owned, owner), (0.7, THIS)])
        return noun_phrase(entry, determiner, quality)
    value = number(dice, 2, 99 if "heap" in entry.kinds else 12)
    many: list[tuple[float, Determiner]] = [(2.0, DEFINITE), (owned / 2, owner), (0.7, MANY), (0.7, SOME), (0.5, THIS)]
    determiner = dice.weighted([*many, (2.5, counted(value.german, value.english))])
    return noun_phrase(entry, determiner, quality, plural=True)


def object_pronoun(dice: Dice, actor: Phrase, *, dative: bool) -> Phrase:
    """A pronoun for a person. The accusative sie is left out: alone it is her or them."""
    options = [ICH, DU, ER, WIR, *([SIE, SIE_PLURAL] if dative else [])]
    own = actor.referent
    first_person = own in (ICH, WIR)
    fitting = [one for one in options if one is not own and not (first_person and one in (ICH, WIR))]
    return pronoun(dice.choice(fitting))


def object_of(dice: Dice, verb: Verb, actor: Phrase, *, negative: bool = False) -> Phrase:
    """Something or someone the verb can be about."""
    nouns = nouns_of_kind(*verb.objects)
    entry = dice.choice(nouns)
    if "person" in entry.kinds:
        return someone(dice, actor, pronouns=verb.government != "prep", dative=verb.government == "dat")
    found = thing(dice, entry, actor, negative=negative)
    # Things of one sort are named together: a coat and a hat, not a coat and an egg.
    sorts = entry.kinds & {"clothes", "food", "drink", "furniture", "text", "animal", "plant"}
    others = [one for one in nouns if one is not entry and one.kinds & sorts]
    if negative or not others or verb.government != "acc" or dice.chance(0.82):
        return found
    return joined(found, thing(dice, dice.choice(others), actor), names=False)


def someone(dice: Dice, actor: Phrase, *, pronouns: bool, dative: bool) -> Phrase:
    """A person as an object: not the subject again."""
    kind = dice.weighted([(3.0 if pronouns else 0.0, "pronoun"), (1.4, "name"), (5.6, "noun")])
    if kind == "pronoun":
        return object_pronoun(dice, actor, dative=dative)
    chosen = name(dice) if kind == "name" else person(dice, owners_in(actor))
    while same_words(chosen, actor):
        chosen = name(dice) if kind == "name" else person(dice, owners_in(actor))
    return chosen


def tense_for(dice: Dice, verb: Verb, actor: Phrase) -> Tense:
    """A tense that the verb allows."""
    preterite = 0.0 if actor.person == "du" else 1.0
    if verb.stative:
        return dice.weighted([(0.7, Tense.HABIT), (0.3 * preterite, Tense.PRETERITE)])
    slow = 0.0 if verb.sudden else 1.0
    return dice.weighted(
        [
            (1.8 * slow, Tense.HABIT),
            (1.0 * slow, Tense.NOW),
            (1.6 * preterite, Tense.PRETERITE),
            (2.6, Tense.PERFECT),
            (0.6, Tense.ALREADY),
            (1.1, Tense.FUTURE),
            (0.0 if verb.unwanted else 2.0, Tense.MODAL),
        ]
    )


def modal(dice: Dice, verb: Verb, actor: Phrase) -> Modal:
    """A modal verb: those in the past are not said with du, and what is heard or found one can or could."""
    fitting = [entry for entry in MODALS if not (entry.past and actor.person == "du")]
    if verb.infinitive in ("finden", "hören", "sehen") and verb.sudden:
        fitting = [entry for entry in fitting if entry.english.startswith("c")]
    return dice.choice(fitting)


def clause(dice: Dice, actor: Phrase | None = None, verb: Verb | None = None, tense: Tense | None = None) -> Clause:
    """A random clause, with adverbials that suit it."""
    actor = actor or subject(dice)
    verb = verb or dice.weighted(
        [(7.5, dice.choice(OBJECT_VERBS)), (1.0, dice.choice(DITRANSITIVE)), (1.5, dice.choice(INTRANSITIVE))]
    )
    result = Clause(actor, verb, tense or tense_for(dice, verb, actor))
    if result.tense is Tense.MODAL:
        result = replace(result, modal=modal(dice, verb, actor))
    result = with_objects(dice, result)
    places = USUAL_PLACES.get(verb.prefix + verb.infinitive, ())
    if places and result.receiver is None and dice.chance(0.3):
        result = replace(result, place=AT[dice.choice(places)])
    return with_time(dice, result)


def with_objects(dice: Dice, bare: Clause) -> Clause:
    """The clause with what its verb takes, perhaps negated."""
    verb, actor = bare.verb, bare.subject
    deniable = bare.tense in (Tense.PERFECT, Tense.PRETERITE, Tense.FUTURE) or (
        bare.modal is not None and bare.modal.english in ("can", "could", "should")
    )
    denied = dice.chance(0.4 if verb.stative else 0.17 if deniable else 0.0) and not says_everyone(actor)
    if not verb.objects:
        return replace(bare, negation="nicht" if denied else "")
    no_article = denied and verb.government == "acc" and dice.chance(0.5)
    thing_or_person = object_of(dice, verb, actor, negative=no_article)
    # nicht and schon stand after definite objects and before others; only the former are made here.
    while (denied or bare.tense is Tense.ALREADY) and not (thing_or_person.definite or thing_or_person.negative):
        thing_or_person = object_of(dice, verb, actor, negative=no_article)
    negation: Literal["", "nicht", "kein"] = "kein" if thing_or_person.negative else "nicht" if denied else ""
    receiver = someone(dice, actor, pronouns=True, dative=True) if verb in DITRANSITIVE else None
    return replace(bare, object=thing_or_person, negation=negation, receiver=receiver)


def says_everyone(phrase: Phrase) -> bool:
    """Every, many and some are not mixed with not, whose reach would be unclear."""
    return phrase.subject.startswith(("every ", "many ", "some "))


def with_time(dice: Dice, timeless: Clause) -> Clause:
    """The clause with when or how often it happens."""
    tense = timeless.tense
    if tense is Tense.NOW and dice.chance(0.65):
        return replace(timeless, often=Pair("gerade", ""))
    if timeless.verb.stative or tense is Tense.ALREADY:
        return timeless
    vague = timeless.object is not None and says_everyone(timeless.object)
    if tense is Tense.HABIT and dice.chance(0.5) and not timeless.negation and not vague:
        return replace(timeless, often=dice.choice(OFTEN))
    if tense not in (Tense.NOW, Tense.HABIT) and not dice.chance(0.6):
        return timeless
    past = timeless.modal is not None and timeless.modal.past
    return replace(timeless, time=time_for(dice, tense, past=past, long_ago=timeless.verb.memorable))
