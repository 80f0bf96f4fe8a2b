"""Groups of options that several commands share: base classes of their options classes.

A command that needs another help text or default declares the option again: `threads: int = changed(ThreadOptions,
"threads", help="...")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import UsageError
from rnnkit.nn import kinds
from rnnkit.options.declare import option


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions:
    """Default paths."""

    work: Path = option(Path("work"), help="Directory for default inputs and outputs.")


@dataclass(frozen=True, kw_only=True)
class OverwriteOptions:
    """What happens to existing files."""

    overwrite: bool = option(False, help="Replace existing outputs.", panel="Output")


@dataclass(frozen=True, kw_only=True)
class ThreadOptions:
    """Threads of one process."""

    threads: int = option(0, help="CPU threads; 0 uses all cores.", panel="Optimization", minimum=0)


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(ThreadOptions):
    """Where tensors are computed."""

    device: str = option(
        "auto", help="Compute device; auto: the GPU if there is one.", panel="Optimization", choices=kinds.DEVICES
    )


@dataclass(frozen=True, kw_only=True)
class RepairOptions:
    """How imperfect files are read."""

    repair: bool = option(
        False,
        help="Read imperfect files: repair or skip invalid UTF-8, duplicates, wrong counts, a missing final newline.",
    )


@dataclass(frozen=True, kw_only=True)
class VectorOptions(WorkspaceOptions, RepairOptions):
    """Word vectors to read."""

    vectors: Path | None = option(
        None, help="Vectors directory, or a word2vec, fastText or GloVe file.", shown_default="WORK/embeddings"
    )


@dataclass(frozen=True, kw_only=True)
class NeighborOptions(VectorOptions):
    """Words among which the nearest are searched."""

    restrict: int | None = option(
        None, help="Search only this many of the most frequent words.", panel="Search", unit="words", minimum=1,
        shown_default="all",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """Parallel processing of text on one machine or several."""

    processes: int = option(
        1, help="Worker processes; 0 starts one per core. The output does not depend on it.", unit="processes",
        minimum=0, panel="Parallel processing",
    )  # fmt: skip
    shard: str | None = option(
        None, help="Process part I of N of each file's lines.", metavar="I/N", panel="Parallel processing"
    )
    merge: bool = option(False, help="Join the outputs of all shards.", panel="Parallel processing")


def parse_weighted_model(text: str, flag: str) -> tuple[Path, float | None]:
    """Parse `MODEL[:WEIGHT]`. A colon that is not followed by a number belongs to the path.

    Args:
        text: The value.
        flag: The option that it is the value of.

    Raises:
        UsageError: The path is missing, or the weight is not between 0 and 1.
    """
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else None
    except ValueError:
        return Path(text), None
    if weight is None:
        path = text
    elif not 0 <= weight <= 1:
        raise UsageError(f"{flag} {text}: the weight must be between 0 and 1, got {number}", option=flag)
    if not path:
        raise UsageError(f"{flag} {text}: the model is missing", option=flag)
    return Path(path), weight
