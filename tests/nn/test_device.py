"""Choice of device, precision and threads; the contention monitor; activation checkpointing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises
from torch import Tensor, nn

from rnnkit.errors import UsageError
from rnnkit.kernels import dispatch
from rnnkit.nn import device, dropout
from rnnkit.nn.bidirectional import make_layer, run_layer
from rnnkit.nn.device import CheckpointedLayer
from rnnkit.system.machine import available_cores, is_library_loaded, run_queue_wait_seconds


@pytest.mark.parametrize(
    ("native", "hidden", "expected"), [(True, 512, "bfloat16"), (True, 128, "float32"), (False, 512, "float32")]
)
def test_auto_precision_depends_on_hardware_and_size(
    monkeypatch: pytest.MonkeyPatch, native: bool, hidden: int, expected: str
) -> None:
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: native)
    assert device.choose_precision("auto", torch.device("cpu"), hidden) == getattr(torch, expected)


def test_explicit_precision_is_kept() -> None:
    assert device.choose_precision("bf16", torch.device("cpu"), 2) == torch.bfloat16
    assert device.choose_precision("fp32", torch.device("cpu"), 4096) == torch.float32
    assert device.choose_precision("fp16", torch.device("cpu"), 4096) == torch.float16


def test_fp16_autocast_on_cpu_is_detected() -> None:
    x = torch.zeros(3)
    seen = [device.is_fp16_autocast_on_cpu(x)]
    for kind in (torch.bfloat16, torch.float16):
        with device.autocast(x.device, kind):
            seen.append(device.is_fp16_autocast_on_cpu(x))
    with torch.autocast("cpu", dtype=torch.float16):
        seen.append(device.is_fp16_autocast_on_cpu(x.to("meta")))
    assert seen == [False, False, True, False]


def test_missing_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose_device("auto") == torch.device("cpu")
    with raises(UsageError, "--device cuda", "--device auto", option="--device"):
        device.choose_device("cuda")


def test_threads_default_to_all_cores() -> None:
    before = torch.get_num_threads()
    try:
        assert device.set_threads(1) == torch.get_num_threads() == 1
        assert device.set_threads(0) == available_cores()
    finally:
        torch.set_num_threads(before)


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(device, "available_cores", lambda: 7)
    try:
        assert [device.set_threads(0, 3), device.set_threads(0, 9), device.set_threads(2, 3)] == [2, 1, 2]
    finally:
        torch.set_num_threads(before)


WATCHED = (
    is_library_loaded(device.GNU_OPENMP)
    and dispatch.parallel_region() is not None
    and run_queue_wait_seconds() is not None
)
"""Whether this machine has what the monitor needs."""

STEPS = """
import os, time, torch
from pathlib import Path
from rnnkit.nn.device import set_threads
set_threads(2)
x = torch.zeros(1 << 17)
def steps(seconds):
    done, until = 0, time.process_time() + seconds
    while time.process_time() < until:
        x.add_(1.0)
        done += 1
    return done
steps(0.1)
for task in Path("/proc/self/task").iterdir():
    os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
steps(1.5)
print(steps(1.0))
"""
"""Print the number of small steps of two threads on a single core per second of processor time, once it is measured."""

IDLE_TEAM = """
import sys, threading, time
from pathlib import Path
from rnnkit.nn import device
def threads():
    return len(list(Path("/proc/self/task").iterdir()))
