"""The house keeps its order: who may import whom, what nobody may do, and how long things may grow."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "rnnkit"

ROOMS = (
    "cli",
    "stages",
    "reports",
    "evaluation",
    "decoding",
    "training",
    "models",
    "embeddings",
    "ngrams",
    "wordalign",
    "nn",
    "data",
    "text",
    "files",
)
"""From the top of the house to its ground; a room imports only from rooms after it, and from the single files."""

SINGLE_FILES = (
    "__init__", "cgroups", "compiled", "config", "console", "errors", "events", "installation", "interpreter",
    "kernel_cache", "machine", "platforms", "workers",
)  # fmt: skip
"""The ground that every room stands on; `console` is for `cli` alone."""

NO_TORCH = ("ngrams", "wordalign", "text", "data", "files", *SINGLE_FILES)
FORBIDDEN_IMPORTS = {"click", "pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "breakpoint"}
HEAVY = {"torch", "numba", "sentencepiece", "sacrebleu", "numpy", "scipy", "matplotlib", "safetensors", "rich", "typer"}

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """A file's dotted name below rnnkit, such as `files.atomic`; a room's `__init__` is the room."""
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, inside functions and for type checking too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Files of rnnkit that a file imports, by `name_of`; of `files.atomic.atomic_file`, `files.atomic`."""
    known = {name_of(file) for file in FILES}
    found = set()
    for name in imported(path):
        if name.partition(".")[0] != "rnnkit":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in known:
            parts.pop()
        found.add(".".join(parts) or "__init__")
    return found


def room_of(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    here = room_of(name_of(path))
    below = {*SINGLE_FILES} - ({"console"} if here != "cli" else set())
    if here in ROOMS:
        below |= {here, *ROOMS[ROOMS.index(here) + 1 :]}
    elif here == "__main__":
        below = {"cli"}
    else:
        assert here in SINGLE_FILES, f"{path} stands in no room of the house"
    assert {room_of(name) for name in own_imports(path)} - below == set()


def test_no_cycles() -> None:
    graph = {name_of(path): own_imports(path) - {name_of(path)} for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, set())):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_forbidden_is_imported(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imported(path)}
    assert tops & FORBIDDEN_IMPORTS == set()
    public = "torch.utils.checkpoint"
    private = {
        name for name in imported(path) if name.startswith("typer._") or (".utils" in name and public not in name)
    }
    assert private == set()
    if room_of(name_of(path)) in NO_TORCH or name_of(path) == "training.loop":
        assert "torch" not in tops
    if room_of(name_of(path)) != "cli" and name_of(path) != "console":
        assert tops & {"typer", "rich"} == set()


def test_pickles_are_read_in_one_place() -> None:
    """Numba's compiled code, behind a checksum; nowhere else, by whatever name of another module."""
    named = {name_of(path) for path in FILES for node in ast.walk(tree(path)) if getattr(node, "attr", "") == "pickle"}
    assert named == {"compiled"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_forbidden_is_called(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
            assert called != "print" or room_of(name_of(path)) == "cli", f"{path}:{node.lineno}: only cli talks"
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                assert keyword.arg != "allow_pickle" or allowed, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "misc", "common")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{path}:{node.lineno}: {node.name} has {lines} lines"


def test_stages_are_light_to_import() -> None:
    """Options are read to build a help page; what a stage needs for its work, it imports when it works."""
    stages = [f"rnnkit.{name_of(path)}" for path in FILES if room_of(name_of(path)) == "stages"]
    code = f"import json, sys, {', '.join(stages)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in json.loads(done.stdout)} & HEAVY == set()
