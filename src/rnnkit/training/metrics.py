"""`metrics.jsonl`: what was measured, one object a line, so that two runs can be compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnnkit.errors import FormatError
from rnnkit.files.atomic import atomic_file, explain_os_errors

NAME = "metrics.jsonl"


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one record. Raises ArtefactError where the disk is full or the file cannot be written."""
    with explain_os_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records; a last line cut short by a kill is left out.

    Raises:
        FormatError: Another line is not JSON.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise FormatError(f"{path}:{number}: not a JSON object", str(error)) from error


def drop_after(path: Path, step: int) -> None:
    """Forget what was measured after a step: a resumed run measures it again."""
    if not path.exists():
        return
    kept = [record for record in read(path) if record["step"] <= step]
    with atomic_file(path) as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
