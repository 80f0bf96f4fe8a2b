"""Sentences of two clauses: reasons, reports, conditions, times, purposes, relative clauses, pronouns."""

from __future__ import annotations

from dataclasses import replace

from .adjectives import ADJECTIVES, adjectives_for
from .adverbials import AT, CITIES, TO
from .choices import (
    clause,
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
    english_infinitive,
    english_main,
    english_predicate,
    german_infinitive,
    german_main,
    german_question,
    german_subordinate,
)
from .dice import Dice
from .nouns import BUILDINGS, PEOPLE, THINGS, Noun, nouns_of_kind
from .phrases import (
    DEFINITE,
    INDEFINITE,
    Case,
    Number,
    Pair,
    Phrase,
    join,
    noun_phrase,
    pronoun,
    referent_of,
)
from .sentences import finish
from .verbs import DATIVE, LIVE, MOTION, OBJECT_VERBS, STAY, TRANSITIVE, TRAVEL, Verb

STATES = [entry for entry in ADJECTIVES if entry.german in ("müde", "krank", "glücklich", "jung", "alt", "reich")]
RELATIVE: dict[Case, str] = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem denen"}
NUMBER_ORDER: tuple[Number, ...] = ("m", "f", "n", "pl")


def resumable(dice: Dice) -> tuple[Phrase, Phrase]:
    """A subject and the pronoun that takes it up again."""
    actor = subject(dice)
    while actor.referent is None:
        actor = subject(dice)
    return actor, pronoun(actor.referent)


def doing(dice: Dice, actor: Phrase, *tenses: Tense, verb: Verb | None = None) -> Clause:
    """A clause without negation in one of these tenses, du never in the preterite."""
    allowed = [tense for tense in tenses if not (tense is Tense.PRETERITE and actor.person == "du")]
    tense = dice.choice(allowed or [Tense.PERFECT])
    said = clause(dice, actor, verb, tense)
    while said.negation or (said.verb.stative and verb is None):
        said = clause(dice, actor, verb, tense)
    return said


def being(actor: Phrase, state: Pair, *, past: bool) -> Pair:
    """Actor, state and copula in the order of the subordinate clause: er müde war, he was tired."""
    german, english = (WAR, ENGLISH_WAS) if past else (SEIN, ENGLISH_BE)
    return Pair(
        join(actor.german["nom"], state.german, german[actor.person]),
        join(actor.subject, english[actor.person], state.english),
    )


def some_state(dice: Dice) -> Pair:
    """Müde, krank, zu alt."""
    quality = dice.choice(STATES)
    degree = Pair("sehr", "very") if dice.chance(0.25) else Pair()
    return Pair(join(degree.german, quality.german), join(degree.english, quality.english))


def reason(dice: Dice) -> Pair:
    """Er blieb zu Hause, weil er krank war."""
    actor, again = resumable(dice)
    if dice.chance(0.45):
        state = some_state(dice)
        was = dice.chance(0.4)
        be = (WAR, ENGLISH_WAS) if was else (SEIN, ENGLISH_BE)
        why = doing(dice, again, Tense.PLUPERFECT if was else Tense.PERFECT)
        german = join(actor.german["nom"], be[0][actor.person], state.german) + ", weil " + german_subordinate(why)
        english = join(actor.subject, be[1][actor.person], state.english, "because", english_main(why))
        return finish(german, english)
    past = dice.chance(0.6)
    if dice.chance(0.4):
        said = Clause(actor, STAY, past_tense(dice, actor) if past else Tense.FUTURE, place=AT["zu Hause"])
    else:
        tenses = (Tense.PERFECT, Tense.PRETERITE) if past else (Tense.HABIT, Tense.MODAL)
        said = doing(dice, actor, *tenses)
        past = past or (said.modal is not None and said.modal.past)
    why_pair = being(again, some_state(dice), past=past)
    return finish(f"{german_main(said)}, weil {why_pair.german}", f"{english_main(said)} because {why_pair.english}")


