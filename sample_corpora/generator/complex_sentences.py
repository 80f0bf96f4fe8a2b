"""Sentences of two clauses: reasons, reports, conditions, times, purposes, pronouns."""

from __future__ import annotations

from dataclasses import replace

from .adverbials import AT, TO
from .choices import clause, says_everyone, some_adjective, subject
from .clauses import (
    NOTHING,
    PERSONS,
    Clause,
    Tense,
    copula,
    english_infinitive,
    english_main,
    german_infinitive,
    german_main,
    german_question,
    german_subordinate,
)
from .dice import Dice
from .nouns import NOUNS, Noun
from .phrases import (
    DEFINITE,
    INDEFINITE,
    Pair,
    Phrase,
    join,
    noun_phrase,
    pronoun,
    referent_of,
)
from .sentences import finish, in_city, to_city
from .verbs import DATIVE, INTRANSITIVE, LIVE, MOTION, OBJECT_VERBS, STAY, TRANSITIVE, TRAVEL, Verb

TIRED, SICK, HAPPY = Pair("müde", "tired"), Pair("krank", "sick"), Pair("glücklich", "happy")
# What makes one tired and what makes one happy.
TIRING = ("arbeiten", "tanzen", "schwimmen", "kochen", "waschen", "reparieren", "spielen", "malen", "suchen", "helfen")
PLEASING = ("finden", "kaufen", "treffen", "sehen", "besuchen", "tanzen", "einladen", "singen", "tragen", "danken")


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
    be = copula(actor, past=past)
    return Pair(join(actor.german["nom"], state.german, be.german), join(actor.subject, be.english, state.english))


def some_state(dice: Dice, *states: Pair) -> Pair:
    """Müde, sehr krank."""
    state = dice.choice(states)
    return Pair(f"sehr {state.german}", f"very {state.english}") if dice.chance(0.25) else state


def reason(dice: Dice) -> Pair:
    """Er blieb zu Hause, weil er krank war; sie ist müde, weil sie gearbeitet hat."""
    actor, again = resumable(dice)
    return finish(*(reason_for_state if dice.chance(0.5) else reason_for_deed)(dice, actor, again))


def reason_for_state(dice: Dice, actor: Phrase, again: Phrase) -> tuple[str, str]:
    """Tired after work, happy about something found."""
    feeling, verbs = dice.choice(((TIRED, TIRING), (HAPPY, PLEASING)))
    state, past = some_state(dice, feeling), dice.chance(0.4)
    verb = dice.choice([entry for entry in OBJECT_VERBS + INTRANSITIVE if entry.prefix + entry.infinitive in verbs])
    why = doing(dice, again, Tense.PLUPERFECT if past else Tense.PERFECT, verb=verb)
    be = copula(actor, past=past)
    return (
        f"{join(actor.german['nom'], be.german, state.german)}, weil {german_subordinate(why)}",
        f"{join(actor.subject, be.english, state.english)} because {english_main(why)}",
    )


def reason_for_deed(dice: Dice, actor: Phrase, again: Phrase) -> tuple[str, str]:
    """Staying at home, or not doing what was to be done, being tired or sick."""
    past = dice.chance(0.65)
    tense = past_tense(dice, actor) if past else Tense.FUTURE
    if dice.chance(0.35) or says_everyone(actor):
        said = Clause(actor, STAY, tense, place=AT["zu Hause"])
    else:
        said = clause(dice, actor, tense=tense)
        while not said.negation or said.verb.sudden or said.verb.stative:
            said = clause(dice, actor, tense=tense)
    why = being(again, some_state(dice, TIRED, SICK), past=past)
    return f"{german_main(said)}, weil {why.german}", f"{english_main(said)} because {why.english}"


def past_tense(dice: Dice, actor: Phrase) -> Tense:
    """One of the German pasts; du takes the perfect."""
    return Tense.PERFECT if actor.person == "du" or dice.chance(0.5) else Tense.PRETERITE


def concession(dice: Dice) -> Pair:
    """Obwohl er müde war, ging er ins Büro: the clause in front counts as the first field."""
    actor, again = resumable(dice)
    state = being(actor, some_state(dice, TIRED, SICK), past=True)
    if dice.chance(0.4):
        said = Clause(again, MOTION[0], past_tense(dice, again), place=dice.choice(TO))
    else:
        said = replace(doing(dice, again, Tense.PERFECT, Tense.PRETERITE), time=NOTHING)
    return finish(f"obwohl {state.german}, {german_question(said)}", f"although {state.english}, {english_main(said)}")


