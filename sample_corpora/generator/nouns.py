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
    noun("der Lehrer, Lehrer = teacher", "person grown youthful"),
    noun("die Lehrerin, Lehrerinnen = teacher", "person grown youthful"),
    noun("der Arzt, Ärzte = doctor", "person grown youthful"),
    noun("die Ärztin, Ärztinnen = doctor", "person grown youthful"),
    noun("der Bäcker, Bäcker = baker", "person grown youthful"),
    noun("der Student, Studenten = student", "person grown youthful", weak=True),
    noun("die Studentin, Studentinnen = student", "person grown youthful"),
    noun("der Nachbar, Nachbarn = neighbour", "person grown youthful", weak=True),
    noun("die Nachbarin, Nachbarinnen = neighbour", "person grown youthful"),
    noun("der Kollege, Kollegen = colleague", "person grown youthful", weak=True),
    noun("der Polizist, Polizisten = policeman, policemen", "person grown youthful unowned", weak=True),
    noun("die Sängerin, Sängerinnen = singer", "person grown youthful unowned"),
    noun("der Freund, Freunde = friend", "person grown youthful"),
    noun("der Mann, Männer = man, men", "person grown youthful unowned"),
    noun("die Frau, Frauen = woman, women", "person grown youthful unowned"),
    noun("der Junge, Jungen = boy", "person youthful young unowned", weak=True),
    noun("das Mädchen, Mädchen = girl", "person youthful young unowned"),
    noun("das Kind, Kinder = child, children", "person youthful young"),
]

FAMILY = [
    noun("der Vater, Väter = father", "person grown youthful family"),
    noun("die Mutter, Mütter = mother", "person grown youthful family"),
    noun("der Bruder, Brüder = brother", "person grown youthful family"),
    noun("die Schwester, Schwestern = sister", "person grown youthful family"),
    noun("der Onkel, Onkel = uncle", "person grown youthful family"),
    noun("die Tante, Tanten = aunt", "person grown youthful family"),
    noun("der Großvater, Großväter = grandfather", "person grown family"),
    noun("die Großmutter, Großmütter = grandmother", "person grown family"),
    noun("der Sohn, Söhne = son", "person youthful family"),
    noun("die Tochter, Töchter = daughter", "person youthful family"),
]

ANIMALS = [
    noun("der Hund, Hunde = dog", "animal"),
    noun("die Katze, Katzen = cat", "animal"),
    noun("das Pferd, Pferde = horse", "animal"),
    noun("der Vogel, Vögel = bird", "animal"),
    noun("die Kuh, Kühe = cow", "animal"),
]

THINGS = [
    noun("das Buch, Bücher = book", "thing text small heap"),
    noun("der Brief, Briefe = letter", "text small heap"),
    noun("die Zeitung, Zeitungen = newspaper", "thing text small"),
    noun("der Schlüssel, Schlüssel = key", "small"),
    noun("die Tasche, Taschen = bag", "thing small"),
    noun("die Uhr, Uhren = watch", "thing machine small"),
    noun("der Koffer, Koffer = suitcase", "thing small box"),
    noun("der Regenschirm, Regenschirme = umbrella", "thing small"),
    noun("die Flasche, Flaschen = bottle", "small box heap"),
    noun("der Ball, Bälle = ball", "thing small toy"),
    noun("die Blume, Blumen = flower", "thing small plant heap"),
    noun("der Baum, Bäume = tree", "plant heap"),
    noun("das Bild, Bilder = picture", "thing small heap"),
    noun("die Lampe, Lampen = lamp", "thing machine furniture"),
    noun("der Computer, Computer = computer", "thing machine"),
    noun("der Tisch, Tische = table", "thing furniture"),
    noun("der Küchentisch, Küchentische = kitchen table", "thing furniture"),
    noun("der Stuhl, Stühle = chair", "thing furniture heap"),
    noun("der Gartenstuhl, Gartenstühle = garden chair", "thing furniture"),
    noun("das Bett, Betten = bed", "thing furniture"),
    noun("der Schrank, Schränke = cupboard", "thing furniture"),
    noun("das Fenster, Fenster = window", "opening heap"),
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
    noun("der Apfel, Äpfel = apple", "food fruit heap"),
    noun("die Birne, Birnen = pear", "food fruit heap"),
    noun("das Ei, Eier = egg", "food heap"),
    noun("die Kartoffel, Kartoffeln = potato, potatoes", "food cooked heap"),
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