def past_tense(dice: Dice, actor: Phrase) -> Tense:
    """One of the German pasts; du takes the perfect."""
    return Tense.PERFECT if actor.person == "du" or dice.chance(0.5) else Tense.PRETERITE


def concession(dice: Dice) -> Pair:
    """Obwohl er müde war, ging er ins Büro: the clause in front counts as the first field."""
    actor, again = resumable(dice)
    state = being(actor, some_state(dice), past=True)
    if dice.chance(0.5):
        said = Clause(again, MOTION[0], past_tense(dice, again), place=dice.choice(TO))
    else:
        said = doing(dice, again, Tense.PERFECT, Tense.PRETERITE)
    return finish(
        f"obwohl {state.german}, {german_question(said)}", f"although {state.english}, {english_main(said)}"
    )


REPORTS = {
    "wissen": (("weiß", "weißt", "weiß", "wissen", "wissen"), ("know", "knows")),
    "glauben": (("glaube", "glaubst", "glaubt", "glauben", "glauben"), ("think", "thinks")),
    "sagen": (("sage", "sagst", "sagt", "sagen", "sagen"), ("say", "says")),
    "hoffen": (("hoffe", "hoffst", "hofft", "hoffen", "hoffen"), ("hope", "hopes")),
}
PERSON_ORDER = ("ich", "du", "er", "wir", "sie")


def reporting(dice: Dice, actor: Phrase, infinitive: str) -> Pair:
    """Ich weiß, er glaubt."""
    german, english = REPORTS[infinitive]
    return Pair(
        join(actor.german["nom"], german[PERSON_ORDER.index(actor.person)]),
        join(actor.subject, english[actor.person == "er"]),
    )


def report(dice: Dice) -> Pair:
    """Sie glaubt, dass der Mann morgen kommt."""
    infinitive = dice.choice(list(REPORTS))
    speaker = reporting(dice, subject(dice), infinitive)
    tenses = [Tense.FUTURE, Tense.PERFECT, Tense.PERFECT, Tense.MODAL]
    tenses += [] if infinitive == "hoffen" else [Tense.HABIT, Tense.NOW]
    said = doing(dice, subject(dice), *tenses)
    return finish(
        f"{speaker.german}, dass {german_subordinate(said)}", f"{speaker.english} that {english_main(said)}"
    )


def indirect_question(dice: Dice) -> Pair:
    """Ich weiß nicht, ob sie kommt, wann der Zug fährt."""
    actor = subject(dice)
    german = join(actor.german["nom"], REPORTS["wissen"][0][PERSON_ORDER.index(actor.person)], "nicht")
    english = join(actor.subject, "does not know" if actor.person == "er" else "do not know")
    asked = doing(dice, subject(dice), Tense.PERFECT, Tense.FUTURE, Tense.MODAL)
    word = dice.weighted([(4.0, Pair("ob", "whether")), (1.0, Pair("warum", "why")), (1.0, Pair("wann", "when"))])
    if word.german == "wann":
        asked = replace(asked, time=Pair())
    if dice.chance(0.2):
        word, asked = Pair("wo", "where"), Clause(asked.subject, LIVE, Tense.HABIT)
    return finish(
        f"{german}, {word.german} {german_subordinate(asked)}", f"{english} {word.english} {english_main(asked)}"
    )


def condition(dice: Dice) -> Pair:
    """Wenn es regnet, bleiben die Kinder zu Hause."""
    actor, again = resumable(dice)
    weather = Pair("es regnet", "it rains") if dice.chance(0.5) else Pair("es schneit", "it snows")
    if dice.chance(0.45):
        when, who = weather, actor
    else:
        when, who = being(actor, some_state(dice), past=False), again
    said = Clause(who, STAY, Tense.HABIT, place=AT["zu Hause"])
    if dice.chance(0.75):
        said = replace(doing(dice, who, Tense.HABIT), time=Pair())
    if dice.chance(0.5):
        return finish(f"wenn {when.german}, {german_question(said)}", f"when {when.english}, {english_main(said)}")
    if who is again:
        when, said = being(again, some_state(dice), past=False), replace(said, subject=actor)
    return finish(f"{german_main(said)}, wenn {when.german}", f"{english_main(said)} when {when.english}")


