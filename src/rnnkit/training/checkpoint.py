"""What a run writes: checkpoints, from which it resumes as if it had never stopped, and its metrics.

    last/  state.json               counters, position in the data, schedule
           NAME.safetensors         arrays of the task: weights, optimizer, random states
           meta.json                checksums
    metrics.jsonl                   the metrics, one JSON object per line

A checkpoint is replaced as a whole, so a kill at any moment leaves the old or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rnnkit.errors import FormatError, explain_os_errors
from rnnkit.io import manifest
from rnnkit.io.artifact_output import ARTIFACT_PART, atomic_directory
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import check_regular, open_regular, parse_json, read_json
from rnnkit.json_types import JsonMapping, JsonObject

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
Arrays = Mapping[str, Array]
FORMAT_VERSION = 1
_STATE = "state.json"
METRICS_FILE = "metrics.jsonl"
_MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class TrainingCheckpoint:
    """State of a run.

    Attributes:
        counters: State of the trainer, the schedule and the batches, as JSON.
        arrays: Arrays of the task, in named groups; each group is a file.
    """

    counters: JsonMapping
    arrays: Mapping[str, Arrays]


def save(folder: Path, checkpoint: TrainingCheckpoint) -> None:
    """Write a checkpoint, replacing the previous one.

    Raises:
        ArtefactError: It could not be written; the previous one is unchanged.
    """
    import numpy as np
    from safetensors.numpy import save as to_bytes

    with atomic_directory(folder, ARTIFACT_PART) as temporary:
        names = [_STATE]
        (temporary / _STATE).write_text(json.dumps(checkpoint.counters, indent=2) + "\n", encoding="utf-8")
        for group, arrays in checkpoint.arrays.items():
            names.append(f"{group}.safetensors")
            # safetensors writes the memory of an array and ignores its strides.
            contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            (temporary / names[-1]).write_bytes(to_bytes(contiguous))
        described = manifest.describe_files(temporary, names)
        manifest.write(temporary / manifest.NAME, manifest.Manifest("checkpoint", FORMAT_VERSION, files=described))


def exists(folder: Path) -> bool:
    """Return whether there is a checkpoint."""
    return (folder / manifest.NAME).exists()


def remove(folder: Path) -> None:
    """Remove a checkpoint that is no longer needed, and temporary folders that a kill may have left beside it."""
    for path in (folder, *folder.parent.glob(f".{folder.name}.*")):
        shutil.rmtree(path, ignore_errors=True)


def load(folder: Path) -> TrainingCheckpoint:
    """Read a checkpoint.

    Raises:
        FormatError: A file is missing, truncated or changed; the message names it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    manifest.read(folder, "checkpoint", FORMAT_VERSION)
    mismatches = manifest.find_mismatches(folder)
    if mismatches:
        raise FormatError(
            f"the checkpoint {folder} is damaged",
            *mismatches,
            hint="start again from the best weights with --init-from, or from scratch with --overwrite",
            path=folder,
        )
    path = folder / _STATE
    try:
        counters = read_json(path)
        if not isinstance(counters, dict):
            raise ValueError("it is not a JSON object")
        arrays = {}
        for path in sorted(folder.glob("*.safetensors")):
            check_regular(path)
            arrays[path.stem] = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise FormatError(f"{path} is damaged", str(error), path=path) from error
    return TrainingCheckpoint(counters, arrays)


def append_metrics(path: Path, record: JsonMapping) -> None:
    """Append a record. Raises ArtefactError if it cannot be written, for example on a full disk."""
    with explain_os_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(path: Path) -> Iterator[JsonObject]:
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


def truncate_metrics(path: Path, step: int) -> None:
    """Remove the records after a step, which a resumed run will write again."""
    if not path.exists():
        return
    with atomic_file(path) as file:
        kept = (record for record in read_metrics(path) if record["step"] <= step)
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
