"""Resources of the machine."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rnnkit.system import cgroups, machine
from rnnkit.system.machine import (
    available_cores,
    available_memory,
    is_library_loaded,
    peak_memory,
    release_library_pages,
    run_queue_wait_seconds,
)

LIMITED = "import resource; resource.setrlimit(resource.{kind}, (1 << 30, 1 << 31)); "
PRINT_FREE = "from rnnkit.system.machine import available_memory; print(available_memory())"


def test_memory_that_is_free() -> None:
    assert 1 << 20 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_on_memory_is_honoured(kind: str) -> None:
    program = LIMITED.format(kind=kind) + PRINT_FREE
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 1 << 30


@pytest.mark.parametrize("content", [None, "", "MemTotal: 5 kB\n", "no facts\n", "MemAvailable: many kB\n"])
def test_unreported_available_memory_is_the_total(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "meminfo"
    if content is not None:
        facts.write_text(content, encoding="ascii")
    monkeypatch.setattr(machine, "_MEMORY", facts)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert available_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_threads_that_end_meanwhile_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for thread in ("1", "2", "3"):
        (tmp_path / thread).mkdir()
    (tmp_path / "1" / "schedstat").write_text("5 1500000000 7\n", encoding="ascii")
    (tmp_path / "2" / "schedstat").symlink_to(tmp_path / "gone")
    (tmp_path / "3" / "schedstat").write_text("5 250000000 7\n", encoding="ascii")
    monkeypatch.setattr(machine, "_TASKS", tmp_path)
    assert run_queue_wait_seconds() == 1.75


def test_unreported_run_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_TASKS", tmp_path / "none")
    assert run_queue_wait_seconds() is None


def test_a_library_is_known_by_part_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = tmp_path / "maps"
    monkeypatch.setattr(machine, "_MAPPINGS", maps)
    assert not is_library_loaded("libgomp")
    maps.write_text("7f00-7f01 r-xp 00000000 00:00 0 /usr/lib/libgomp.so.1\n", encoding="utf-8")
    assert [is_library_loaded("libgomp"), is_library_loaded("libiomp5")] == [True, False]


def test_the_peak_is_in_bytes() -> None:
    block = bytearray(1 << 24)
    assert len(block) < peak_memory() < 1 << 40


def test_peak_memory_excludes_the_parent_process() -> None:
    block = b"held" * (1 << 27)
    program = "from rnnkit.system.machine import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 1 << 22 < int(done.stdout) < len(block)


@pytest.mark.parametrize("content", [None, "", "Name:\tpython\nVmRSS:\t  12 kB\n"])
def test_peak_memory_without_proc(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    if content is not None:
        status.write_text(content, encoding="utf-8")
    monkeypatch.setattr(machine, "_STATUS", status)
    assert peak_memory() >= 1 << 24


def test_released_code_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    matrix = np.random.default_rng(3).normal(size=(37, 37))
    before = matrix @ matrix
    release_library_pages("numpy")
    release_library_pages("libc.so")
    release_library_pages("there is no such library")
    assert np.array_equal(matrix @ matrix, before)
    monkeypatch.setattr(machine, "_MAPPINGS", tmp_path / "none")
    release_library_pages("numpy")


FILES_OF_THE_SYSTEM = ("_MEMORY", "_MAPPINGS", "_STATUS", "_TASKS")


@pytest.fixture(params=["missing", "a folder", "garbage"])
def no_proc(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose process files differ from those of Linux."""
    for name in FILES_OF_THE_SYSTEM:
        place = tmp_path / name
        if request.param == "a folder" or name == "_TASKS":
            (place / "7").mkdir(parents=True)
            (place / "7" / "schedstat").write_text("no numbers\n", encoding="ascii")
        elif request.param == "garbage":
            place.write_bytes(b"\xff\x00: libc.so r-xp\nVmHWM:\nMemAvailable:\nx r-xp 0 0 0 libc.so\n")
        monkeypatch.setattr(machine, name, place)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_a_system_without_proc_is_served(no_proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_cores() == os.cpu_count()
    assert available_memory() > 1 << 20
    assert peak_memory() >= 1 << 24
    assert run_queue_wait_seconds() is None
    assert not is_library_loaded("libgomp")
    release_library_pages("there is no such library")
    assert machine.resource_limits().memory > 1 << 20


@pytest.mark.parametrize("system", ["no library", "no functions", "not Linux"])
def test_a_c_library_without_these_functions_is_left_alone(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_library(name: None) -> object:
        if system == "no library":
            raise OSError("no such file")
        return object()

    monkeypatch.setattr(ctypes, "CDLL", open_library)
    if system == "not Linux":
        monkeypatch.setattr(sys, "platform", "darwin")
    machine.retain_freed_memory()
    machine.terminate_with_parent()
    release_library_pages("libc.so")


def test_a_machine_that_does_not_report_its_memory_has_no_limit(monkeypatch: pytest.MonkeyPatch, no_proc: Path) -> None:
    def refuse(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert available_memory() == machine.memory_limit() == 1 << 60
