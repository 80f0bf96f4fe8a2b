"""Layers: which package imports which, what no module does, and how long files and functions get."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "rnnkit"

PACKAGES = (
    "cli",
    "api",
    "stages",
    "reports",
    "evaluation",
    "decoding",
    "training",
    "models",
    "embeddings",
    "ngrams",
    "alignment",
    "nn",
    "data",
    "text",
    "io",
    "kernels",
    "system",
    "options",
)
"""From top to bottom: a package imports only itself, packages after it, and the modules below."""

BASE_MODULES = ("__init__", "errors", "events", "json_types")
"""Modules that every package may import."""

NO_TORCH = ("ngrams", "alignment", "text", "data", "io", "system", "options", *BASE_MODULES)
FORBIDDEN_IMPORTS = {"click", "pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "breakpoint"}
HEAVY = {"torch", "numba", "sentencepiece", "sacrebleu", "numpy", "scipy", "matplotlib", "safetensors", "rich", "typer"}

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """A file's dotted name below rnnkit, such as `files.atomic`; a package's `__init__` is the package."""
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


def package_of(name: str) -> str:
    return name.partition(".")[0]


def test_imports_go_down_only() -> None:
    wrong = []
    for path in FILES:
        here = package_of(name_of(path))
        if here == "__init__":  # names of the API, imported at their first use
            continue
        below = {*BASE_MODULES}
        if here in PACKAGES:
            below |= {here, *PACKAGES[PACKAGES.index(here) + 1 :]}
        elif here == "__main__":
            below = {"cli"}
        elif here not in BASE_MODULES:
            wrong.append(f"{path} is in no package")
        wrong += [f"{path} imports {name}" for name in own_imports(path) if package_of(name) not in below]
    assert wrong == []


def test_no_cycles() -> None:
    graph = {name_of(path): own_imports(path) - {name_of(path), "__init__"} for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, set())):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_nothing_forbidden_is_imported_or_called() -> None:
    wrong = []
    for path in FILES:
        here, package = name_of(path), package_of(name_of(path))
        names = set(imported(path))
        tops = {name.partition(".")[0] for name in names}
        forbidden = tops & FORBIDDEN_IMPORTS
        forbidden |= {name for name in names if name.startswith("typer._")}
        forbidden |= {name for name in names if ".utils" in name and "torch.utils.checkpoint" not in name}
        if package in NO_TORCH or here == "training.trainer":
            forbidden |= tops & {"torch"}
        if package != "cli":
            forbidden |= tops & {"typer", "rich"}
        wrong += [f"{path} imports {name}" for name in forbidden]
        wrong += [f"{path}:{line}: {what}" for line, what in _forbidden_calls(path, package)]
    assert wrong == []


def _forbidden_calls(path: Path, package: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        # Numba's compiled code is pickled, behind a checksum; nowhere else, by whatever name of another module.
        if getattr(node, "attr", "") == "pickle" and name_of(path) != "kernels.compiler":
            yield getattr(node, "lineno", 0), "pickle"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or (called == "print" and package != "cli"):
                yield node.lineno, called
            for keyword in node.keywords:
                allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not allowed:
                    yield node.lineno, "allow_pickle"


def test_files_and_functions_stay_short() -> None:
    wrong = []
    for path in FILES:
        if path.stem in ("utils", "helpers", "misc", "common"):
            wrong.append(f"{path}: a name that says nothing")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE:
            wrong.append(f"{path} has {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    wrong.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    assert wrong == []


def test_names_are_unique() -> None:
    """A file or class is found by its name alone; commands share theirs with the library that they call."""
    outside = [path for path in FILES if package_of(name_of(path)) not in ("cli", "stages")]
    files = Counter(path.stem for path in outside if path.stem not in ("__init__", "options", "store"))
    classes = Counter(node.name for path in FILES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
    assert [name for name, count in {**files, **classes}.items() if count > 1] == []


def test_stages_are_light_to_import() -> None:
    """Options are read to build a help page; what a stage needs for its work, it imports when it works."""
    stages = [f"rnnkit.{name_of(path)}" for path in FILES if package_of(name_of(path)) == "stages"]
    code = f"import json, sys, {', '.join(stages)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in json.loads(done.stdout)} & HEAVY == set()