def settle(done):
    until = time.monotonic() + 10
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
device.parallel_region()
before, release = threads(), threading.Event()
print(before)
threading.Thread(target=device.hold_idle_team, args=(int(sys.argv[1]), release)).start()
settle(lambda: threads() >= before + int(sys.argv[1]))
print(threads())
release.set()
settle(lambda: threads() == before)
print(threads())
"""
"""Print the threads of the process before it holds an idle team, while it does, and afterwards."""


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
def test_monitor_has_hysteresis() -> None:
    monitor, seen = device.ContentionMonitor(0.0, 3.0), []
    for now, waited in [(0.5, 3.1), (1.0, 3.3), (2.0, 3.5), (3.0, 3.55), (4.0, 3.75), (5.0, 3.0)]:
        monitor.update(now, waited)
        seen.append(monitor.contended)
    assert seen == [False, True, True, False, False, False]


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
def test_idle_team_starts_and_ends() -> None:
    """The team has its threads and ends; in a separate process, where nothing else starts threads."""
    before, during, after = (int(count) for count in _run([IDLE_TEAM, "3"], dict(os.environ)).split())
    assert during >= before + 3
    assert after == before


@pytest.mark.skipif(not WATCHED, reason="torch uses another OpenMP runtime")
@pytest.mark.parametrize("variable", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_monitor_respects_wait_policy_variables(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    assert device.start_contention_monitor.__wrapped__()
    monkeypatch.setenv(variable, "1000")
    assert not device.start_contention_monitor.__wrapped__()


def test_monitor_ignores_other_openmp_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "GNU_OPENMP", "libiomp5")
    assert not device.start_contention_monitor.__wrapped__()


def test_monitor_needs_run_queue_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "run_queue_wait_seconds", lambda: None)
    assert not device.start_contention_monitor.__wrapped__()


@pytest.mark.skipif(not WATCHED or available_cores() < 2, reason="needs two cores, and GNU OpenMP")
def test_threads_on_a_shared_core_do_not_spin() -> None:
    """Spinning threads do hundreds of steps here, sleeping ones ten thousand."""
    free = {name: value for name, value in os.environ.items() if name not in device.WAIT_POLICY_VARIABLES}
    quiet, slow = (int(_run([STEPS], one)) for one in (free, {**free, "GOMP_SPINCOUNT": "300000"}))
    assert quiet > 3 * slow


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@given(st.integers(1, 40), st.integers(1, 12))
def test_segments_are_balanced_and_cover_all_steps(steps: int, max_steps: int) -> None:
    x_BTE = torch.arange(3.0 * steps).view(3, steps, 1)
    segments = device.split_segments(x_BTE, max_steps)
    sizes = [segment.shape[1] for segment in segments]
    assert len(sizes) == -(-steps // max_steps)
    assert max(sizes) <= max_steps
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat(list(segments), dim=1), x_BTE)


def test_recomputation_replays_dropout_masks() -> None:
    masks = []

    def drop(x: torch.Tensor) -> torch.Tensor:
        masks.append(dropout.elementwise_dropout(torch.ones_like(x), 0.5))
        return (x * masks[-1]).tanh()

    x = torch.randn(5, 7, requires_grad=True)
    torch.manual_seed(1)
    found = device.checkpoint_call(drop, x)
    after = torch.rand(3)
    assert len(masks) == 1
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert len(masks) == 2
    assert torch.equal(*masks)
    torch.testing.assert_close(gradient, masks[0] * (1 - found.detach() ** 2))
    torch.manual_seed(1)
    drop(x)
    assert torch.equal(torch.rand(3), after), "the generator continues as without checkpointing"


def test_nothing_is_recomputed_without_gradients() -> None:
    seen: list[Tensor] = []

    def record(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    with torch.no_grad():
        assert device.checkpoint_call(record, torch.ones(3)).sum() == 3
    assert len(seen) == 1


def test_enabling_affects_only_supporting_modules() -> None:
    network = nn.Sequential(CheckpointedLayer(), nn.Linear(3, 3), nn.Sequential(CheckpointedLayer()))
    other = CheckpointedLayer()
    device.enable_checkpointing(network)
    assert [getattr(part, "checkpointing", None) for part in network.modules()] == [None, True, None, None, True]
    assert not other.checkpointing


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm", "mingru"])
@pytest.mark.parametrize("weight_drop", [0.0, 0.5])
@pytest.mark.parametrize("given_state", [True, False])
def test_segmented_layer_equals_the_layer(
    arch: Any, weight_drop: float, given_state: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "MAX_SEGMENT_STEPS", 3)
    torch.manual_seed(1)
    layer = make_layer(arch, 4, 6)
    x_BTE = torch.randn(7, 8, 4, requires_grad=True)
    state = tuple(torch.randn_like(part).requires_grad_() for part in layer.zero_state(x_BTE)) if given_state else None
    leaves = [x_BTE, *layer.parameters(), *(state or ())]
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(2)
        h_BTH, last = run_layer(layer, x_BTE, state, weight_drop, checkpointing)
        assert h_BTH.transpose(0, 1).is_contiguous(), "time first in memory"
        loss = h_BTH.pow(2).sum() + sum(part.sum() for part in last)
        found.append((h_BTH, last, torch.autograd.grad(loss, leaves)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
