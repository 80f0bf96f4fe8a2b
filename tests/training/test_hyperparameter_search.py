"""The search of options: what is proposed, and when a trial ends."""

from __future__ import annotations

import math
import signal

import pytest

from rnnkit.training import hyperparameter_search as search
from rnnkit.training.hyperparameter_search import (
    Choices,
    Dimension,
    NumberRange,
    Proposals,
    SuccessiveHalving,
    TrialLimit,
)
from rnnkit.training.signals import StopRequest

SPACE: list[Dimension] = [
    NumberRange("rate", 0.01, 1.0, logarithmic=True),
    NumberRange("size", 30.0, 90.0, multiple=7),
    Choices(("low", "high"), ((0, 0), (2, 4), (3, 6))),
]
DEFAULTS = {"rate": 0.1, "size": 63, "low": 2, "high": 4, "other": "x"}


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (SPACE[0], [(0.01,), (0.1,), (1.0,)]),
        (SPACE[1], [(28,), (63,), (91,)]),
        (SPACE[2], [(0, 0), (2, 4), (3, 6)]),
        (NumberRange("share", 0.0, 0.7), [(0.0,), (0.35,), (0.7,)]),
        (NumberRange("rate", 0.0001, 0.00039, logarithmic=True), [(0.0001,), (0.0002,), (0.00039,)]),
    ],
    ids=str,
)
def test_values_cover_the_range(dimension: Dimension, values: list[tuple[float, ...]]) -> None:
    assert [dimension.values(position) for position in (0.0, 0.5, 1.0)] == values


def test_positions_are_those_of_the_values() -> None:
    for dimension in SPACE:
        for position in (0.1, 0.4, 0.8):
            values = dimension.values(position)
            assert dimension.values(dimension.position(values)) == values
    assert SPACE[1].position((1000,)) == 1.0
    assert SPACE[2].position((9, 9)) == 0.5


def propose(seed: int, count: int) -> list[dict[str, object]]:
    proposals = Proposals(SPACE, DEFAULTS, seed)
    best, values = proposals.first()
    found = [values]
    for number in range(2, count + 2):
        proposal = proposals.propose(number, best)
        assert proposal is not None
        found.append(proposal[1])
    return found


def test_proposals_follow_from_the_seed() -> None:
    first = propose(3, 21)
    assert first[0] == {name: DEFAULTS[name] for name in ("rate", "size", "low", "high")}
    assert first == propose(3, 21)
    assert first[1:] != propose(4, 21)[1:]
    assert len({str(values) for values in first}) == 22
    assert all((values["low"], values["high"]) in ((0, 0), (2, 4), (3, 6)) for values in first)


def test_every_other_proposal_is_near_the_best() -> None:
    interval: list[Dimension] = [NumberRange("rate", 0.0, 1.0)]
    proposals = Proposals(interval, {"rate": 0.5}, 1)
    near: list[float] = []
    far: list[float] = []
    for number in range(10, 40):
        proposal = proposals.propose(number, (0.9,))
        assert proposal is not None
        (near if number % 2 else far).append(abs(proposal[0][0] - 0.9))
        assert 0 <= proposal[0][0] <= 1
    assert sum(near) / len(near) < 0.15 < sum(far) / len(far)


def test_a_space_can_be_exhausted() -> None:
    proposals = Proposals([Choices(("layers",), ((1,), (2,)))], {"layers": 1}, 1)
    best, _ = proposals.first()
    second = proposals.propose(2, best)
    assert second is not None
    assert second[1] == {"layers": 2}
    assert proposals.propose(3, best) is None


def test_halving_compares_with_the_median() -> None:
    halving = SuccessiveHalving()
    assert [halving.continues(0, score) for score in (5.0, 9.0, 6.0, 6.5, 6.0)] == [True, True, False, True, False]
    assert halving.continues(1, 1.0), "each check has scores of its own"


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_limit_ends_a_trial() -> None:
    clock, stop, halving = Clock(), StopRequest(), SuccessiveHalving()
    for score in (5.0, 7.0):
        earlier = TrialLimit(10.0, halving, stop, clock)
        assert earlier.continues(0.3, score)
        assert earlier.continues(0.4, score)
        assert earlier.continues(0.6, score)
        assert not earlier.continues(1.0, 3.0)
        assert (earlier.ending, earlier.score, earlier.share) == (search.FINISHED, score, 1.0)
    limit = TrialLimit(10.0, halving, stop, clock)
    assert [limit.is_check_due(share) for share in (0.2, 0.25)] == [False, True]
    assert not limit.continues(0.7, 5.9)
    assert limit.ending == search.HALVED
    limit = TrialLimit(10.0, None, stop, clock)
    assert limit.continues(0.6, -1.0)
    clock.now = 10.0
    assert limit.is_over()
    assert not limit.continues(0.7, -math.inf)
    assert (limit.ending, limit.score, limit.share) == (search.OUT_OF_TIME, -1.0, 0.7)
    limit.interrupt(signal.SIGINT)
    assert (limit.ending, stop.signum) == (search.STOPPED, signal.SIGINT)
