"""Number words of both languages."""

from __future__ import annotations

GERMAN_UNITS = [
    *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    *("zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
]
GERMAN_TENS = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
ENGLISH_UNITS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
ENGLISH_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ENGLISH_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def german_cardinal(value: int) -> str:
    """A number from 0 to 9,999 in German words, one word each: dreiundzwanzig, zweihundert."""
    for size, name in ((1000, "tausend"), (100, "hundert")):
        if value >= size:
            count, rest = divmod(value, size)
            return (german_cardinal(count) if count > 1 else "") + name + (german_cardinal(rest) if rest else "")
    if value < 20:
        return GERMAN_UNITS[value]
    tens, unit = divmod(value, 10)
    if unit == 0:
        return GERMAN_TENS[tens]
    return ("ein" if unit == 1 else GERMAN_UNITS[unit]) + "und" + GERMAN_TENS[tens]


def english_cardinal(value: int) -> str:
    """A number from 0 to 999,999 in British English words: one thousand two hundred and thirty-four."""
    if value >= 1000:
        thousands, rest = divmod(value, 1000)
        words = english_cardinal(thousands) + " thousand"
        if rest == 0:
            return words
        # "one thousand and five", but "one thousand two hundred and five": the "and" stands before the tens.
        return words + (" and " if rest < 100 else " ") + english_cardinal(rest)
    if value >= 100:
        hundreds, rest = divmod(value, 100)
        words = ENGLISH_UNITS[hundreds] + " hundred"
        return words if rest == 0 else words + " and " + english_cardinal(rest)
    if value < 20:
        return ENGLISH_UNITS[value]
    tens, unit = divmod(value, 10)
    return ENGLISH_TENS[tens] + ("-" + ENGLISH_UNITS[unit] if unit else "")


def english_ordinal(value: int) -> str:
    """An ordinal in English words: twenty-third."""
    words = english_cardinal(value)
    for mark in ("-", " "):
        if mark in words:
            head, _, last = words.rpartition(mark)
            return head + mark + ordinal_word(last)
    return ordinal_word(words)


def ordinal_word(cardinal: str) -> str:
    """The ordinal of a single number word."""
    if cardinal in ENGLISH_ORDINALS:
        return ENGLISH_ORDINALS[cardinal]
    if cardinal.endswith("y"):
        return cardinal[:-1] + "ieth"
    return cardinal + "th"


def ordinal_suffix(value: int) -> str:
    """The letters after the digits: 1st, 2nd, 3rd, 4th, 11th, 21st."""
    if value % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
