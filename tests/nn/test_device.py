"""Choice of device, precision and threads."""

from __future__ import annotations

import pytest
import torch
from tests.raising import raises

from rnnkit.errors import UsageError
from rnnkit.nn import device
from rnnkit.system.machine import available_cores


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