REPORTS = {
    "wissen": (("weiß", "weißt", "weiß", "wissen", "wissen"), ("know", "knows")),
    "glauben": (("glaube", "glaubst", "glaubt", "glauben", "glauben"), ("think", "thinks")),
    "sagen": (("sage", "sagst", "sagt", "sagen", "sagen"), ("say", "says")),
    "hoffen": (("hoffe", "hoffst", "hofft", "hoffen", "hoffen"), ("hope", "hopes")),
}


def reporting(actor: Phrase, infinitive: str) -> Pair:
    """Ich weiß, er glaubt."""
    german, english = REPORTS[infinitive]
    return Pair(
        join(actor.german["nom"], german[PERSONS.index(actor.person)]),
        join(actor.subject, english[actor.person == "er"]),
    )


def report(dice: Dice) -> Pair:
    """Sie glaubt, dass der Mann morgen kommt."""
    infinitive = dice.choice(list(REPORTS))
    who = subject(dice)
    speaker = reporting(who, infinitive)
    tenses = [Tense.FUTURE, Tense.PERFECT]
    tenses += [] if infinitive == "hoffen" else [Tense.PERFECT, Tense.MODAL, Tense.HABIT, Tense.NOW]
    said = doing(dice, subject(dice, who), *tenses)
    return finish(f"{speaker.german}, dass {german_subordinate(said)}", f"{speaker.english} that {english_main(said)}")


def indirect_question(dice: Dice) -> Pair:
    """Ich weiß nicht, ob sie kommt, wann der Zug fährt."""
    actor = subject(dice)
    while says_everyone(actor):
        actor = subject(dice)
    german = join(actor.german["nom"], REPORTS["wissen"][0][PERSONS.index(actor.person)], "nicht")
    english = join(actor.subject, "does not know" if actor.person == "er" else "do not know")
    asked = doing(dice, subject(dice, actor), Tense.PERFECT, Tense.FUTURE, Tense.MODAL)
    word = dice.weighted([(4.0, Pair("ob", "whether")), (1.0, Pair("warum", "why")), (1.0, Pair("wann", "when"))])
    if word.german == "wann":
        asked = replace(asked, time=NOTHING)
    if dice.chance(0.2):
        word, asked = Pair("wo", "where"), Clause(asked.subject, LIVE, Tense.HABIT)
    return finish(
        f"{german}, {word.german} {german_subordinate(asked)}", f"{english} {word.english} {english_main(asked)}"
    )


def condition(dice: Dice) -> Pair:
    """Wenn es regnet, bleiben die Kinder zu Hause."""
    actor, again = resumable(dice)
    rain, snow = Pair("es regnet", "it rains"), Pair("es schneit", "it snows")
    weather, leads = dice.chance(0.45), dice.chance(0.55)
    # Who is named first, is taken up by a pronoun afterwards.
    doer = actor if weather or not leads else again
    when = dice.choice((rain, snow))
    if not weather:
        when = being(actor if leads else again, some_state(dice, TIRED, SICK, HAPPY), past=False)
    said = Clause(doer, STAY, Tense.HABIT, place=AT["zu Hause"])
    if dice.chance(0.75):
        said = replace(doing(dice, doer, Tense.HABIT), time=NOTHING)
    if leads:
        return finish(f"wenn {when.german}, {german_question(said)}", f"when {when.english}, {english_main(said)}")
    return finish(f"{german_main(said)}, wenn {when.german}", f"{english_main(said)} when {when.english}")


def memory(dice: Dice) -> Pair:
    """Als sie jung war, wohnte sie in Wien."""
    actor, again = resumable(dice)
    young = being(actor, dice.choice((Pair("jung", "young"), SICK)), past=True)
    if "jung" in young.german and dice.chance(0.5) and actor.person != "du":
        said = Clause(again, LIVE, Tense.PRETERITE, place=in_city(dice))
    else:
        said = replace(doing(dice, again, Tense.PRETERITE, Tense.PERFECT), time=NOTHING)
    return finish(f"als {young.german}, {german_question(said)}", f"when {young.english}, {english_main(said)}")


