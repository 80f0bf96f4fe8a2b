"""The table "Where is X?" names only what exists, and each of its terms is found in the source by a search."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "where_is.md").read_text(encoding="utf-8")
ENTRIES = [
    (term, code) for term, code in re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, flags=re.MULTILINE) if term != "term"
]


def places(code: str) -> list[tuple[str, str]]:
    """Return the files of a cell, each with the name that follows it, if any."""
    return re.findall(r"`((?:\w+/)*\w+\.py)(?:: ([\w.]+))?`", code)


def names(path: Path) -> set[str]:
    """Return the functions, classes, methods and constants of a file; methods as `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef(name=name, body=body):
                methods = {f"{name}.{each.name}" for each in body if isinstance(each, ast.FunctionDef)}
                found |= {name, *methods}
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def test_there_are_forty_terms() -> None:
    terms = [term for term, _ in ENTRIES]
    assert len(set(terms)) == len(terms) >= 40


@pytest.mark.parametrize(("term", "code"), ENTRIES, ids=[term for term, _ in ENTRIES])
def test_each_row_leads_to_the_code(term: str, code: str) -> None:
    found = places(code)
    assert found
    assert len({path for path, _ in found}) <= 2
    assert any(name for _, name in found)
    texts = []
    for path, name in found:
        file = ROOT / "src" / "rnnkit" / path
        assert file.is_file(), f"docs/where_is.md names {path}"
        if name:
            assert name in names(file), f"docs/where_is.md names {name} in {path}"
            texts.append((path, file.read_text(encoding="utf-8")))
    for each in term.replace("`", "").split(", "):
        for path, text in texts:
            pattern = re.compile(re.escape(each), re.IGNORECASE)
            assert any(map(pattern.search, text.splitlines())), f"{path} does not mention {each}"
