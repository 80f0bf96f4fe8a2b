"""The tour of the code names only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`((?:\w+/)*\w+\.py)(?:: ([\w.]+))?`", TOUR)))


def test_there_are_places() -> None:
    assert len(PLACES) > 30


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_every_place_is_there(path: str, name: str) -> None:
    found = list((ROOT / "src" / "rnnkit").rglob(Path(path).name))
    files = [file for file in found if str(file).endswith(f"/{path}")]
    assert files, f"docs/tour.md names {path}"
    if name:
        last = name.rpartition(".")[2]
        text = files[0].read_text(encoding="utf-8")
        assert re.search(rf"(def|class) {last}\b", text), f"docs/tour.md names {name} in {path}"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(_\w+)`", TOUR))))
def test_every_function_is_somewhere(name: str) -> None:
    files = (ROOT / "src" / "rnnkit").rglob("*.py")
    assert any(f"def {name}(" in file.read_text(encoding="utf-8") for file in files), f"docs/tour.md names {name}"
