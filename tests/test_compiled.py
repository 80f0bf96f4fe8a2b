"""Kernels are kept on disk, but never for other sources than those at hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.caching import CacheImpl
from numba.core.dispatcher import Dispatcher

from rnnkit import compiled, embeddings
from rnnkit.compiled import Compiler
from rnnkit.embeddings.compiled import inlined, kernel


def _double(number: int) -> int:
    return number + number


def _compile(sources: Path) -> Any:
    """A kernel as a new process compiles it whose sources are these."""
    compiled._hash_sources.cache_clear()
    function: Any = Compiler(sources, reordered=True, counted=False).kernel(_double)
    assert function(21) == 42
    return function


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(
        Path(embeddings.__file__).parent, tmp_path / "sources", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "sources"


@pytest.fixture(autouse=True)
def _forget_hash(monkeypatch: pytest.MonkeyPatch) -> Any:
    yield
    monkeypatch.undo()
    compiled._hash_sources.cache_clear()


def test_a_second_process_finds_the_kernel_on_disk(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    assert _compile(sources).stats.cache_misses
    assert _compile(sources).stats.cache_hits


def test_a_change_in_a_neighbouring_file_makes_it_stale(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    _compile(sources)
    with (sources / "logistic.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    again = _compile(sources)
    assert again.stats.cache_misses
    assert not again.stats.cache_hits


def test_without_a_folder_to_write_to_each_process_compiles(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    _compile(sources)
    assert not _compile(sources).stats.cache_hits


@pytest.mark.parametrize("decorator", [kernel, inlined])
def test_what_is_compiled_can_be_called_by_other_kernels(decorator: Any) -> None:
    assert isinstance(decorator(_double), Dispatcher)
