"""`metrics.jsonl`: the metrics of a run, one JSON object per line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnnkit.errors import FormatError, explain_os_errors
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import open_regular, parse_json

METRICS_FILE = "metrics.jsonl"
_MAX_LINE_BYTES = 1 << 20


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record. Raises ArtefactError if it cannot be written, for example on a full disk."""
    with explain_os_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records, without a last line that a kill has truncated.

    Raises:
        FormatError: Another line is not a record.
    """
    with open_regular(path) as file:
        number = 0
        while line := file.readline(_MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > _MAX_LINE_BYTES:
                raise FormatError(
                    f"{path}:{number}: the line is longer than {_MAX_LINE_BYTES:,} bytes", path=path, line=number
                )
            if line == b"\n":
                continue
            try:
                record = parse_json(line)
                if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                    raise ValueError("a record is an object with an integer `step`")
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise FormatError(
                    f"{path}:{number}: not a metrics record", str(error), path=path, line=number
                ) from error
            yield record


def truncate_after(path: Path, step: int) -> None:
    """Remove the records after a step, which a resumed run will write again."""
    if not path.exists():
        return
    with atomic_file(path) as file:
        kept = (record for record in read(path) if record["step"] <= step)
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
