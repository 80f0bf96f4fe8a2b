"""Numbers, dates, times and amounts as they are said and as they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .dice import Dice
from .numbers import ENGLISH_UNITS, english_cardinal, english_ordinal, ordinal_suffix

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
PARTS_OF_DAY = {"in the morning": "am", "in the afternoon": "pm", "in the evening": "pm"}


@dataclass(frozen=True)
class Spoken:
    """One expression: what is said and the only way to write it."""

    raw: str
    norm: str


def written(value: int) -> str:
    """Digits with a comma before the last three: 23,406."""
    return f"{value:,}"


def said(dice: Dice, value: int) -> str:
    """The number in words; a hundred and a thousand for one hundred and one thousand half of the time."""
    words = english_cardinal(value)
    if words.startswith(("one hundred", "one thousand")) and dice.chance(0.5):
        return "a" + words.removeprefix("one")
    return words


def small(dice: Dice, low: int, high: int) -> Spoken:
    """A cardinal number between two bounds."""
    value = dice.integer(low, high)
    return Spoken(said(dice, value), written(value))


def count(dice: Dice) -> Spoken:
    """How many: two or more, small numbers as likely as large ones."""
    return small(dice, *dice.choice(((2, 20), (21, 99), (100, 999))))


def large(dice: Dice) -> Spoken:
    """A number of four to six digits, round ones as often as others."""
    low, high = dice.choice(((1000, 9999), (10_000, 99_999), (100_000, 999_999)))
    value = dice.integer(low, high)
    step = dice.choice((1, 1, 10, 100, 1000))
    return Spoken(said(dice, value - value % step), written(value - value % step))


def ordinal(dice: Dice) -> Spoken:
    """A rank, one of three below the thirteenth, whose forms are irregular."""
    return rank(dice.integer(1, 12) if dice.chance(0.3) else dice.integer(13, 120))


def rank(value: int) -> Spoken:
    """The twenty-third, the 23rd."""
    return Spoken(english_ordinal(value), f"{value}{ordinal_suffix(value)}")


def year_words(value: int) -> str:
    """A year as it is said: nineteen oh five, two thousand and five, twenty fifteen."""
    century, rest = divmod(value, 100)
    if century == 20 and rest < 10:
        return english_cardinal(value)
    if rest == 0:
        return english_cardinal(century) + " hundred"
    return f"{english_cardinal(century)} {'oh ' if rest < 10 else ''}{english_cardinal(rest)}"


def year(dice: Dice) -> Spoken:
    """A year, without the comma that other numbers have."""
    value = dice.integer(1900, 2024) if dice.chance(0.8) else dice.integer(1400, 1899)
    return Spoken(year_words(value), str(value))


def date(dice: Dice) -> Spoken:
    """A day of the year, with or without the year: the fourth of May, May the fourth."""
    number = dice.integer(0, 11)
    day = dice.integer(1, MONTH_DAYS[number])
    month = MONTHS[number]
    raw = f"the {english_ordinal(day)} of {month}" if dice.chance(0.65) else f"{month} the {english_ordinal(day)}"
    if dice.chance(0.55):
        return Spoken(raw, f"{day} {month}")
    which = year(dice)
    return Spoken(f"{raw} {which.raw}", f"{day} {month} {which.norm}")


def clock_words(dice: Dice, hour: int, minute: int) -> str:
    """A time of day in one of the ways it is said."""
    this, following = english_cardinal(hour), english_cardinal(hour % 12 + 1)
    if minute == 0:
        return f"{this} o'clock"
    if dice.chance(0.3):
        return f"{this} {'oh ' if minute < 10 else ''}{english_cardinal(minute)}"
    if minute == 30:
        return f"half past {this}"
    minutes = minute if minute < 30 else 60 - minute
    words = "a quarter" if minutes == 15 else english_cardinal(minutes)
    return f"{words} past {this}" if minute < 30 else f"{words} to {following}"


def clock(dice: Dice) -> Spoken:
    """A time to five minutes: half past seven in the evening, 7:30 pm."""
    hour, minute = dice.integer(1, 12), 5 * dice.integer(0, 11)
    raw, norm = clock_words(dice, hour, minute), f"{hour}:{minute:02d}"
    if dice.chance(0.5):
        return Spoken(raw, norm)
    part, low, high = dice.choice((("morning", 5, 10), ("afternoon", 1, 4), ("evening", 6, 10)))
    hour = dice.integer(low, high)
    phrase = f"in the {part}"
    return Spoken(f"{clock_words(dice, hour, minute)} {phrase}", f"{hour}:{minute:02d} {PARTS_OF_DAY[phrase]}")


def money(dice: Dice) -> Spoken:
    """An amount of money, with its sign in front and cents after the point."""
    whole = dice.choice((dice.integer(2, 20), dice.integer(21, 99), dice.integer(100, 999), 100 * dice.integer(10, 99)))
    name, part, sign = dice.choice((("euros", "cents", "€"), ("pounds", "pence", "£"), ("dollars", "cents", "$")))
    raw, norm = f"{said(dice, whole)} {name}", f"{sign}{written(whole)}"
    if whole > 99 or dice.chance(0.5):
        return Spoken(raw, norm)
    cents = dice.integer(2, 99)
    joint = f" and {english_cardinal(cents)} {part}"
    if cents > 9 and dice.chance(0.5):
        joint = f" {english_cardinal(cents)}"
    return Spoken(raw + joint, f"{norm}.{cents:02d}")


def decimal(dice: Dice, high: int) -> Spoken:
    """A number with one or two places after the point, or a half."""
    whole = dice.integer(1, high)
    if dice.chance(0.3):
        return Spoken(f"{english_cardinal(whole)} and a half", f"{whole}.5")
    places = [dice.integer(1, 9) for _ in range(dice.integer(1, 2))]
    return Spoken(
        f"{english_cardinal(whole)} point {' '.join(ENGLISH_UNITS[digit] for digit in places)}",
        f"{whole}.{''.join(map(str, places))}",
    )


def measured(raw_unit: str, norm_unit: str, high: int) -> Callable[[Dice], Spoken]:
    """Amounts of a unit that is written as a symbol."""

    def amount(dice: Dice) -> Spoken:
        value = decimal(dice, min(high, 30)) if dice.chance(0.35) else small(dice, 2, high)
        return Spoken(f"{value.raw} {raw_unit}", f"{value.norm}{norm_unit}")

    return amount


def temperature(dice: Dice) -> Spoken:
    """Degrees, above and below zero."""
    value = dice.integer(2, 38)
    below = dice.chance(0.4)
    words = english_cardinal(value)
    return Spoken(f"{'minus ' if below else ''}{words} degrees", f"{'-' if below else ''}{value} °C")


def digit_string(dice: Dice) -> Spoken:
    """A telephone number said digit by digit; twice the same is double."""
    digits = [0, *(dice.integer(0, 9) for _ in range(dice.integer(4, 6)))]
    said_digits: list[str] = []
    position = 0
    while position < len(digits):
        word = "oh" if digits[position] == 0 else ENGLISH_UNITS[digits[position]]
        twice = position + 1 < len(digits) and digits[position + 1] == digits[position]
        said_digits.append(f"double {word}" if twice else word)
        position += 2 if twice else 1
    return Spoken(" ".join(said_digits), "".join(map(str, digits)))


def score(dice: Dice) -> Spoken:
    """The result of a match: three nil, 3-0."""
    low = dice.integer(0, 6)
    high = low + dice.integer(1, 4)
    words = [english_cardinal(value) if value else "nil" for value in (high, low)]
    return Spoken(" ".join(words), f"{high}-{low}")


# Fractions in lowest terms.
FRACTIONS = {"third": (3, (1, 2)), "quarter": (4, (1, 3)), "fifth": (5, (1, 2, 3, 4)), "tenth": (10, (1, 3, 7, 9))}


def fraction(dice: Dice) -> Spoken:
    """A part of a whole: two thirds, 2/3."""
    name = dice.choice(list(FRACTIONS))
    below, numerators = FRACTIONS[name]
    above = dice.choice(numerators)
    words = "a" if above == 1 and dice.chance(0.5) else english_cardinal(above)
    return Spoken(f"{words} {name}{'s' if above > 1 else ''}", f"{above}/{below}")