def memory(dice: Dice) -> Pair:
    """Als sie jung war, wohnte sie in Wien."""
    actor, again = resumable(dice)
    young = being(actor, dice.choice((Pair("jung", "young"), Pair("krank", "sick"))), past=True)
    city = dice.choice(CITIES)
    if "jung" in young.german and dice.chance(0.5) and actor.person != "du":
        said = Clause(again, LIVE, Tense.PRETERITE, place=Pair(f"in {city.german}", f"in {city.english}"))
    else:
        said = replace(doing(dice, again, Tense.PRETERITE, Tense.PERFECT), time=Pair())
    return finish(f"als {young.german}, {german_question(said)}", f"when {young.english}, {english_main(said)}")


def sequence(dice: Dice) -> Pair:
    """Nachdem er das Haus verkauft hatte, reiste er nach Rom."""
    actor, again = resumable(dice)
    while actor.person == "du":
        actor, again = resumable(dice)
    first = replace(doing(dice, actor, Tense.PLUPERFECT), time=Pair())
    second = replace(doing(dice, again, Tense.PRETERITE), time=Pair())
    if dice.chance(0.35):
        city = dice.choice(CITIES)
        place = Pair(f"nach {city.german}", f"to {city.english}")
        second = Clause(again, dice.choice(TRAVEL), Tense.PRETERITE, place=place)
    return finish(
        f"nachdem {german_subordinate(first)}, {german_question(second)}",
        f"after {english_main(first)}, {english_main(second)}",
    )


def purpose(dice: Dice) -> Pair:
    """Sie fährt in die Stadt, um ihre Tante anzurufen."""
    actor = subject(dice)
    aim = clause(dice, actor, dice.choice([entry for entry in TRANSITIVE + DATIVE if not entry.stative and not entry.sudden]))
    aim = replace(aim, time=Pair(), often=Pair(), place=Pair())
    while aim.negation or aim.tense is Tense.ALREADY:
        aim = replace(clause(dice, actor, aim.verb), time=Pair(), often=Pair(), place=Pair())
    tense = dice.choice((Tense.PERFECT, Tense.FUTURE, Tense.MODAL, Tense.NOW))
    said = clause(dice, actor, MOTION[0] if dice.chance(0.6) else dice.choice(TRAVEL), tense)
    while said.negation:
        said = clause(dice, actor, said.verb, tense)
    city = dice.choice(CITIES)
    place = dice.choice(TO) if said.verb in MOTION else Pair(f"nach {city.german}", f"to {city.english}")
    said = replace(said, place=place)
    return finish(
        f"{german_main(said)}, um {german_infinitive(aim)}", f"{english_main(said)} {english_infinitive(aim)}"
    )


def relative_word(entry: Noun, plural: bool, case: Case) -> str:
    """Der, den, dem: gender from the noun, case from the clause."""
    return RELATIVE[case].split()[NUMBER_ORDER.index("pl" if plural else entry.gender)]


def ending_of_relative(dice: Dice, entry: Noun, head: Phrase) -> Pair:
    """What is said about a person or thing after its relative clause."""
    if "person" in entry.kinds and dice.chance(0.45):
        city = dice.choice(CITIES)
        said = Clause(head, LIVE, Tense.HABIT, place=Pair(f"in {city.german}", f"in {city.english}"))
        return Pair(join(german_question(replace(said, subject=silent(head)))), english_predicate(said))
    quality = dice.choice(adjectives_for(entry))
    past = dice.chance(0.25)
    german, english = (WAR, ENGLISH_WAS) if past else (SEIN, ENGLISH_BE)
    degree = Pair("sehr", "very") if dice.chance(0.3) else Pair()
    return Pair(
        join(german[head.person], degree.german, quality.german),
        join(english[head.person], degree.english, quality.english),
    )


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


