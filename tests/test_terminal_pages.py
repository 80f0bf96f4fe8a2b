"""The recorded terminal pages of the documentation: well-formed, self-contained, and linked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "terminal"
PAGES = sorted(FOLDER.glob("*.svg"))


def test_every_page_is_recorded_and_linked() -> None:
    names = [f"{page}-{columns}.svg" for page in ("error", "help", "progress", "table") for columns in (120, 80)]
    assert [page.name for page in PAGES] == names
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(([\w-]+\.svg)\)", text)) == set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_self_contained(page: Path) -> None:
    content = page.read_text(encoding="utf-8")
    root = ElementTree.fromstring(content)
    shown = "".join(root.itertext())
    assert "rnnkit" in shown
    assert re.search(r"/(tmp|home|root|work)/", shown) is None, "a path of the machine it was recorded on"
    assert "@font-face" not in content
    assert len(content) < 250_000
