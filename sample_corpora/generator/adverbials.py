"""When and where: adverbials of both languages, with dates, times of day and numbers."""

from __future__ import annotations

from .clauses import Tense
from .dice import Dice
from .numbers import english_cardinal, german_cardinal
from .phrases import Pair


def pairs(lines: str) -> list[Pair]:
    """Read `gestern = yesterday; morgen = tomorrow`."""
    sides = [entry.split(" = ") for entry in " ".join(lines.split()).split("; ")]
    return [Pair(german, english) for german, english in sides]


RECENT = pairs(
    """gestern = yesterday; gestern Abend = yesterday evening; heute Morgen = this morning; letzte Woche = last week;
    vorgestern = the day before yesterday"""
)
PAST = RECENT + pairs("letzten Sommer = last summer; letzten Winter = last winter; letztes Jahr = last year")
COMING = pairs(
    """morgen = tomorrow; morgen Abend = tomorrow evening; heute Abend = this evening; nächste Woche = next week;
    nächsten Sommer = next summer; nächstes Jahr = next year; übermorgen = the day after tomorrow; bald = soon"""
)
REPEATED = pairs(
    """jeden Tag = every day; jeden Morgen = every morning; jeden Abend = every evening; jede Woche = every week;
    am Wochenende = at the weekend; im Sommer = in summer; im Winter = in winter"""
)
OFTEN = pairs("oft = often; manchmal = sometimes; immer = always; selten = rarely; nie = never")
WEEKDAYS = pairs(
    """Montag = Monday; Dienstag = Tuesday; Mittwoch = Wednesday; Donnerstag = Thursday; Freitag = Friday;
    Samstag = Saturday; Sonntag = Sunday"""
)
MONTHS = pairs(
    """Januar = January; Februar = February; März = March; April = April; Mai = May; Juni = June; Juli = July;
    August = August; September = September; Oktober = October; November = November; Dezember = December"""
)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
SPANS = pairs("Tagen = days; Wochen = weeks; Monaten = months; Jahren = years")
FIRST_YEAR, LAST_YEAR = 1985, 2024

# Where something happens, and where someone goes.
AT = {
    pair.german: pair
    for pair in pairs(
        """im Park = in the park; im Garten = in the garden; in der Küche = in the kitchen; in der Schule = at school;
        im Büro = in the office; im Kino = at the cinema; in der Bibliothek = at the library;
        auf dem Markt = at the market; am Bahnhof = at the station; im Krankenhaus = in the hospital;
        zu Hause = at home; am See = by the lake; im See = in the lake; im Restaurant = in the restaurant;
        im Zug = on the train; im Bus = on the bus"""
    )
}
TO = pairs(
    """in den Park = to the park; in den Garten = into the garden; in die Küche = into the kitchen;
    in die Schule = to school; ins Büro = to the office; ins Kino = to the cinema; in die Bibliothek = to the library;
    auf den Markt = to the market; zum Bahnhof = to the station; ins Krankenhaus = to the hospital;
    nach Hause = home; zum See = to the lake; ins Restaurant = to the restaurant"""
)
CITIES = pairs(
    """Berlin = Berlin; Hamburg = Hamburg; Köln = Cologne; München = Munich; Wien = Vienna; Paris = Paris; Rom = Rome;
    London = London; Prag = Prague; Warschau = Warsaw"""
)

# What is done where, by German infinitive with its prefix.
USUAL_PLACES = {
    "kaufen": ("auf dem Markt", "am Bahnhof"),
    "verkaufen": ("auf dem Markt", "am Bahnhof"),
    "lesen": ("zu Hause", "im Park", "in der Bibliothek", "im Garten", "im Zug", "in der Schule"),
    "schreiben": ("zu Hause", "im Büro", "in der Bibliothek", "im Zug"),
    "essen": ("in der Küche", "im Restaurant", "im Garten", "zu Hause", "im Zug", "im Park", "in der Schule"),
    "trinken": ("in der Küche", "im Restaurant", "im Garten", "zu Hause", "im Büro", "am Bahnhof"),
    "kochen": ("in der Küche", "zu Hause"),
    "treffen": ("im Park", "am Bahnhof", "auf dem Markt", "im Kino", "am See", "im Restaurant", "in der Bibliothek"),
    "sehen": ("im Park", "am Bahnhof", "auf dem Markt", "am See", "im Garten"),
    "vergessen": ("im Bus", "im Zug", "im Büro", "im Restaurant", "zu Hause", "in der Schule", "im Kino"),
    "verlieren": ("im Bus", "im Park", "auf dem Markt", "am See", "am Bahnhof"),
    "finden": ("im Bus", "im Zug", "im Garten", "im Park", "am See"),
    "suchen": ("im Garten", "in der Küche", "im Park", "am Bahnhof", "zu Hause"),
    "malen": ("im Garten", "am See", "zu Hause", "in der Schule"),
    "zeichnen": ("im Park", "am See", "zu Hause", "in der Schule"),
    "waschen": ("am See", "im Garten", "zu Hause"),
    "reparieren": ("im Garten", "zu Hause"),
    "helfen": ("im Garten", "in der Küche", "im Büro", "auf dem Markt", "in der Schule"),
    "warten": ("am Bahnhof", "im Park", "zu Hause", "im Restaurant"),
    "sprechen": ("im Park", "im Büro", "auf dem Markt", "in der Schule", "im Krankenhaus"),
    "spielen": ("im Garten", "im Park", "am See", "zu Hause"),
    "arbeiten": ("im Büro", "im Krankenhaus", "zu Hause", "im Garten", "in der Küche", "auf dem Markt"),
    "schlafen": ("zu Hause", "im Garten", "im Zug", "im Park"),
    "singen": ("im Park", "in der Schule", "zu Hause", "in der Küche"),
    "lachen": ("in der Schule", "im Kino", "im Büro"),
    "schwimmen": ("im See",),
    "einschlafen": ("im Zug", "im Bus", "im Kino", "im Büro"),
    "einkaufen": ("auf dem Markt",),
}


