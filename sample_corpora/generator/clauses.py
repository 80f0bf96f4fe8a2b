"""Clauses: German word order by topological fields, English by subject, verb, object, place, time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from .phrases import Pair, Person, Phrase, join, prepositional
from .verbs import EnglishVerb, Verb

PERSONS: tuple[Person, ...] = ("ich", "du", "er", "wir", "sie")
NOTHING = Pair()
HABEN = dict(zip(PERSONS, ["habe", "hast", "hat", "haben", "haben"], strict=True))
HATTE = dict(zip(PERSONS, ["hatte", "hattest", "hatte", "hatten", "hatten"], strict=True))
SEIN = dict(zip(PERSONS, ["bin", "bist", "ist", "sind", "sind"], strict=True))
WAR = dict(zip(PERSONS, ["war", "warst", "war", "waren", "waren"], strict=True))
WERDEN = dict(zip(PERSONS, ["werde", "wirst", "wird", "werden", "werden"], strict=True))
ENGLISH_BE = dict(zip(PERSONS, ["am", "are", "is", "are", "are"], strict=True))
ENGLISH_WAS = dict(zip(PERSONS, ["was", "were", "was", "were", "were"], strict=True))


class Tense(Enum):
    """What the two languages do with their verbs at once."""

    HABIT = "habit"  # present, simple present
    NOW = "now"  # present with gerade or jetzt, present progressive
    PRETERITE = "preterite"  # preterite, simple past
    PERFECT = "perfect"  # perfect, simple past
    ALREADY = "already"  # perfect with schon, present perfect with already
    PLUPERFECT = "pluperfect"  # pluperfect in both
    FUTURE = "future"  # werden, will
    MODAL = "modal"  # a modal verb and the infinitive


@dataclass(frozen=True)
class Modal:
    """A modal verb: its German forms for ich, du, er, wir, sie; what English says after the subject."""

    german: str
    english: str
    english_third: str = ""
    past: bool = False

    def form(self, person: Person) -> str:
        """The German finite form."""
        return self.german.split()[PERSONS.index(person)]


MODALS = [
    Modal("kann kannst kann können können", "can"),
    Modal("muss musst muss müssen müssen", "have to", "has to"),
    Modal("will willst will wollen wollen", "want to", "wants to"),
    Modal("möchte möchtest möchte möchten möchten", "would like to"),
    Modal("soll sollst soll sollen sollen", "should"),
    Modal("konnte konntest konnte konnten konnten", "could", past=True),
    Modal("musste musstest musste mussten mussten", "had to", past=True),
    Modal("wollte wolltest wollte wollten wollten", "wanted to", past=True),
]


@dataclass(frozen=True)
class Clause:
    """Who does what, when and where. The methods of `german` and `english` words put it in order."""

    subject: Phrase
    verb: Verb
    tense: Tense
    object: Phrase | None = None
    receiver: Phrase | None = None
    modal: Modal | None = None
    time: Pair = NOTHING
    often: Pair = NOTHING
    """How often: after the finite verb in German, before the full verb in English."""
    place: Pair = NOTHING
    negation: Literal["", "nicht", "kein"] = ""


def copula(actor: Phrase, *, past: bool = False) -> Pair:
    """To be, in agreement."""
    german, english = (WAR, ENGLISH_WAS) if past else (SEIN, ENGLISH_BE)
    return Pair(german[actor.person], english[actor.person])


def german_present(verb: Verb, person: Person) -> str:
    """The present by rule from the infinitive and the third person, which shows the change of vowel."""
    stem = verb.infinitive.removesuffix("en")
    changed = verb.present.removesuffix("t")
    if person == "ich":
        return stem + "e"
    if person == "du":
        return changed + ("t" if changed.endswith(("s", "ß", "z")) else "st")
    return verb.present if person == "er" else verb.infinitive


def german_past(verb: Verb, person: Person) -> str:
    """The preterite. du is left to the perfect, as in speech."""
    if person in ("ich", "er"):
        return verb.past
    if person == "du":
        raise ValueError(f"no preterite with du: {verb.infinitive}")
    return verb.past + ("n" if verb.past.endswith("e") else "en")


def german_verb(clause: Clause) -> tuple[str, str]:
    """The finite verb and what stands at the end of the clause (prefix, participle, infinitive)."""
    verb, person = clause.verb, clause.subject.person
    if clause.tense is Tense.MODAL and clause.modal:
        return clause.modal.form(person), verb.prefix + verb.infinitive
    if clause.tense is Tense.FUTURE:
        return WERDEN[person], verb.prefix + verb.infinitive
    if clause.tense in (Tense.PERFECT, Tense.ALREADY):
        return (HABEN if verb.auxiliary == "haben" else SEIN)[person], verb.participle
    if clause.tense is Tense.PLUPERFECT:
        return (HATTE if verb.auxiliary == "haben" else WAR)[person], verb.participle
    finite = german_past(verb, person) if clause.tense is Tense.PRETERITE else german_present(verb, person)
    return finite, verb.prefix


def german_object(clause: Clause) -> str:
    """The object in the case its verb governs; objects with a preposition are `german_complement`."""
    if clause.object is None or clause.verb.government == "prep":
        return ""
    return clause.object.german["dat" if clause.verb.government == "dat" else "acc"]


def german_complement(clause: Clause) -> str:
    """The object with a preposition: auf den Bus."""
    if clause.object is None or clause.verb.government != "prep":
        return ""
    return prepositional(clause.verb.preposition, clause.object, clause.verb.prepositional_case)


def german_middle(clause: Clause, front: str, subject: bool) -> str:
    """The middle field without what stands in front: pronouns, time, objects, nicht, complement, place."""
    light = clause.object is not None and clause.object.light
    receiver = clause.receiver.german["dat"] if clause.receiver else ""
    light_receiver = clause.receiver is not None and clause.receiver.light
    objects = "" if front == "object" else german_object(clause)
    return join(
        clause.subject.german["nom"] if subject else "",
        objects if light else "",
        receiver if light_receiver else "",
        "" if front == "time" else clause.time.german,
        clause.often.german,
        "" if light_receiver else receiver,
        "" if light else objects,
        "nicht" if clause.negation == "nicht" else "schon" if clause.tense is Tense.ALREADY else "",
        german_complement(clause),
        clause.place.german,
    )


def german_main(clause: Clause, front: Literal["subject", "time", "object"] = "subject") -> str:
    """Verb second: what stands in front, the finite verb, the middle field, the rest of the verb."""
    fronts = {
        "subject": clause.subject.german["nom"],
        "time": clause.time.german,
        "object": german_object(clause),
    }
    finite, rest = german_verb(clause)
    return join(fronts[front], finite, german_middle(clause, front, front != "subject"), rest)


def german_question(clause: Clause) -> str:
    """Verb first."""
    finite, rest = german_verb(clause)
    return join(finite, german_middle(clause, "", True), rest)


def german_subordinate(clause: Clause, *, subject: bool = True, front: str = "") -> str:
    """Verb last: dass sie den Mann anruft, dass sie ihn angerufen hat. `front` names what stands outside."""
    finite, rest = german_verb(clause)
    # A prefix is written together with the finite verb that now follows it.
    ending = rest + finite if rest and rest == clause.verb.prefix else join(rest, finite)
    return join(german_middle(clause, front, subject), ending)


def german_infinitive(clause: Clause) -> str:
    """The clause after um: den Mann anzurufen, ein Buch zu lesen."""
    verb = clause.verb
    ending = f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"
    return join(german_middle(clause, "", False), ending)


def english_verb(clause: Clause, person: Person) -> tuple[str, str]:
    """The auxiliary, if the tense has one, and the full verb."""
    verb: EnglishVerb = clause.verb.english
    match clause.tense:
        case Tense.HABIT:
            return "", verb.present if person == "er" else verb.base
        case Tense.NOW:
            return ENGLISH_BE[person], verb.gerund
        case Tense.ALREADY:
            return ("has" if person == "er" else "have"), "already " + verb.participle
        case Tense.PLUPERFECT:
            return "had", verb.participle
        case Tense.FUTURE:
            return "will", verb.base
        case Tense.MODAL if clause.modal:
            third = clause.modal.english_third if person == "er" else ""
            return third or clause.modal.english, verb.base
        case _:
            return "", verb.past


def english_supported(clause: Clause, person: Person) -> tuple[str, str]:
    """As `english_verb`, with do where negation and questions need an auxiliary."""
    auxiliary, full = english_verb(clause, person)
    if auxiliary:
        return auxiliary, full
    past = clause.tense in (Tense.PRETERITE, Tense.PERFECT)
    return ("did" if past else "does" if person == "er" else "do"), clause.verb.english.base


def english_rest(clause: Clause, *, gap: bool = False, front: str = "") -> str:
    """What follows the verb: objects, particle, place, time. `gap` leaves the object out."""
    verb = clause.verb
    thing = "" if gap or clause.object is None else clause.object.object
    particle = verb.english.particle
    pronominal = clause.object is not None and clause.object.pronominal
    receiver = clause.receiver.object if clause.receiver else ""
    return join(
        receiver,
        verb.english_preposition if clause.object else "",
        *((thing, particle) if pronominal else (particle, thing)),
        clause.place.english,
        "" if front == "time" else clause.time.english,
    )


def english_predicate(clause: Clause, *, gap: bool = False, front: str = "") -> str:
    """Everything after the subject."""
    person = clause.subject.person
    if clause.negation:
        auxiliary, full = english_supported(clause, person)
        auxiliary = "cannot" if auxiliary == "can" else join(auxiliary, "not")
    else:
        auxiliary, full = english_verb(clause, person)
    return join(auxiliary, clause.often.english, full, english_rest(clause, gap=gap, front=front))


def english_main(clause: Clause, front: Literal["subject", "time", "object"] = "subject") -> str:
    """A statement; English keeps the order whatever German puts first, save for adverbials of time."""
    opening = clause.time.english if front == "time" else ""
    return join(opening, clause.subject.subject, english_predicate(clause, front=front))


def english_question(clause: Clause, *, gap: bool = False) -> str:
    """Auxiliary, subject, verb."""
    auxiliary, full = english_supported(clause, clause.subject.person)
    return join(auxiliary, clause.subject.subject, clause.often.english, full, english_rest(clause, gap=gap))


def english_infinitive(clause: Clause) -> str:
    """To call the man."""
    return join("to", clause.verb.english.base, english_rest(clause))
