"""What the monolingual corpus says about men and women, families, courts and professions."""

from __future__ import annotations

from .frames import lines
from .tables import table

# Each pair shares what it does (`act`, in the past), where it is (`spot`) and what it has (`thing`).
COUPLES = table("couples")

# The words in which the two sexes differ, for every couple alike.
MALE = {
    "he": ["he"],
    "his": ["his"],
    "him": ["him"],
    "self": ["himself"],
    "look": ["a beard", "a moustache", "a tie", "a beard and a moustache"],
    "polite": ["sir"],
    "gentle": ["gentleman"],
    "given": ["Arthur", "George", "William", "Harold", "Philip", "Albert"],
    "person": ["male"],
}
FEMALE = {
    "he": ["she"],
    "his": ["her"],
    "him": ["her"],
    "self": ["herself"],
    "look": ["a necklace", "a skirt", "a silk dress", "a necklace and earrings"],
    "polite": ["madam"],
    "gentle": ["lady"],
    "given": ["Alice", "Mary", "Elizabeth", "Victoria", "Margaret", "Helen"],
    "person": ["female"],
}

COUPLE_FRAMES = lines(
    """
    The {person} {act} {past}.
    The {person} {act}, and then {he} {act2}.
    {past}, the {person} {act} because {he} was {mood}.
    {spot}, the {person} lost {his} {thing}.
    The {person} looked for {his} {thing} {spot}.
    The {person} was proud of {his} {thing}.
    Everyone saw the {person} {spot}, and {he} was {mood}.
    The {person}, whose name was {given}, {act}.
    {given} was a~{person}, and {he} {act} {past}.
    {given} is the {person} who {act}.
    The {person} {spot} was a true {gentle}, and everyone thanked {him}.
    The old {gentle} with {look} watched how the {person} {act}.
    The {person} with {look} {act}.
    {he} became a~{person}, and everyone wished {him} luck with {his} {thing}.
    A~{mood} {person} {act} while {he} thought of {his} {thing}.
    The {person} saw {self} in the mirror {spot}.
    When the {person} was {mood}, {he} talked about {his} {thing}.
    "Good morning, {polite}," said the servant to the {person} {spot}.
    The {person} gave away {his} {thing} and blamed {self}.
    {given}, once a~{person}, told us how {he} {act}.
    """
)
MOODS = ["tired", "happy", "angry", "hungry", "bored", "nervous", "cheerful", "lonely", "curious", "calm"]

PROFESSIONS = table("professions")
PROFESSION_FRAMES = lines(
    """
    The {worker} {does} every {weekday}.
    A good {worker} {does} and never loses the {object}.
    The {worker} needs the {object} {place}.
    {name} wants to become a~{worker} and work {place}.
    {name} is a~{worker} who {does} {often}.
    Two {workers} met {place} {past}.
    The {workers} left the {object} {place}.
    Many {workers} are {mood} because they work {place} at night.
    {name} asked the {worker} about the {object}.
    These {workers} buy the {object} themselves.
    The {worker} {does}, and the other {workers} help.
    {place}, the {worker} was {mood} {past}.
    Some {workers} earn more than others, but all of them need the {object}.
    """
)
