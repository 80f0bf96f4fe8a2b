"""German verbs with their principal parts, their English counterparts and what they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .tables import table

Government = Literal["none", "acc", "dat", "prep"]


@dataclass(frozen=True)
class EnglishVerb:
    """The forms of an English verb. `particle` follows the object: brings the book *back*."""

    base: str
    present: str
    past: str
    participle: str
    gerund: str
    particle: str = ""


@dataclass(frozen=True)
class Verb:
    """A German verb: rufen, ruft, rief, angerufen with the prefix an, and its English counterpart."""

    infinitive: str
    present: str
    past: str
    participle: str
    english: EnglishVerb
    government: Government = "none"
    objects: frozenset[str] = frozenset()
    prefix: str = ""
    auxiliary: Literal["haben", "sein"] = "haben"
    preposition: str = ""
    """German preposition of the object; the English one stands in `english_preposition`."""
    prepositional_case: Literal["acc", "dat"] = "acc"
    english_preposition: str = ""
    sudden: bool = False
    """Done once rather than habitually or at length: no `every day` and no `is finding`."""
    memorable: bool = False
    """Told of years later: bought in 1987, rather than got up in 1987."""
    unwanted: bool = False
    """Nobody wants to lose or forget a thing."""
    stative: bool = False
    """States take the plain present: she knows, not she is knowing."""


# English verbs whose forms no rule gives: base, past, participle.
IRREGULAR = {row["base"][0]: (row["past"][0], row["participle"][0]) for row in table("irregular_verbs")}
# These double their last consonant: getting, planned.
DOUBLED = frozenset(
    ("begin", "cut", "dig", "forget", "get", "plan", "put", "run", "sit", "stop", "swim", "travel", "win")
)


def english_verb(phrase: str) -> EnglishVerb:
    """All forms of `wait`, or of a verb with further words: `get up`, `bring .. back` (after the object)."""
    phrase, _, particle = phrase.partition(" .. ")
    base, space, rest = phrase.partition(" ")
    past, participle = IRREGULAR.get(base) or (regular_past(base),) * 2
    tail = space + rest
    return EnglishVerb(
        base + tail, third_person(base) + tail, past + tail, participle + tail, gerund(base) + tail, particle
    )


def third_person(base: str) -> str:
    """The form after he, she and it."""
    if base.endswith(("s", "x", "ch", "sh", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + "s"


def regular_past(base: str) -> str:
    """The past of a regular verb."""
    if base.endswith("e"):
        return base + "d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied"
    return base + (base[-1] if base in DOUBLED else "") + "ed"


def gerund(base: str) -> str:
    """The -ing form."""
    if base.endswith("e") and base not in {"be", "see"}:
        return base[:-1] + "ing"
    return base + (base[-1] if base in DOUBLED else "") + "ing"


def verb(words: str, objects: str = "", flags: str = "") -> Verb:
    """Read `an|rufen ruft rief angerufen = call`.

    `objects` are the kinds of thing the verb takes, `flags` any of dat, sein, sudden, memorable,
    unwanted, stative. A German and an
    English preposition follow the forms after a slash: `warten wartet wartete gewartet / auf acc for = wait`.
    """
    german, english = (side.strip() for side in words.split("="))
    forms, _, prepositions = (part.strip() for part in german.partition("/"))
    infinitive, present, past, participle = forms.split()
    prefix, bar, stem = infinitive.partition("|")
    preposition, case, english_preposition = prepositions.split() if prepositions else ("", "acc", "")
    marks = flags.split()
    government: Government = "prep" if preposition else "dat" if "dat" in marks else "acc" if objects else "none"
    return Verb(
        infinitive=stem if bar else infinitive,
        present=present,
        past=past,
        participle=participle,
        english=english_verb(english),
        government=government,
        objects=frozenset(objects.split()),
        prefix=prefix if bar else "",
        auxiliary="sein" if "sein" in marks else "haben",
        preposition=preposition,
        prepositional_case="acc" if case == "acc" else "dat",
        english_preposition=english_preposition,
        sudden="sudden" in marks,
        memorable="memorable" in marks,
        unwanted="unwanted" in marks,
        stative="stative" in marks,
    )


TRANSITIVE = [
    verb("kaufen kauft kaufte gekauft = buy", "thing food", "memorable"),
    verb("verkaufen verkauft verkaufte verkauft = sell", "thing fruit home", "sudden memorable"),
    verb("suchen sucht suchte gesucht = look for", "small clothes animal young"),
    verb("finden findet fand gefunden = find", "small clothes", "sudden memorable"),
    verb("sehen sieht sah gesehen = see", "person animal vehicle sight", "sudden"),
    verb("lesen liest las gelesen = read", "text"),
    verb("schreiben schreibt schrieb geschrieben = write", "Brief Buch", "memorable"),
    verb("essen isst aß gegessen = eat", "food"),
    verb("trinken trinkt trank getrunken = drink", "drink"),
    verb("kochen kocht kochte gekocht = cook", "cooked"),
    verb("tragen trägt trug getragen = wear", "clothes"),
    verb("reparieren repariert reparierte repariert = repair", "machine furniture"),
    verb("waschen wäscht wusch gewaschen = wash", "clothes Auto Fahrrad Apfel"),
    verb("öffnen öffnet öffnete geöffnet = open", "opening box Brief"),
    verb("malen malt malte gemalt = paint", "animal plant sight opening", "memorable"),
    verb("zeichnen zeichnet zeichnete gezeichnet = draw", "animal plant sight"),
    verb("verlieren verliert verlor verloren = lose", "small", "sudden memorable unwanted"),
    verb("vergessen vergisst vergaß vergessen = forget", "small", "sudden unwanted"),
    verb("besuchen besucht besuchte besucht = visit", "person sight", "memorable"),
    verb("treffen trifft traf getroffen = meet", "person", "memorable"),
    verb("kennen kennt kannte gekannt = know", "person sight", "stative"),
    verb("lieben liebt liebte geliebt = love", "family animal", "stative"),
    verb("hören hört hörte gehört = hear", "animal Zug Bus", "sudden"),
    verb("bauen baut baute gebaut = build", "home Brücke Schiff furniture", "sudden memorable"),
    verb("brauchen braucht brauchte gebraucht = need", "small machine clothes", "stative"),
    verb("an|rufen ruft rief angerufen = call", "person"),
    verb("ab|holen holt holte abgeholt = pick .. up", "person"),
    verb("ein|laden lädt lud eingeladen = invite", "person"),
    verb("mit|bringen bringt brachte mitgebracht = bring", "small clothes food drink"),
    verb("zurück|bringen bringt brachte zurückgebracht = bring .. back", "small clothes"),
    verb("an|ziehen zieht zog angezogen = put .. on", "clothes"),
]

DATIVE = [
    verb("helfen hilft half geholfen = help", "person", "dat"),
    verb("danken dankt dankte gedankt = thank", "person", "dat"),
    verb("folgen folgt folgte gefolgt = follow", "person animal Bus", "dat sein"),
    verb("antworten antwortet antwortete geantwortet = answer", "person", "dat sudden"),
    verb("zu|hören hört hörte zugehört = listen to", "person", "dat"),
]

PREPOSITIONAL = [
    verb("warten wartet wartete gewartet / auf acc for = wait", "person transport Brief"),
    verb("denken denkt dachte gedacht / an acc about = think", "person home"),
    verb("sprechen spricht sprach gesprochen / mit dat with = speak", "person"),
    verb("spielen spielt spielte gespielt / mit dat with = play", "young Hund Katze toy"),
    verb("tanzen tanzt tanzte getanzt / mit dat with = dance", "person"),
    verb("träumen träumt träumte geträumt / von dat of = dream", "home vehicle Pferd"),
]

DITRANSITIVE = [
    verb("geben gibt gab gegeben = give", "small toy food"),
    verb("zeigen zeigt zeigte gezeigt = show", "small clothes vehicle machine"),
    verb("schicken schickt schickte geschickt = send", "text Bild Blume"),
    verb("bringen bringt brachte gebracht = bring", "text food drink Tasche Regenschirm Koffer"),
]

# What people do without an object, here and there.
INTRANSITIVE = [
    verb("arbeiten arbeitet arbeitete gearbeitet = work"),
    verb("schlafen schläft schlief geschlafen = sleep"),
    verb("singen singt sang gesungen = sing"),
    verb("lachen lacht lachte gelacht = laugh"),
    verb("spielen spielt spielte gespielt = play"),
    verb("schwimmen schwimmt schwamm geschwommen = swim", flags="sein"),
    verb("auf|stehen steht stand aufgestanden = get up", flags="sein"),
    verb("ein|schlafen schläft schlief eingeschlafen = fall asleep", flags="sein"),
    verb("ein|kaufen kauft kaufte eingekauft = go shopping"),
    verb("fern|sehen sieht sah ferngesehen = watch television"),
]

MOTION = [
    verb("gehen geht ging gegangen = go", flags="sein"),
    verb("kommen kommt kam gekommen = come", flags="sein"),
]
TRAVEL = [
    verb("reisen reist reiste gereist = travel", flags="sein memorable"),
    verb("fliegen fliegt flog geflogen = fly", flags="sein memorable"),
]
DEPART = verb("ab|fahren fährt fuhr abgefahren = leave", flags="sein")
ARRIVE = verb("an|kommen kommt kam angekommen = arrive", flags="sein")
STAY = verb("bleiben bleibt blieb geblieben = stay", flags="sein")
LIVE = verb("wohnen wohnt wohnte gewohnt = live", flags="stative")
LAY = verb("legen legt legte gelegt = put", "small text")

OBJECT_VERBS = TRANSITIVE + DATIVE + PREPOSITIONAL