def number(dice: Dice, low: int, high: int) -> Pair:
    """A number in words on both sides; up to 31, which dates need anyway, one in five in digits."""
    value = dice.integer(low, high)
    if value <= 31 and dice.chance(0.2):
        return Pair(str(value), str(value))
    return Pair(german_cardinal(value), english_cardinal(value))


def date(dice: Dice, *, with_year: bool, last_year: int = LAST_YEAR) -> Pair:
    """On a day of a month: am 4. Mai 1987, on 4 May 1987."""
    month = dice.integer(0, 11)
    day = dice.integer(1, MONTH_DAYS[month])
    year = f" {dice.integer(FIRST_YEAR, last_year)}" if with_year else ""
    return Pair(f"am {day}. {MONTHS[month].german}{year}", f"on {day} {MONTHS[month].english}{year}")


def clock(dice: Dice) -> Pair:
    """A time of day; German counts the half hour towards the next hour: halb acht is half past seven."""
    hour = dice.integer(1, 12)
    following = hour % 12 + 1
    word, english = german_cardinal(hour), english_cardinal(hour)
    forms = [
        (3.0, Pair(f"um {'ein' if hour == 1 else word} Uhr", f"at {english} o'clock")),
        (3.0, Pair(f"um halb {german_cardinal(following)}", f"at half past {english}")),
        (1.5, Pair(f"um Viertel nach {word}", f"at a quarter past {english}")),
        (1.5, Pair(f"um Viertel vor {word}", f"at a quarter to {english}")),
        (2.0, clock_in_digits(dice.integer(7, 22))),
    ]
    return dice.weighted(forms)


def clock_in_digits(hour: int) -> Pair:
    """The full hour from the German 24-hour clock: um 15 Uhr, at 3 pm."""
    english = "12 noon" if hour == 12 else f"{hour} am" if hour < 12 else f"{hour - 12} pm"
    return Pair(f"um {hour} Uhr", f"at {english}")


def ago(dice: Dice, spans: list[Pair]) -> Pair:
    """Vor drei Tagen, three days ago."""
    span = dice.choice(spans)
    value = number(dice, 2, 40 if span.english == "years" else 12)
    return Pair(f"vor {value.german} {span.german}", f"{value.english} {span.english} ago")


def hence(dice: Dice) -> Pair:
    """In drei Tagen, in three days."""
    span = dice.choice(SPANS)
    value = number(dice, 2, 12)
    return Pair(f"in {value.german} {span.german}", f"in {value.english} {span.english}")


def weekday(dice: Dice) -> Pair:
    """Am Montag, on Monday."""
    day = dice.choice(WEEKDAYS)
    return Pair(f"am {day.german}", f"on {day.english}")


def month(dice: Dice) -> Pair:
    """Im Mai, in May."""
    name = dice.choice(MONTHS)
    return Pair(f"im {name.german}", f"in {name.english}")


def year(dice: Dice, *, last_year: int = LAST_YEAR) -> Pair:
    """Im Jahr 1987, in 1987."""
    value = dice.integer(FIRST_YEAR, last_year)
    return Pair(f"im Jahr {value}", f"in {value}")


def past_time(dice: Dice, *, long_ago: bool = True) -> Pair:
    """When something happened."""
    years = 1.0 if long_ago else 0.0
    return dice.weighted(
        [
            (6.0, dice.choice(PAST if long_ago else RECENT)),
            (1.5, weekday(dice)),
            (2.0, ago(dice, SPANS if long_ago else SPANS[:2])),
            (0.8 * years, month(dice)),
            (1.0 * years, year(dice)),
            (1.0, date(dice, with_year=False)),
            (1.2 * years, date(dice, with_year=True)),
        ]
    )


def coming_time(dice: Dice) -> Pair:
    """When something will happen."""
    return dice.weighted(
        [
            (5.0, dice.choice(COMING)),
            (1.5, weekday(dice)),
            (1.2, hence(dice)),
            (0.7, month(dice)),
            (1.0, date(dice, with_year=False)),
        ]
    )


def repeated_time(dice: Dice) -> Pair:
    """How regularly something happens, in a phrase that may stand first."""
    if dice.chance(0.2):
        day = dice.choice(WEEKDAYS)
        return Pair(f"jeden {day.german}", f"every {day.english}")
    return dice.choice(REPEATED)


def time_for(dice: Dice, tense: Tense, *, past: bool = False, long_ago: bool = False) -> Pair:
    """An adverbial of time that suits the tense; `past` for a modal verb in the past."""
    if tense in (Tense.PRETERITE, Tense.PERFECT, Tense.PLUPERFECT) or past:
        return past_time(dice, long_ago=long_ago)
    if tense is Tense.NOW:
        return Pair("jetzt", "now")
    if tense is Tense.HABIT:
        return repeated_time(dice)
    return coming_time(dice)