def sequence(dice: Dice) -> Pair:
    """Nachdem er das Haus verkauft hatte, reiste er nach Rom."""
    actor, again = resumable(dice)
    while actor.person == "du":
        actor, again = resumable(dice)
    first = replace(doing(dice, actor, Tense.PLUPERFECT), time=NOTHING)
    second = replace(doing(dice, again, Tense.PRETERITE), time=NOTHING)
    if dice.chance(0.35):
        second = Clause(again, dice.choice(TRAVEL), Tense.PRETERITE, place=to_city(dice))
    return finish(
        f"nachdem {german_subordinate(first)}, {german_question(second)}",
        f"after {english_main(first)}, {english_main(second)}",
    )


def purpose(dice: Dice) -> Pair:
    """Sie geht in die Küche, um ihre Tante anzurufen."""
    actor = subject(dice)
    tense = dice.choice((Tense.PERFECT, Tense.FUTURE, Tense.MODAL, Tense.NOW))
    verb = MOTION[0] if dice.chance(0.6) else dice.choice(TRAVEL)
    said = clause(dice, actor, verb, tense)
    while said.negation:
        said = clause(dice, actor, verb, tense)
    said = replace(said, place=dice.choice(TO) if verb in MOTION else to_city(dice))
    aims = [entry for entry in TRANSITIVE + DATIVE if not entry.stative and not entry.sudden]
    aim = bare(dice, actor, dice.choice(aims))
    return finish(
        f"{german_main(said)}, um {german_infinitive(aim)}", f"{english_main(said)} {english_infinitive(aim)}"
    )


def bare(dice: Dice, actor: Phrase, verb: Verb) -> Clause:
    """A verb with its object and nothing else."""
    said = clause(dice, actor, verb)
    while said.negation or said.tense is Tense.ALREADY:
        said = clause(dice, actor, verb)
    return replace(said, time=NOTHING, often=NOTHING, place=NOTHING)


# What may be done with a thing after it was bought, found and so on; a minus asks for nicht.
SEQUELS = {
    "kaufen": "verlieren vergessen verkaufen zurückbringen lesen essen anziehen reparieren -lesen -essen -anziehen",
    "finden": "verkaufen zurückbringen öffnen lesen reparieren verlieren -lesen -öffnen",
    "suchen": "finden -finden -finden",
    "verlieren": "finden suchen -finden",
    "vergessen": "suchen finden",
    "waschen": "anziehen verkaufen reparieren -anziehen",
    "reparieren": "verkaufen verlieren waschen",
    "schreiben": "lesen vergessen verlieren -lesen",
    "öffnen": "lesen -lesen vergessen",
    "lesen": "vergessen zurückbringen verlieren",
    "malen": "verkaufen -verkaufen",
    "mitbringen": "vergessen essen öffnen -öffnen -essen",
    "sehen": "kaufen -kaufen",
}


def taken_up(dice: Dice) -> Pair:
    """Anna hat einen Koffer gekauft, aber sie hat ihn vergessen: pronouns by the gender of the noun."""
    actor, again = resumable(dice)
    verbs = {entry.prefix + entry.infinitive: entry for entry in TRANSITIVE}
    first, sequel = "", ""
    things: list[Noun] = []
    # A verb and its sequel need a thing that both can be said of.
    while not things:
        first = dice.choice(list(SEQUELS))
        sequel = dice.choice(SEQUELS[first].split())
        objects = verbs[first].objects, verbs[sequel.removeprefix("-")].objects
        things = [one for one in NOUNS if all(one.kinds & kinds for kinds in objects) and not one.kinds & UNSUITED]
    entry = dice.choice(things)
    referent = referent_of(entry, plural=False)
    assert referent is not None, entry
    item = noun_phrase(entry, INDEFINITE if dice.chance(0.6) else DEFINITE, some_adjective(dice, entry, 0.4))
    one = Clause(actor, verbs[first], Tense.PERFECT if dice.chance(0.6) else past_tense(dice, actor), object=item)
    denied = sequel.startswith("-")
    two = Clause(again, verbs[sequel.removeprefix("-")], one.tense, object=pronoun(referent))
    two = replace(two, negation="nicht" if denied else "")
    if denied or (two.verb.unwanted and dice.chance(0.5)):
        return finish(f"{german_main(one)}, aber {german_main(two)}", f"{english_main(one)}, but {english_main(two)}")
    then = Pair("aber gestern", "but yesterday") if two.verb.unwanted else Pair("und dann", "and then")
    return finish(
        f"{german_main(one)}, {then.german} {german_question(two)}",
        f"{english_main(one)}, {then.english} {english_main(two)}",
    )


# Bread and cheese are not counted, and people and animals are not bought and found here.
UNSUITED = frozenset({"mass", "person", "animal", "building"})
