"""Comparison of two artefacts: facts, files, weights, arrays, lines, and the step at which two trainings diverge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import FormatError
from rnnkit.json_types import JsonMapping
from rnnkit.reports.artefact import Description, plain_text
from rnnkit.training import checkpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABSENT = "-"
"""Shown in place of what only the other artefact has."""

MAX_TENSORS = 5
"""Maximum number of tensors listed, those with the largest relative difference."""

_FILES = "files"


@dataclass(frozen=True)
class Difference:
    """One difference between two artefacts.

    Attributes:
        name: What differs, such as `options.learning-rate` or `best.safetensors: encoder.embedding`.
        first: Value in the first artefact.
        second: Value in the second artefact.
    """

    name: str
    first: str
    second: str

    def line(self) -> str:
        """Printed form."""
        return f"{self.name}: {self.first} | {self.second}"


def differences(first: Description, second: Description) -> Iterator[Difference]:
    """Yield the differences, facts first, then the contents of files.

    Raises:
        FormatError: A file is damaged.
    """
    if first.kind != second.kind:
        yield Difference("kind", first.kind, second.kind)
        return
    yield from _facts(_flat(first.facts), _flat(second.facts))
    if first.path.is_dir() and second.path.is_dir():
        names = dict.fromkeys([*first.facts.get(_FILES, {}), *second.facts.get(_FILES, {})])
        for name in names:
            if (first.path / name).is_file() and (second.path / name).is_file():
                yield from _contents(f"{name}: ", first.path / name, second.path / name)
    elif first.path.is_file() and second.path.is_file():
        yield from _contents("", first.path, second.path)


def _flat(facts: JsonMapping, above: str = "") -> dict[str, str]:
    """Flatten nested facts to dotted names; of files only the names, as their contents are compared separately."""
    flat: dict[str, str] = {}
    for name, value in facts.items():
        if name == _FILES and not above:
            flat |= {f"file {inner}": "there" for inner in value}
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = plain_text(value)
    return flat


def _facts(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys([*first, *second]):
        one, other = first.get(name, ABSENT), second.get(name, ABSENT)
        if one != other:
            yield Difference(name, one, other)


def _contents(name: str, first: Path, second: Path) -> Iterator[Difference]:
    """Compare the contents of two files of the same name or kind."""
    if first.name == second.name == checkpoint.METRICS_FILE:
        yield from _metrics(name, first, second)
    elif first.suffix == second.suffix == ".safetensors":
        yield from _tensors(name, first, second)
    elif first.suffix == second.suffix == ".npy":
        yield from _arrays(name, first, second)
    elif _is_text(first) and _is_text(second):
        yield from _lines(name, first, second)
    elif first.read_bytes() != second.read_bytes():
        yield Difference(f"{name}bytes", f"{first.stat().st_size:,}", f"{second.stat().st_size:,}, others")


def _metrics(name: str, first: Path, second: Path) -> Iterator[Difference]:
    """Find the first recorded step at which two runs differ, and compare their last steps."""
    runs = [[record for record in checkpoint.read_metrics(path) if "loss" in record] for path in (first, second)]
    losses = [{record["step"]: record["loss"] for record in run} for run in runs]
    common = sorted(losses[0].keys() & losses[1].keys())
    diverged = next((step for step in common if losses[0][step] != losses[1][step]), None)
    if diverged is not None:
        values = [f"{loss[diverged]}" for loss in losses]
        yield Difference(f"{name}loss at step {diverged:,}, equal before", *values)
    lasts = [max(loss, default=0) for loss in losses]
    if lasts[0] != lasts[1]:
        yield Difference(f"{name}last step measured", f"{lasts[0]:,}", f"{lasts[1]:,}")


def _tensors(name: str, first: Path, second: Path) -> Iterator[Difference]:
    """Yield tensors that only one file has, the tensors with the largest differences, and the number of the others."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(first, framework="np") as one, safe_open(second, framework="np") as other:
            names = dict.fromkeys([*one.keys(), *other.keys()])
            moved: list[tuple[float, Difference]] = []
            for tensor in names:
                if tensor not in one.keys() or tensor not in other.keys():  # noqa: SIM118  # not a mapping
                    where = ["there" if tensor in side.keys() else ABSENT for side in (one, other)]  # noqa: SIM118
                    yield Difference(f"{name}{tensor}", *where)
                    continue
                found = _array_difference(f"{name}{tensor}", one.get_tensor(tensor), other.get_tensor(tensor))
                if found is not None:
                    moved.append(found)
    except SafetensorError as error:
        raise FormatError(f"{first} or {second} is damaged", str(error)) from error
    moved.sort(key=lambda pair: -pair[0])
    yield from (difference for _, difference in moved[:MAX_TENSORS])
    if len(moved) > MAX_TENSORS:
        rest = f"{len(moved) - MAX_TENSORS:,} more of {len(names):,}"
        yield Difference(f"{name}other tensors that differ", rest, rest)


def _arrays(name: str, first: Path, second: Path) -> Iterator[Difference]:
    from rnnkit.io.npy import map_npy

    try:
        one, other = map_npy(first), map_npy(second)
    except ValueError as error:
        raise FormatError(f"{first} or {second} is damaged", str(error)) from error
    found = _array_difference(name or "values", one, other)
    if found is not None:
        yield found[1]


def _array_difference(
    name: str, one: NDArray[np.generic], other: NDArray[np.generic]
) -> tuple[float, Difference] | None:
    """Return the norm of the difference relative to the first array, and its description; None if equal."""
    import numpy as np

    if one.shape != other.shape or one.dtype != other.dtype:
        shapes = [f"{array.dtype} {plain_text(list(array.shape))}" for array in (one, other)]
        return np.inf, Difference(f"{name.removesuffix(': ')}", *shapes)
    unequal = one != other
    count = int(np.count_nonzero(unequal))
    if not count:
        return None
    place = tuple(int(i) for i in np.argwhere(unequal)[0]) if one.ndim else ()
    where = f"{name.removesuffix(': ')}[{', '.join(map(str, place))}], the first of {count:,} that differ"
    start, end = np.asarray(one, np.float64), np.asarray(other, np.float64)
    share = float(np.linalg.norm(end - start)) / max(float(np.linalg.norm(start)), 1e-300)
    return share, Difference(f"{where} ({100 * share:.3g}% apart in all)", f"{one[place]:.6g}", f"{other[place]:.6g}")


def _lines(name: str, first: Path, second: Path) -> Iterator[Difference]:
    """Find the first line that differs, and count the differing lines."""
    count, shown = 0, None
    with first.open(encoding="utf-8", errors="replace") as one, second.open(encoding="utf-8", errors="replace") as two:
        for number, (a, b) in enumerate(zip_longest(one, two), start=1):
            if a != b:
                count += 1
                shown = shown or (number, _cut(a), _cut(b))
    if shown is not None:
        yield Difference(f"{name}line {shown[0]:,}, the first of {count:,} that differ", shown[1], shown[2])


def _cut(line: str | None, most: int = 60) -> str:
    if line is None:
        return ABSENT
    line = line.rstrip("\n")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)
