"""The monolingual corpus: English sentences whose words keep the company that gives them meaning.

Countries share sentences with their capitals, kings with queens, the forms of a verb with each other;
the pairs differ in the same few words everywhere, which is what analogies are made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .actions import ACTION_FRAMES, ACTIONS, DEGREE_FRAMES, DEGREES
from .countries import CAPITAL_FRAMES, COUNTRIES, COUNTRY_FRAMES, SHARED_FRAMES
from .dice import Dice
from .frames import Row, fill
from .nature import (
    ANIMAL_FRAMES,
    ANIMALS,
    FOOD,
    FOOD_FRAMES,
    PLACE_FRAMES,
    PLACES,
    SEASON_FRAMES,
    SEASONS,
)
from .people import COUPLE_FRAMES, COUPLES, FEMALE, MALE, MOODS, PROFESSION_FRAMES, PROFESSIONS
from .split import WORD

TRAIN, VALID, TEST = 20_000, 500, 500
LEAST = 5
"""How often a word must occur to stay."""

QUESTIONS = 100
"""How many analogies are asked of each kind."""

COMMON: Row = {
    "name": [
        *("Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Isabel", "Jack", "Kate", "Leo"),
        *("Martha", "Nora", "Oscar", "Paula", "Robert", "Sarah", "Tom", "our neighbour", "my friend"),
    ],
    "past": ["last week", "yesterday", "last summer", "two years ago", "this morning", "last winter", "on {weekday}"],
    "future": ["tomorrow", "next week", "tonight", "next summer", "on {weekday}", "soon"],
    "often": ["every day", "from time to time", "again and again", "in the evening", "all year round", "at night"],
    "weekday": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "season": ["winter", "spring", "summer", "autumn"],
    "quality": ["beautiful", "better than before", "famous", "terrible", "well known", "strange", "wonderful"],
    "mood": MOODS,
    "meal": ["for breakfast", "for lunch", "for supper", "after dinner", "at the picnic"],
    "city": [name for row in COUNTRIES for name in row["city"]],
}


def about_country(dice: Dice) -> str:
    """A country or its capital."""
    row: Row = dice.choice(COUNTRIES)
    kind = dice.choice((COUNTRY_FRAMES, CAPITAL_FRAMES, SHARED_FRAMES))
    place = {"place": [*row["country"], *row["capital"]]}
    return fill(dice, dice.choice(kind), row, place, COMMON)


def about_couple(dice: Dice) -> str:
    """One of a couple: the same frames for him and for her."""
    row: Row = dice.choice(COUPLES)
    words, sex = (row["male"], MALE) if dice.chance(0.5) else (row["female"], FEMALE)
    return fill(dice, dice.choice(COUPLE_FRAMES), {"person": words}, row, sex, COMMON)


def about(dice: Dice, frames: Sequence[str], rows: Sequence[Row]) -> str:
    """A frame filled from one row of a table."""
    return fill(dice, dice.choice(frames), dice.choice(rows), COMMON)


def sentence(dice: Dice) -> str:
    """A sentence about anything."""
    topic = dice.weighted(
        [
            (30.0, "country"),
            (20.0, "couple"),
            (23.0, "action"),
            (9.0, "degree"),
            (8.0, "animal"),
            (5.0, "profession"),
            (4.0, "food"),
            (4.0, "place"),
            (2.0, "season"),
        ]
    )
    if topic == "country":
        return about_country(dice)
    if topic == "couple":
        return about_couple(dice)
    frames, rows = {
        "action": (ACTION_FRAMES, ACTIONS),
        "degree": (DEGREE_FRAMES, DEGREES),
        "animal": (ANIMAL_FRAMES, ANIMALS),
        "profession": (PROFESSION_FRAMES, PROFESSIONS),
        "food": (FOOD_FRAMES, FOOD),
        "place": (PLACE_FRAMES, PLACES),
        "season": (SEASON_FRAMES, SEASONS),
    }[topic]
    if topic == "place":
        # Some frames name a second place; the others' spots are there to be taken.
        spots = {"spot2": [spot for row in PLACES for spot in row["spot"]]}
        return fill(dice, dice.choice(frames), dice.choice(rows), spots, COMMON)
    return about(dice, frames, rows)


def split(dice: Dice) -> dict[str, list[str]]:
    """Train, valid and test, all lines different; valid and test hold no word that train lacks."""
    drawn = list(dict.fromkeys(sentence(dice) for _ in range(round(1.5 * (TRAIN + VALID + TEST)))))
    counts = Counter(word for line in drawn for word in WORD.findall(line.lower()))
    kept = [line for line in drawn if all(counts[word] >= LEAST for word in WORD.findall(line.lower()))]
    train = kept[:TRAIN]
    known = {word for line in train for word in WORD.findall(line.lower())}
    rest = [line for line in kept[TRAIN:] if known.issuperset(WORD.findall(line.lower()))]
    if len(train) < TRAIN or len(rest) < VALID + TEST:
        raise ValueError(f"too few sentences: {len(train)} to train, {len(rest)} to test")
    return {"train": train, "valid": rest[:VALID], "test": rest[VALID : VALID + TEST]}


def relations() -> dict[str, list[tuple[str, str]]]:
    """Pairs of words that stand in the same relation, by its name."""
    named = {
        "capitals": (COUNTRIES, "capital", "country"),
        "nationalities": (COUNTRIES, "country", "nationality"),
        "men and women": (COUPLES, "male", "female"),
        "plurals": ([*ANIMALS], "animal", "animals"),
        "third person": (ACTIONS, "base", "third"),
        "past": (ACTIONS, "base", "past_form"),
        "gerund": (ACTIONS, "base", "gerund"),
        "comparative": (DEGREES, "plain", "more"),
        "superlative": (DEGREES, "plain", "most"),
    }
    return {
        name: [(row[left][0], row[right][0]) for row in rows if row[left] != row[right]]
        for name, (rows, left, right) in named.items()
    }


def analogies(dice: Dice) -> str:
    """Questions `a b c d`, a is to b as c is to d, in the layout of word2vec's questions-words.txt."""
    text = ""
    for name, found in relations().items():
        asked = [(*one, *other) for one in found for other in found if one != other]
        text += f": {name}\n" + "".join(" ".join(words) + "\n" for words in dice.shuffled(asked)[:QUESTIONS])
    return text


def corpus(seed: int) -> dict[str, str]:
    """The files of the corpus by name."""
    dice = Dice(f"monolingual {seed}")
    parts = split(dice)
    files = {f"monolingual/{part}.txt": "".join(line + "\n" for line in found) for part, found in parts.items()}
    return {**files, "monolingual/analogies.txt": analogies(dice)}
