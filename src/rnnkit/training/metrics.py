"""`metrics.jsonl`: what was measured, one object a line, so that two runs can be compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnnkit.errors import FormatError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.durable import explain_os_errors
from rnnkit.io.safe_reading import open_regular, parse_json

METRICS_FILE = "metrics.jsonl"
_LONGEST_LINE = 1 << 20


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one record. Raises ArtefactError where the disk is full or the file cannot be written."""
    with explain_os_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records; a last line cut short by a kill is left out.

    Raises:
        FormatError: Another line is not JSON, or is of something else.
    """
    with open_regular(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise FormatError(f"{path}:{number}: the line is longer than {_LONGEST_LINE:,} bytes")
            if line == b"\n":
                continue
            try:
                record = parse_json(line)
                if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                    raise ValueError("a record is an object with the number of its step")
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise FormatError(f"{path}:{number}: not a JSON object", str(error)) from error
            yield record


def truncate_after(path: Path, step: int) -> None:
    """Forget what was measured after a step: a resumed run measures it again."""
    if not path.exists():
        return
    with atomic_file(path) as file:
        kept = (record for record in read(path) if record["step"] <= step)
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
