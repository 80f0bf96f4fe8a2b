"""Which machines run layers on the kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from rnnkit.kernels import dispatch, openmp, threads


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("has_lanes", "reached", "threads", "expected"),
    [(True, True, 2, True), (True, False, 2, False), (True, False, 1, True), (False, True, 2, False)],
)
def test_processor_must_be_known_and_no_thread_idle(
    has_lanes: bool, reached: bool, threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(threads)
    monkeypatch.setattr(dispatch, "HAS_LANES", has_lanes)
    monkeypatch.setattr(threads, "reaches_torchs_threads", lambda: reached)
    assert dispatch.suits() is expected


def test_torchs_threads_are_reached_where_its_openmp_has_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    for region in (object(), None):
        monkeypatch.setattr(threads, "parallel_region", lambda found=region: found)
        assert openmp.torch_threads_are_reachable() is (region is not None)