def object_relative(dice: Dice) -> Pair:
    """Die Frau, der wir geholfen haben, ist Ärztin; das Buch, auf das er wartet."""
    verb = dice.choice(OBJECT_VERBS)
    entry = dice.choice([one for one in nouns_of_kind(*verb.objects) if adjectives_for(one)])
    plural = "mass" not in entry.kinds and dice.chance(0.25)
    head = noun_phrase(entry, DEFINITE, some_adjective(dice, entry, 0.15), plural=plural)
    actor = subject(dice)
    said = replace(clause(dice, actor, verb), place=Pair())
    while said.negation or said.tense is Tense.FUTURE:
        said = replace(clause(dice, actor, verb), place=Pair())
    case: Case = verb.prepositional_case if verb.government == "prep" else "dat" if verb.government == "dat" else "acc"
    word = join(verb.preposition, relative_word(entry, plural, case))
    end = ending_of_relative(dice, entry, head)
    gone = Phrase(dict.fromkeys(("nom", "acc", "dat", "gen"), ""), "", "", "er")
    german = f"{head.german['nom']}, {word} {german_subordinate(replace(said, object=None))}, {end.german}"
    link = "who" if "person" in entry.kinds else "that"
    words = join(head.subject, link, actor.subject, english_predicate(replace(said, object=gone), gap=True), end.english)
    return finish(german, words)


def taken_up(dice: Dice) -> Pair:
    """Anna hat einen Koffer gekauft, aber sie hat ihn vergessen: pronouns by the gender of the noun."""
    actor, again = resumable(dice)
    entry = dice.choice([one for one in nouns_of_kind("small", "clothes", "vehicle", "fruit") if "Schiff" not in one.kinds])
    verbs = [one for one in TRANSITIVE if one.objects & entry.kinds and not one.stative]
    first, second = dice.shuffled(verbs)[:2]
    quality = some_adjective(dice, entry, 0.4)
    item = noun_phrase(entry, INDEFINITE if dice.chance(0.6) else DEFINITE, quality)
    referent = referent_of(entry, plural=False)
    assert referent is not None, entry
    one = Clause(actor, first, Tense.PERFECT if dice.chance(0.6) else past_tense(dice, actor), object=item)
    two = Clause(again, second, one.tense, object=pronoun(referent))
    then = dice.weighted([(2.0, Pair("dann", "then")), (1.5, Pair("gestern", "yesterday")), (1.5, Pair())])
    and_or_but = Pair("und", "and") if then.english == "then" else Pair("aber", "but")
    if not then.german:
        return finish(
            f"{german_main(one)}, aber {german_main(two)}", f"{english_main(one)}, but {english_main(two)}"
        )
    return finish(
        f"{german_main(one)}, {and_or_but.german} {then.german} {german_question(two)}",
        f"{english_main(one)}, {and_or_but.english} {then.english} {english_main(two)}",
    )


def contrast(dice: Dice) -> Pair:
    """Der Tisch ist alt, aber er ist schön: it in English, er, sie or es in German."""
    if dice.chance(0.35):
        actor, again = resumable(dice)
        qualities = [entry for entry in ADJECTIVES if "person" in entry.kinds]
    else:
        entry = dice.choice([one for one in THINGS + BUILDINGS + nouns_of_kind("animal") if len(adjectives_for(one)) > 1])
        plural = dice.chance(0.25)
        actor = noun_phrase(entry, DEFINITE, plural=plural)
        referent = referent_of(entry, plural)
        assert referent is not None, entry
        again, qualities = pronoun(referent), adjectives_for(entry)
    first, second = dice.shuffled(qualities)[:2]
    past = dice.chance(0.2)
    german, english = (WAR, ENGLISH_WAS) if past else (SEIN, ENGLISH_BE)
    left = join(actor.german["nom"], german[actor.person], first.german)
    right = join(again.german["nom"], german[again.person], second.german)
    english_left = join(actor.subject, english[actor.person], first.english)
    english_right = join(again.subject, english[again.person], second.english)
    return finish(f"{left}, aber {right}", f"{english_left}, but {english_right}")
