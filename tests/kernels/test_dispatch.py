"""Dispatch: which processors and threads run layers on the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from rnnkit.kernels import dispatch
from rnnkit.kernels.dispatch import cpu_features


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("avx2_fma", "openmp", "threads", "expected"),
    [(True, True, 2, True), (True, False, 2, False), (True, False, 1, True), (False, True, 2, False)],
)
def test_layer_kernels_need_a_known_cpu_and_all_threads(
    avx2_fma: bool, openmp: bool, threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(threads)
    features = replace(cpu_features(), avx2_fma=avx2_fma)
    monkeypatch.setattr(dispatch, "cpu_features", lambda: features)
    monkeypatch.setattr(dispatch, "parallel_region", lambda: object() if openmp else None)
    assert dispatch.cpu_runs_layer_kernels() is expected


def test_features_follow_the_host_or_the_variable_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba import config

    monkeypatch.setattr(config, "CPU_FEATURES", "+avx2,+fma,-avx512f,-avx512bw")
    cpu_features.cache_clear()
    try:
        features = cpu_features()
        assert (features.avx2_fma, features.avx512, features.avx512_bytes) == (True, False, False)
    finally:
        cpu_features.cache_clear()
