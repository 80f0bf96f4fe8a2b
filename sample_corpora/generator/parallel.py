"""The parallel corpus: German and English sentences from one grammar, so each has one right translation."""

from __future__ import annotations

from collections.abc import Callable

from . import complex_sentences as two_clauses
from . import descriptions, facts, relative_clauses, sentences
from .dice import Dice
from .phrases import Pair
from .split import Sizes, split

SIZES = Sizes(train=10_000, valid=400, test=500, drawn=22, least=15)
DRAWN = 34_000
SHORTEST = 4
"""Words of the shortest German sentence."""

# How often each kind of sentence is drawn.
KINDS: list[tuple[float, Callable[[Dice], Pair]]] = [
    (26.0, sentences.statement),
    (4.0, sentences.movement),
    (2.5, sentences.residence),
    (5.0, sentences.question),
    (2.0, sentences.question_about_object),
    (1.5, sentences.question_about_subject),
    (3.0, sentences.request),
    (4.0, descriptions.description),
    (3.5, descriptions.comparison),
    (3.5, descriptions.belongs),
    (4.5, descriptions.possession),
    (4.0, descriptions.ownership),
    (4.0, descriptions.existence),
    (6.0, facts.age),
    (6.5, facts.price),
    (5.0, facts.purchase),
    (3.0, facts.birth),
    (4.0, facts.passive),
    (3.5, facts.timetable),
    (3.0, facts.appointment),
    (4.0, facts.lying),
    (5.0, two_clauses.reason),
    (2.0, two_clauses.concession),
    (4.5, two_clauses.report),
    (2.5, two_clauses.indirect_question),
    (3.0, two_clauses.condition),
    (1.5, two_clauses.memory),
    (2.5, two_clauses.sequence),
    (2.5, two_clauses.purpose),
    (4.0, relative_clauses.subject_relative),
    (4.0, relative_clauses.object_relative),
    (3.5, two_clauses.taken_up),
    (2.5, descriptions.contrast),
]


def corpus(seed: int) -> dict[str, str]:
    """The files of the corpus by name."""
    dice = Dice(f"parallel {seed}")
    drawn = [dice.weighted(KINDS)(dice) for _ in range(DRAWN)]
    parts = split([pair for pair in drawn if len(pair.german.split()) >= SHORTEST], SIZES, dice)
    files = {}
    for part, pairs in parts.items():
        files[f"parallel/{part}.de"] = "".join(pair.german + "\n" for pair in pairs)
        files[f"parallel/{part}.en"] = "".join(pair.english + "\n" for pair in pairs)
    return files
