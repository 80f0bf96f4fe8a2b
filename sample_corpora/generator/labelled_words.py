"""Words and frames of the labelled corpus.

A slot of a frame is filled from one of these tables; its name says which form the word takes. Other words of a frame
are in `TAGS`, or have their tag behind a slash: `answers/NOUN:Plur`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """What a topic talks about.

    Attributes:
        share: Its share of the sentences.
        things: Nouns that are acted upon.
        people: Nouns that act.
        places: Nouns of places.
        actions: Verbs that take one of the things as their object.
        qualities: Adjectives of the things.
    """

    share: float
    things: tuple[str, ...]
    people: tuple[str, ...]
    places: tuple[str, ...]
    actions: tuple[str, ...]
    qualities: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TOPICS: dict[str, Topic] = {
    "food": Topic(
        30,
        _words("soup bread cheese cake salad pie stew pancake dumpling omelet noodle sauce sandwich dish plate"),
        _words("cook baker waiter guest butcher farmer grocer dishwasher host"),
        _words("kitchen bakery restaurant market canteen garden pantry hall"),
        _words("bake taste fry serve boil order season salt share"),
        _words("fresh salty spicy sweet sour tasty greasy cold light warm"),
    ),
    "sport": Topic(
        25,
        _words("match race game final medal cup point title record tournament prize score"),
        _words("player coach runner keeper swimmer referee champion fan skater boxer jumper"),
        _words("stadium pool court track gym field arena hall"),
        _words("win lose celebrate miss watch earn enjoy play"),
        _words("tough easy close fair quick boring lucky late long"),
    ),
    "travel": Topic(
        20,
        _words("train ticket suitcase flight bus passport map tour cabin taxi ferry journey"),
        _words("passenger tourist driver pilot guide traveler sailor hiker porter"),
        _words("station airport harbor hotel border platform island track"),
        _words("book find need lose check share order miss"),
        _words("late crowded cheap empty long direct sleepless comfortable"),
    ),
    "music": Topic(
        15,
        _words("song concert piano guitar melody record album drum note violin opera score"),
        _words("singer drummer pianist band violinist composer choir flutist fan"),
        _words("hall studio theater stage club cellar arena"),
        _words("play hear practice record tune enjoy rehearse"),
        _words("loud soft slow quiet lively famous tuneful joyful light"),
    ),
    "weather": Topic(
        10,
        _words("storm cloud rain wind snowfall frost shower heatwave thunderstorm breeze"),
        _words("forecaster farmer sailor gardener fisher climber shepherd"),
        _words("valley coast field hill island forest mountain garden"),
        _words("predict fear watch expect notice measure survive"),
        _words("cold icy windy wet mild foggy endless sudden warm"),
    ),
}

GIVEN_NAMES = _words(
    "Anna Ben Clara David Emma Frank Grace Henry Isabel Jack Kate Leo Martha Nora Oscar Paula Robert Sarah Tom Victor "
    "Florence Victoria Lincoln Sydney"
)
FAMILY_NAMES = _words("Miller Baker Cook Hill Novak Larsen Moreau Weber Silva Olsen Fischer Taylor Woods Lincoln")
CITIES = _words(
    "London Paris Leeds Dublin Madrid Oslo Vienna Lisbon Boston Cairo Glasgow Prague Athens Florence Victoria Lincoln "
    "Sydney Warsaw"
)
COUNTRIES = _words("France Spain Norway Austria Portugal Egypt Greece Ireland Poland Italy Canada")
ORGANIZATIONS = (
    *("the University of {city}", "{city} Radio", "the {city} Times", "{family} and Sons", "{family} & {family}"),
    *("the Bank of {country}", "Radio {country}", "the Red Star", "{city} United", "the {family} Group"),
)
"""Organizations; their names can have cities and persons in them, which are not tagged as such."""

ROLES = _words("answer plan visit walk dream report call promise")
"""Words that are nouns and verbs."""

SPEECH = _words("say know think hope hear believe")
MANNERS = _words("quickly slowly quietly happily carefully rarely often gladly suddenly eagerly nervously")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
NUMBERS = _words("two three four five six seven eight nine ten twelve twenty 15 30 100")

IRREGULAR = {
    "win": "won", "lose": "lost", "find": "found", "hear": "heard", "say": "said", "know": "knew",
    "think": "thought",
}  # fmt: skip
"""Past tense of irregular verbs."""

TAGS: dict[str, str] = {
    word: tag
    for tag, words in {
        "DET": "the a every this some no",
        "ADP": "in at near from behind of after before during with for on without",
        "AUX": "is are was were will can must could would did does do",
        "PRON": "he she they it we who nobody everyone him her them his their",
        "CCONJ": "and but or",
        "SCONJ": "because when if although while",
        "ADV": "never again there yesterday today too very here soon not",
        "PART": "n't 's",
        "PUNCT": ". , ? !",
        "INTJ": "yes well oh",
    }.items()
    for word in words.split()
}
"""Tags of the words of frames; those of several parts of speech have their tag in the frame."""

FRAMES = (
    "the {person} {did} the {quality} {thing} .",
    "the {people} {did} a {quality} {thing} in {city} .",
    "{name} {did} {number} {things} at the {place} .",
    "{name} and {name} {did} the {thing} on {day} .",
    "every {person} in {country} {does} the {things} {manner} .",
    "{name} {does} {quality} {things} .",
    "did {name} {do} the {thing} , or did the {person} ?",
    "do the {people} {do} the {quality} {things} ?",
    "who {did} the {thing} of the {person} ?",
    "the {thing} was {quality} , but the {things} were {quality} and {quality} .",
    "the {people} near {city} wanted/VERB:Past to/PART {do} the {things} .",
    "{name} went/VERB:Past to/ADP {country} to/PART {do} a {quality} {thing} .",
    "the {person} could n't {do} the {thing} without {name} .",
    "{name} 's {thing} is very {quality} .",
    "they say/VERB:Pres that/SCONJ the {person} {did} that/DET {thing} .",
    "{name} {said} that/SCONJ the {thing} was too {quality} .",
    "the {person} that/PRON {name} knows/VERB:Pres {does} the {things} .",
    "that/PRON is the {thing} from {city} .",
    "her {roles} about/ADP the {thing} were {quality} .",
    "the {person} {role_does} every {day} , and his {roles} are {quality} .",
    "{name} {role_does} to/PART {do} the {thing} .",
    "they {role_do} when the {person} {does} a {thing} .",
    "some {roles} of the {people} were about/ADP the {quality} {things} in {country} .",
    "{org} {did} {number} {things} in {city} .",
    "{name} of {org} {did} the {thing} {manner} .",
    "{org} {said} that/SCONJ {name} will {do} the {things} .",
    "the {person} from {org} met/VERB:Past {name} in {city} .",
    "{city} and {city} are famous/ADJ for their {things} .",
    "in {country} , the {people} {do_all} {things} like/ADP {name} 's .",
    "the {people} like/VERB:Pres the {place} because it is {quality} .",
    "nobody {did} the {things} after the {place} closed/VERB:Past .",
    "if the {thing} is {quality} , {name} will not {do} it .",
    "{doing} the {thing} in {city} was {name} 's dream/NOUN:Sing .",
    "they were {doing} the {things} while {name} {did} a {thing} .",
    "oh , the {thing} at the {place} was so/ADV {quality} !",
    "it was late/ADJ , so/CCONJ the {person} {did} the {thing} .",
    "{number} {people} {did} the {thing} on {day} , {number} on {day} .",
    "we can {do} the {quality} {thing} here .",
    "the old/ADJ can/NOUN:Sing behind the {place} is for {quality} {things} .",
    "she has/VERB:Pres a {thing} , and he has/AUX never {done} it .",
    "the {people} must {do} {things} {manner} before {day} .",
    "yes , {name} {did} the {thing} again .",
    "{name} 's {thing} , not {name} 's , was {quality} .",
    "the {place} in {city} is {quality} on {day} .",
)
