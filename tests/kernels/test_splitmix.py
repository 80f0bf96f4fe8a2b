"""SplitMix64, compared with the published generator."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.kernels import splitmix

seeds = st.integers(0, 2**64 - 1).map(np.uint64)


def test_numbers_are_those_of_splitmix64() -> None:
    """The published generator increments before it mixes, so its first number is number 1."""
    assert [splitmix.random_bits(np.uint64(1234567), index) for index in range(1, 6)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(seeds, st.integers(0, 2**40))
def test_numbers_are_independent_of_the_order(seed: np.uint64, index: int) -> None:
    state = (int(seed) + index * 0x9E3779B97F4A7C15) % 2**64
    assert splitmix.random_bits(seed, index) == splitmix.random_bits(np.uint64(state), 0)


@given(seeds, st.integers(1, 2**31))
def test_bounded_integer_scales_the_high_bits(drawn: np.uint64, limit: int) -> None:
    assert splitmix.bounded_integer(drawn, limit) == (int(drawn) >> 32) * limit >> 32


def test_bounded_integer_reaches_both_ends() -> None:
    assert splitmix.bounded_integer(np.uint64(0), 7) == 0
    assert splitmix.bounded_integer(np.uint64(2**64 - 1), 7) == 6


@given(seeds)
def test_high_and_low_bits_make_the_number(drawn: np.uint64) -> None:
    assert int(splitmix.bounded_integer(drawn, 2**32)) << 32 | int(splitmix.low_bits(drawn)) == drawn
