"""Presets: named sets of values for options that were not given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from rnnkit.options.declare import option

Presets = Mapping[str, Mapping[str, Any]]
T = TypeVar("T")


def preset_option(presets: Presets, name: str, panel: str = "Model", **declared: Any) -> Any:
    """An option whose value, where none is given, is the preset's; `--help` shows the presets' values in turn."""
    shown = [_show(values[name]) for values in presets.values()]
    return option(None, shown_default=shown[0] if len(set(shown)) == 1 else " / ".join(shown), panel=panel, **declared)


def fill(options: T, values: Mapping[str, Any]) -> T:
    """The options, a dataclass, with these values where none were given."""
    missing = {name: value for name, value in values.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)  # type: ignore[type-var]


def _show(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
