"""Types of parsed JSON: manifests, configurations, records of options, reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonValue = Any
"""A value of a parsed document; its reader checks the kind before use."""

JsonObject = dict[str, JsonValue]
"""A JSON object: names and values."""

JsonMapping = Mapping[str, JsonValue]
"""A JSON object that is only read."""
