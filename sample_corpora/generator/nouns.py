"""German nouns with their gender, forms and English counterparts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gender = Literal["m", "f", "n"]


@dataclass(frozen=True)
class Noun:
    """A noun in both languages. `kinds` says what can be done with the thing; see `verbs.py`."""

    german: str
    gender: Gender
    german_plural: str
    english: str
    kinds: frozenset[str]
    english_plural: str
    weak: bool = False
    """Masculine nouns that take -(e)n in every case but the nominative: der Nachbar, den Nachbarn."""


def noun(words: str, kinds: str, *, weak: bool = False) -> Noun:
    """Read `der Lehrer, Lehrer = teacher, teachers`; a regular English plural may be left out.

    `-` for the plural says that there is none (mass nouns).
    """
    german, english = (side.strip() for side in words.split("="))
    article, _, rest = german.partition(" ")
    singular, plural = (form.strip() for form in rest.split(","))
    english_forms = [form.strip() for form in english.split(",")]
    gender: Gender = "m" if article == "der" else "f" if article == "die" else "n"
    return Noun(
        german=singular,
        gender=gender,
        german_plural=plural,
        english=english_forms[0],
        kinds=frozenset(kinds.split()) | {singular},
        english_plural=english_forms[1] if len(english_forms) > 1 else regular_plural(english_forms[0]),
        weak=weak,
    )


def regular_plural(singular: str) -> str:
    """The English plural by rule: churches, cities, dogs."""
    if singular.endswith(("s", "x", "ch", "sh")):
        return singular + "es"
    if singular.endswith("y") and singular[-2] not in "aeiou":
        return singular[:-1] + "ies"
    return singular + "s"


PEOPLE = [
    noun("der Lehrer, Lehrer = teacher", "person"),
    noun("die Lehrerin, Lehrerinnen = teacher", "person"),
    noun("der Arzt, Ärzte = doctor", "person"),
    noun("die Ärztin, Ärztinnen = doctor", "person"),
    noun("der Bäcker, Bäcker = baker", "person"),
    noun("der Student, Studenten = student", "person", weak=True),
    noun("die Studentin, Studentinnen = student", "person"),
    noun("der Nachbar, Nachbarn = neighbour", "person", weak=True),
    noun("die Nachbarin, Nachbarinnen = neighbour", "person"),
    noun("der Kollege, Kollegen = colleague", "person", weak=True),
    noun("der Polizist, Polizisten = policeman, policemen", "person", weak=True),
    noun("die Sängerin, Sängerinnen = singer", "person"),
    noun("der Freund, Freunde = friend", "person"),
    noun("der Mann, Männer = man, men", "person unowned"),
    noun("die Frau, Frauen = woman, women", "person unowned"),
    noun("der Junge, Jungen = boy", "person young unowned", weak=True),
    noun("das Mädchen, Mädchen = girl", "person young unowned"),
    noun("das Kind, Kinder = child, children", "person young"),
]

FAMILY = [
    noun("der Vater, Väter = father", "person family"),
    noun("die Mutter, Mütter = mother", "person family"),
    noun("der Bruder, Brüder = brother", "person family"),
    noun("die Schwester, Schwestern = sister", "person family"),
    noun("der Onkel, Onkel = uncle", "person family"),
    noun("die Tante, Tanten = aunt", "person family"),
    noun("der Großvater, Großväter = grandfather", "person family"),
    noun("die Großmutter, Großmütter = grandmother", "person family"),
    noun("der Sohn, Söhne = son", "person family"),
    noun("die Tochter, Töchter = daughter", "person family"),
]

ANIMALS = [
    noun("der Hund, Hunde = dog", "animal"),
    noun("die Katze, Katzen = cat", "animal"),
    noun("das Pferd, Pferde = horse", "animal"),
    noun("der Vogel, Vögel = bird", "animal"),
    noun("die Kuh, Kühe = cow", "animal"),
]

THINGS = [
    noun("das Buch, Bücher = book", "thing text small"),
    noun("der Brief, Briefe = letter", "text small"),
    noun("die Zeitung, Zeitungen = newspaper", "thing text small"),
    noun("der Schlüssel, Schlüssel = key", "small"),
    noun("die Tasche, Taschen = bag", "thing small"),
    noun("die Uhr, Uhren = watch", "thing machine small"),
    noun("der Koffer, Koffer = suitcase", "thing small box"),
    noun("der Regenschirm, Regenschirme = umbrella", "thing small"),
    noun("die Flasche, Flaschen = bottle", "small box"),
    noun("der Ball, Bälle = ball", "thing small toy"),
    noun("die Blume, Blumen = flower", "thing small plant"),
    noun("der Baum, Bäume = tree", "plant"),
    noun("das Bild, Bilder = picture", "thing small"),
    noun("die Lampe, Lampen = lamp", "thing machine furniture"),
    noun("der Computer, Computer = computer", "thing machine"),
    noun("der Tisch, Tische = table", "thing furniture"),
    noun("der Küchentisch, Küchentische = kitchen table", "thing furniture"),
    noun("der Stuhl, Stühle = chair", "thing furniture"),
    noun("der Gartenstuhl, Gartenstühle = garden chair", "thing furniture"),
    noun("das Bett, Betten = bed", "thing furniture"),
    noun("der Schrank, Schränke = cupboard", "thing furniture"),
    noun("das Fenster, Fenster = window", "opening"),
    noun("die Tür, Türen = door", "opening"),
    noun("die Haustür, Haustüren = front door", "opening"),
    noun("das Hemd, Hemden = shirt", "thing clothes"),
    noun("das Kleid, Kleider = dress", "thing clothes"),
    noun("der Mantel, Mäntel = coat", "thing clothes"),
    noun("der Wintermantel, Wintermäntel = winter coat", "thing clothes"),
    noun("die Jacke, Jacken = jacket", "thing clothes"),
    noun("der Hut, Hüte = hat", "thing clothes"),
    noun("das Auto, Autos = car", "thing vehicle machine"),
    noun("das Fahrrad, Fahrräder = bicycle", "thing vehicle machine"),
    noun("das Schiff, Schiffe = ship", "vehicle"),
    noun("der Bus, Busse = bus", "vehicle transport"),
    noun("der Zug, Züge = train", "vehicle transport"),
]

FOOD = [
    noun("der Apfel, Äpfel = apple", "food fruit"),
    noun("die Birne, Birnen = pear", "food fruit"),
    noun("das Ei, Eier = egg", "food"),
    noun("die Kartoffel, Kartoffeln = potato, potatoes", "food cooked"),
    noun("der Kuchen, Kuchen = cake", "food baked"),
    noun("der Apfelkuchen, Apfelkuchen = apple cake", "food baked"),
    noun("das Brot, - = bread", "food baked mass"),
    noun("der Käse, - = cheese", "food mass"),
    noun("die Suppe, - = soup", "food cooked mass"),
    noun("der Kaffee, - = coffee", "drink mass"),
    noun("der Tee, - = tea", "drink mass"),
    noun("das Wasser, - = water", "drink mass"),
    noun("die Milch, - = milk", "drink mass"),
]

BUILDINGS = [
    noun("das Haus, Häuser = house", "building built home"),
    noun("die Kirche, Kirchen = church", "building built sight"),
    noun("die Schule, Schulen = school", "building built"),
    noun("die Brücke, Brücken = bridge", "building built"),
    noun("das Museum, Museen = museum", "building built sight"),
    noun("das Krankenhaus, Krankenhäuser = hospital", "building built"),
    noun("das Hotel, Hotels = hotel", "building built"),
    noun("die Stadt, Städte = town", "building sight"),
    noun("das Dorf, Dörfer = village", "building sight"),
]

NOUNS = PEOPLE + FAMILY + ANIMALS + THINGS + FOOD + BUILDINGS


def nouns_of_kind(*kinds: str) -> list[Noun]:
    """All nouns that are of at least one of these kinds."""
    wanted = frozenset(kinds)
    return [entry for entry in NOUNS if entry.kinds & wanted]


def noun_named(german: str) -> Noun:
    """The noun with this German singular."""
    return next(entry for entry in NOUNS if entry.german == german)
