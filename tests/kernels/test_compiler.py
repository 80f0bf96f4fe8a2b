"""Compilation of kernels and its disk cache, whose entries depend on the sources."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from tests.raising import raises

from rnnkit import embeddings
from rnnkit.errors import ConfigError
from rnnkit.events import Event, Note, Status
from rnnkit.kernels import compiler, kernel_cache
from rnnkit.kernels.compiler import Compiler
from rnnkit.kernels.word_vector_simd import inlined, kernel


def _double(number: int) -> int:
    return number + number


def _compile(sources: Path) -> Any:
    """Compile a kernel as a new process does that has these sources."""
    compiler._hash_sources.cache_clear()
    function: Any = Compiler(sources, reassociate=True, allocates=False).kernel(_double)
    assert function(21) == 42
    return function


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))  # Numba reads it again when a variable changes
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(
        Path(embeddings.__file__).parent, tmp_path / "sources", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "sources"


@pytest.fixture(autouse=True)
def _forget_hash(monkeypatch: pytest.MonkeyPatch) -> Any:
    yield
    monkeypatch.undo()
    compiler._hash_sources.cache_clear()


def test_second_process_loads_the_kernel_from_disk(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    assert _compile(sources).stats.cache_misses
    assert _compile(sources).stats.cache_hits


def test_changed_source_in_the_directory_invalidates(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    _compile(sources)
    with (sources / "logistic.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    again = _compile(sources)
    assert again.stats.cache_misses
    assert not again.stats.cache_hits


def test_without_a_cache_directory_each_process_compiles(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    monkeypatch.setattr(kernel_cache, "cache_dir", lambda user_dir: None)
    monkeypatch.setattr(kernel_cache, "cache_dirs", lambda user_dir: ())
    _compile(sources)
    again = _compile(sources)
    assert not again.stats.cache_hits
    assert again.stats.cache_path == ""


def test_compiler_settings_have_separate_entries(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    _compile(sources)
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert not _compile(sources).stats.cache_hits
    assert _compile(sources).stats.cache_hits
    monkeypatch.delenv("NUMBA_OPT")
    assert _compile(sources).stats.cache_hits


def test_new_sources_replace_old_files(sources: Path, tmp_path: Path) -> None:
    _compile(sources)
    before = set((tmp_path / "cache").rglob("*.nbc"))
    (sources / "more.py").touch()
    (sources / "logistic.py").write_text("# changed", encoding="utf-8")
    assert not _compile(sources).stats.cache_hits
    assert set((tmp_path / "cache").rglob("*.nbc")) == before != set()


def test_entry_that_cannot_be_loaded_is_recompiled(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    _compile(sources)
    monkeypatch.setattr(CompileResult, "_rebuild", lambda *parts: 1 / 0)
    assert not _compile(sources).stats.cache_hits


def test_disabled_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with raises(ConfigError, "NUMBA_DISABLE_JIT"):
        _compile(sources)


def test_compilation_is_reported_only_when_it_happens(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    monkeypatch.setattr(kernel_cache, "_reported", set())
    heard: list[Event] = []
    with kernel_cache.report_to(heard.append):
        _compile(sources)
    assert [type(event) for event in heard] == [Note, Status]
    monkeypatch.setattr(kernel_cache, "_reported", set())
    with kernel_cache.report_to(heard.append):
        _compile(sources)
    assert len(heard) == 2


@pytest.mark.parametrize("decorator", [kernel, inlined])
def test_compiled_functions_can_call_each_other(decorator: Any) -> None:
    assert isinstance(decorator(_double), Dispatcher)
