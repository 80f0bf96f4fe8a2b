"""Shards of a corpus, each processed by one of several machines, and their merge.

Shard I of N has the lines from (I - 1) / N to I / N of every file, so shards of both sides match. The name of its
output is that of the whole with `.I-of-N` inserted: `data.2-of-8`, `vocab.2-of-8.tsv`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rnnkit.config import as_dict
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest

UNRECORDED_OPTIONS: Final = ("processes", "shard", "merge")
"""Options that distribute the work without effect on the result; manifests do not record them."""

_MACHINE_OPTIONS: Final = {
    *("files", "work", "output", "model", "vocab", "tokenizer", "threads", "overwrite", "train", "valid", "test")
}
"""Options that may differ between shards: paths, whose inputs are compared by checksum, and machine settings."""


@dataclass(frozen=True)
class Shard:
    """Shard `number` (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> Shard | None:
        """Parse `I/N`; None for None. Raises UsageError."""
        if text is None:
            return None
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard expects I/N with I from 1 to N, such as 2/8, got {text!r}", option="--shard")
        return shard

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def line_range(self, lines: int) -> tuple[int, int]:
        """Return its half-open range of line indices, from 0, in a file with this number of lines."""
        return lines * (self.number - 1) // self.count, lines * self.number // self.count

    def path_of(self, whole: Path) -> Path:
        """Return the path of its part of an artifact."""
        return whole.with_name(f"{whole.stem}.{self}{whole.suffix}")


def recorded_options(options: Any) -> dict[str, Any]:
    """Return the options of a stage that its manifests record."""
    return {name: value for name, value in as_dict(options).items() if name not in UNRECORDED_OPTIONS}


def parse_shard(shard: str | None, merge: bool) -> Shard | None:
    """Return the shard of the options `--shard` and `--merge`. Raises UsageError if both are given."""
    if shard is not None and merge:
        raise UsageError("--shard creates a part and --merge joins the parts: use one of them", option="--shard")
    return Shard.parse(shard)


def find_shards(whole: Path) -> list[Path]:
    """Return the paths of the shards of an artifact, in order.

    Raises:
        DataError: There are none, or one is missing.
        ArtefactError: Shards with different N exist.
    """
    pattern = re.compile(re.escape(whole.stem) + r"\.([0-9]+)-of-([0-9]+)" + re.escape(whole.suffix))
    folder = whole.parent
    found = {
        Shard(int(match[1]), int(match[2])): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := pattern.fullmatch(path.name))
    }
    counts = sorted({shard.count for shard in found})
    if not found:
        raise DataError(
            f"there are no shards of {whole}",
            f"{Shard(1, 2).path_of(whole)} would be the first of two",
            hint="--shard I/N creates them",
            path=whole,
        )
    if len(counts) > 1:
        raise ArtefactError(
            f"there are shards of {whole} of {' and of '.join(map(str, counts))}",
            hint="remove the outdated ones",
            path=whole,
        )
    expected = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    if missing := [shard for shard in expected if shard not in found]:
        others = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise DataError(
            f"there is no {missing[0].path_of(whole)}{others}",
            f"{len(found)} of {counts[0]} shards exist",
            hint=f"run the command with --shard {missing[0].number}/{counts[0]}",
            path=missing[0].path_of(whole),
        )
    return [found[shard] for shard in expected]


def read_shard_manifests(shards: Sequence[Path], kind: str, version: int) -> list[manifest.Manifest]:
    """Read the manifests of shards and check that they are intact and have the same inputs and options.

    Raises:
        ArtefactError: A shard is damaged, or two are incompatible; the message contains both.
    """
    metas = []
    for path in shards:
        metas.append(manifest.read(path, kind, version))
        if mismatches := manifest.find_mismatches(path):
            raise ArtefactError(f"the shard {path} is damaged", *mismatches, hint="create it again", path=path)
        first, last = metas[0], metas[-1]
        differing = sorted(
            name
            for name in {*first.options, *last.options} - _MACHINE_OPTIONS
            if first.options.get(name) != last.options.get(name)
        )
        if first.inputs != last.inputs or differing:
            why = f"--{differing[0]} differs" if differing else "their inputs differ"
            raise ArtefactError(
                f"the shards {shards[0]} and {path} are incompatible", why, hint="create one of them again", path=path
            )
    return metas
