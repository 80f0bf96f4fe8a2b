"""What the project leans on is named, locked and explained."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, list[str]]:
    """The versions of each package in the lock: one, or one for some versions of Python each."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return versions


DIRECT = project()["project"]["dependencies"]
DEVELOPMENT = project()["dependency-groups"]["dev"]
EXTRA = [wanted for group in project()["project"]["optional-dependencies"].values() for wanted in group]


@pytest.mark.parametrize("wanted", [*DIRECT, *DEVELOPMENT])
def test_the_lock_has_versions_that_are_allowed(wanted: str) -> None:
    requirement = Requirement(wanted)
    versions = locked()[requirement.name]
    assert versions, wanted
    assert all(requirement.specifier.contains(version) for version in versions), f"{wanted}: {versions}; `make lock`"


def test_every_file_in_the_lock_has_a_hash() -> None:
    entries = (ROOT / "requirements.lock").read_text().split("\n\n")
    for entry in re.split(r"\n(?=[\w.-]+==)", "\n".join(entries)):
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("wanted", [*DIRECT, *DEVELOPMENT, *EXTRA])
def test_every_dependency_is_explained(wanted: str) -> None:
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(Requirement(wanted).name)}\b", explained), f"docs/dependencies.md: {wanted}"
