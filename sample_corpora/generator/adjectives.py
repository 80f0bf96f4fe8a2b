"""Adjectives of both languages and what they can be said of."""

from __future__ import annotations

from dataclasses import dataclass

from .nouns import Noun


@dataclass(frozen=True)
class Adjective:
    """An adjective. `stem` takes the endings (teuer, ein teures Auto); empty comparatives are never used."""

    german: str
    stem: str
    english: str
    kinds: frozenset[str]
    german_comparative: str = ""
    english_comparative: str = ""


def adjective(words: str, kinds: str, comparative: str = "", stem: str = "") -> Adjective:
    """Read `alt = old` and, for the comparative, `älter = older`."""
    german, english = (side.strip() for side in words.split("="))
    more_german, more_english = (side.strip() for side in comparative.split("=")) if comparative else ("", "")
    return Adjective(german, stem or german, english, frozenset(kinds.split()), more_german, more_english)


ADJECTIVES = [
    adjective("neu = new", "thing opening building transport", "neuer = newer"),
    adjective("alt = old", "grown animal thing building plant opening vehicle", "älter = older"),
    adjective(
        "groß = big",
        "animal thing building plant opening vehicle fruit Kuchen Apfelkuchen Kartoffel",
        "größer = bigger",
    ),
    adjective("klein = small", "animal thing building plant opening vehicle fruit", "kleiner = smaller"),
    adjective("rot = red", "thing opening Apfel transport"),
    adjective("blau = blue", "thing opening vehicle"),
    adjective("grün = green", "thing opening Apfel vehicle Birne"),
    adjective("schwarz = black", "thing animal"),
    adjective("weiß = white", "thing animal Haus opening vehicle"),
    adjective("schön = beautiful", "thing animal building plant", "schöner = more beautiful"),
    adjective("teuer = expensive", "thing Hotel", "teurer = more expensive", stem="teur"),
    adjective("billig = cheap", "thing Hotel", "billiger = cheaper"),
    adjective("schwer = heavy", "furniture Koffer Tasche Computer", "schwerer = heavier"),
    adjective("interessant = interesting", "text Bild Museum Stadt", "interessanter = more interesting"),
    adjective("jung = young", "youthful animal", "jünger = younger"),
    adjective("freundlich = friendly", "person Hund", "freundlicher = friendlier"),
    adjective("müde = tired", "person", "müder = more tired", stem="müd"),
    adjective("krank = sick", "person animal"),
    adjective("glücklich = happy", "person", "glücklicher = happier"),
    adjective("reich = rich", "person", "reicher = richer"),
    adjective("stark = strong", "person Pferd Kaffee Tee", "stärker = stronger"),
    adjective("klug = clever", "person animal", "klüger = cleverer"),
    adjective("berühmt = famous", "Ärztin Sängerin Museum Kirche Hotel Brücke Bild"),
    adjective("frisch = fresh", "food Milch Wasser"),
    adjective("heiß = hot", "Suppe Kaffee Tee Wasser"),
    adjective("kalt = cold", "drink Suppe"),
    adjective("leer = empty", "box Bus Zug Haus Schrank"),
    adjective("schnell = fast", "vehicle Pferd", "schneller = faster"),
    adjective("schmutzig = dirty", "clothes vehicle opening Hund"),
]


# What a thing is or is not, but not very or too.
UNGRADED = frozenset({"rot", "blau", "grün", "schwarz", "weiß", "leer", "neu"})
# What one is glad to hear of a thing or person, and what not; the rest is neutral.
WELCOME = frozenset(
    ("neu", "schön", "billig", "interessant", "jung", "freundlich", "glücklich", "reich", "stark", "klug", "schnell")
)
UNWELCOME = frozenset(("alt", "klein", "teuer", "schwer", "müde", "krank", "leer", "schmutzig"))


def opposed(first: Adjective, second: Adjective) -> bool:
    """Whether but fits between the two: old but beautiful."""
    return (first.german in WELCOME and second.german in UNWELCOME) or (
        first.german in UNWELCOME and second.german in WELCOME
    )


def adjectives_for(noun: Noun) -> list[Adjective]:
    """The adjectives that go with this noun."""
    return [entry for entry in ADJECTIVES if entry.kinds & noun.kinds]
