"""What the monolingual corpus says with verbs in all their forms, and with adjectives in their degrees."""

from __future__ import annotations

from .frames import lines
from .tables import table
from .verbs import english_verb

# Each verb with objects and places of its own, so that its forms have company in common.
VERBS = table("verbs")


def with_forms(row: dict[str, list[str]]) -> dict[str, list[str]]:
    """The row with the forms of its verb."""
    verb = english_verb(row["base"][0])
    forms = {"third": verb.present, "past_form": verb.past, "participle": verb.participle, "gerund": verb.gerund}
    return row | {name: [form] for name, form in forms.items()}


ACTIONS = [with_forms(row) for row in VERBS]

ACTION_FRAMES = lines(
    """
    {name} will {base} {rest} {future}.
    {name} can {base} {rest}, but {name2} cannot.
    They want to {base} {rest} {future}.
    You must not {base} {rest} on {weekday}.
    Let us {base} {rest} {future}.
    {name} {third} {rest} every {weekday}.
    She {third} {rest} {often}.
    He never {third} {rest} in {season}.
    {name} usually {third} {rest} {often}.
    As a rule, she {third} {rest} before noon.
    {name} {past_form} {rest} {past}.
    {past}, they {past_form} {rest}.
    We {past_form} {rest} when it rained.
    Long ago, {name} once {past_form} {rest}.
    Then {name} {past_form} {rest}, and nobody knew why.
    That was the {weekday} when he {past_form} {rest}.
    {name} has just {participle} {rest}.
    They have {participle} {rest} many times.
    She had already {participle} {rest} when {name} came.
    {name} has never {participle} {rest} in {season}.
    {name} is {gerund} {rest} at the moment.
    {name} enjoys {gerund} {rest}.
    After {gerund} {rest}, {name} was {mood}.
    They were {gerund} {rest} all day.
    Stop {gerund} {rest}, please!
    """
)

DEGREES = table("degrees")
DEGREE_FRAMES = lines(
    """
    The {kind} is {plain}, but the {kind2} is even {more}.
    This {kind} is {more} than that one.
    This is the {most} {kind} of all.
    {name} has never seen such a~{plain} {kind}.
    The {kind} here is much {more} than the one in {city}.
    The {most} {kind} in {city} is not far from here.
    Every year the {kind} becomes {more} and {more}.
    The {kind} was too {plain} for {name}.
    The {kind} is as {plain} as ever.
    Nobody in {city} had a~{more} {kind} than {name}.
    {name} chose the {most} {kind} {past}.
    How {plain} the {kind} was!
    {name}'s {kind} was very {plain} {past}.
    {name} and {name2} looked for a~{more} {kind}, and they found the {most} one.
    """
)
