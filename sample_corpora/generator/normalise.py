"""The normalisation corpus: sentences with numbers as they are said, and the same as they are written.

Everything outside the number expressions is copied, and some words only look like numbers: `no one`,
`a second`, `at first`. Every line of valid and test has at
least one number expression that train lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import spoken
from .dice import Dice
from .spoken import Spoken

TRAIN, VALID, TEST = 5000, 300, 300
DRAWN = 7500
SLOT = re.compile(r"\{(\w+)\}")

# Slots filled with ordinary words, the same on both sides.
WORDS: dict[str, tuple[str, ...]] = {
    "name": (
        *("Alice", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Isabel", "Jack", "Kate", "Leo"),
        *("Martha", "Nora", "Oscar", "Paula", "Robert", "Sarah", "Tom", "Victor", "my aunt", "our neighbour"),
        *("the teacher", "the driver", "the baker", "her brother", "the new doctor"),
    ),
    "city": (
        *("London", "Paris", "Leeds", "Dublin", "Madrid", "Oslo", "Vienna", "Lisbon", "Boston", "Cairo", "Sydney"),
        *("Glasgow", "Bristol", "Prague", "Athens"),
    ),
    "place": (
        *("museum", "station", "library", "school", "market", "harbour", "theatre", "castle", "hospital", "hotel"),
        *("bridge", "church", "factory", "town hall"),
    ),
    "street": ("Mill Road", "Station Street", "Church Lane", "Park Avenue", "Bridge Street", "Garden Row"),
    "things": (
        *("books", "chairs", "tickets", "bottles", "lamps", "apples", "letters", "boxes", "candles", "stamps"),
        *("plates", "bicycles", "trees", "coats", "maps", "parcels"),
    ),
    "thing": ("coat", "table", "camera", "bicycle", "lamp", "ticket", "watch", "map", "guitar", "carpet", "cake"),
    "people": ("people", "children", "visitors", "students", "workers", "passengers", "guests", "players"),
    "event": ("concert", "wedding", "match", "meeting", "party", "lecture", "exhibition"),
    "good": ("bread", "cheese", "flour", "paper", "rice", "sugar"),
    "liquid": ("milk", "oil", "petrol", "water"),
    "team": ("the home team", "the visitors", "our school", "the red team", "the girls"),
}

# Slots filled with numbers.
NUMBERS: dict[str, Callable[[Dice], Spoken]] = {
    "count": spoken.count,
    "large": spoken.large,
    "ordinal": spoken.ordinal,
    "floor": lambda dice: spoken.rank(dice.integer(1, 30)),
    "year": spoken.year,
    "date": spoken.date,
    "clock": spoken.clock,
    "money": spoken.money,
    "percent": spoken.measured("per cent", "%", 99),
    "distance": spoken.measured("kilometres", " km", 999),
    "walk": spoken.measured("kilometres", " km", 42),
    "height": spoken.measured("metres", " m", 300),
    "weight": spoken.measured("kilograms", " kg", 120),
    "volume": spoken.measured("litres", " l", 90),
    "speed": spoken.measured("kilometres an hour", " km/h", 250),
    "degrees": spoken.temperature,
    "phone": spoken.digit_string,
    "score": spoken.score,
    "fraction": spoken.fraction,
    "room": lambda dice: spoken.small(dice, 1, 499),
    "age": lambda dice: spoken.small(dice, 2, 104),
}

CLAUSES = [
    line.strip()
    for line in """
    {name} paid {money} for the {thing}
    {name} sold the old {thing} for {money}
    {name} bought {count} {things} for {money}
    {name} ordered {count} {things} on {date}
    the {thing} cost {money} in {city}
    a bill of {money} arrived on {date}
    {name} found {money} in front of the {place}
    the {ordinal} train to {city} left at {clock}
    the bus from {city} arrived at {clock}
    {name} met the {people} at {clock}
    the {event} began at {clock} and ended at {clock}
    the {place} opened at {clock} on {date}
    {name} got up at {clock}
    {name} was born on {date}
    {name} moved to {city} in {year}
    {name} came back from {city} on {date}
    the {place} in {city} was built in {year}
    the {event} of {year} was the {ordinal} in {city}
    the old {place} burnt down on {date}
    {name} celebrated the {ordinal} birthday of {name}
    {name} finished {ordinal} in the race
    {name} was the {ordinal} visitor to the {place}
    {name} lived on the {floor} floor of the hotel
    {count} {people} came to the {event}
    {count} {people} waited for {name} in {city}
    {large} {people} visited the {place} in {year}
    the town near {city} had {large} inhabitants in {year}
    the factory made {large} {things} and sold {large}
    the library in {city} owned {large} books
    the price of {good} rose by {percent}
    the price of {good} fell from {money} to {money}
    {percent} of the {people} came from {city}
    {fraction} of the {people} stayed until {clock}
    {fraction} of the {things} were sold by {date}
    {name} ran {walk} before breakfast
    {name} drove {distance} to {city} on {date}
    the road from {city} to {city} is {distance} long
    the tower of the {place} is {height} high
    {name} swam {height} and ran {walk}
    the parcel for {name} weighed {weight}
    {name} carried {weight} of {good} to the {place}
    {name} poured {volume} of {liquid} into the tank
    the train to {city} reached {speed}
    {name} was stopped at {speed} near {city}
    the temperature in {city} fell to {degrees}
    it was {degrees} in {city} at {clock}
    {name} can be reached on {phone}
    the number of the {place} is {phone}
    {name} waited in room {room}
    the {event} took place in room {room} on the {floor} floor
    {name} lives at {room} {street}
    the shop at {room} {street} closed in {year}
    {name} is {age} years old
    {name} turned {age} in {year}
    {team} won {score} in {city}
    {team} lost {score} on {date}
    {name} read {count} pages by {clock}
    {name} was number {room} on the list
    no one in {city} knew {name}
    no one came to the {event} on {date}
    {name} waited a second at the door
    {name} may come to the {event} at {clock}
    at first {name} did not see the {people}
    one of the {things} was broken
    {name} wanted the {thing} at once
    {name} looked at the {thing} for a second
    the one with the red door is the {place}
    {name} and the {people} helped one another
    {name} took a second look at the {things}
    """.strip().splitlines()
]
JOINTS = (", and ", ", but ", "; ")


def fill(dice: Dice, clause: str) -> tuple[Spoken, list[str]]:
    """The clause with its slots filled, and the number expressions in it."""
    raw, norm, numbers, end = "", "", [], 0
    for slot in SLOT.finditer(clause):
        before = clause[end : slot.start()]
        kind = slot.group(1)
        if kind in WORDS:
            word = dice.choice(WORDS[kind])
            value = Spoken(word, word)
        else:
            value = NUMBERS[kind](dice)
            numbers.append(value.raw)
        raw, norm, end = raw + before + value.raw, norm + before + value.norm, slot.end()
    return Spoken(raw + clause[end:], norm + clause[end:]), numbers


def sentence(dice: Dice) -> tuple[Spoken, list[str]]:
    """One clause or two with a capital and a full stop."""
    first, numbers = fill(dice, dice.choice(CLAUSES))
    if dice.chance(0.25):
        second, more = fill(dice, dice.choice(CLAUSES))
        joint = dice.choice(JOINTS)
        first = Spoken(first.raw + joint + second.raw, first.norm + joint + second.norm)
        numbers = numbers + more
    return Spoken(capitalised(first.raw) + ".", capitalised(first.norm) + "."), numbers


def capitalised(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def split(dice: Dice) -> dict[str, list[Spoken]]:
    """Train, valid and test. Every line of the latter two holds a number expression that train lacks."""
    drawn: dict[str, tuple[Spoken, list[str]]] = {}
    for _ in range(DRAWN):
        pair, numbers = sentence(dice)
        drawn.setdefault(pair.raw, (pair, numbers))
    lines = list(drawn.values())
    everything = sorted({number for _, numbers in lines for number in numbers})
    held_out = set(dice.shuffled(everything)[: len(everything) // 10])
    train = [pair for pair, numbers in lines if held_out.isdisjoint(numbers)][:TRAIN]
    known = {word for pair in train for word in pair.raw.split()}
    new = [pair for pair, numbers in lines if not held_out.isdisjoint(numbers) and known.issuperset(pair.raw.split())]
    if len(train) < TRAIN or len(new) < VALID + TEST:
        raise ValueError(f"too few sentences: {len(train)} to train, {len(new)} to test")
    return {"train": train, "valid": new[:VALID], "test": new[VALID : VALID + TEST]}


def corpus(seed: int) -> dict[str, str]:
    """The files of the corpus by name."""
    files = {}
    for part, pairs in split(Dice(f"normalise {seed}")).items():
        files[f"normalise/{part}.raw"] = "".join(pair.raw + "\n" for pair in pairs)
        files[f"normalise/{part}.norm"] = "".join(pair.norm + "\n" for pair in pairs)
    return files
