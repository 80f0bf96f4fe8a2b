"""Shards: the part of a corpus that one machine of several does, and how the parts become one again.

Shard I of N has the lines from (I - 1) / N to I / N of every file, so shards of two sides go together. What it makes
is named like the whole, with `.I-of-N` in the name: `data.2-of-8`, `vocab.2-of-8.tsv`.
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
"""Options that decide who does the work, and nothing about what comes out: artefacts do not hold them."""

_OF_THE_MACHINE: Final = {
    *("files", "work", "output", "model", "vocab", "tokenizer", "threads", "overwrite", "train", "valid", "test")
}
"""Options that may differ between shards: places, which what was read tells better, and habits of a machine."""


@dataclass(frozen=True)
class Shard:
    """Shard `number`, from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> Shard | None:
        """Read `I/N`; None for None. Raises UsageError."""
        if text is None:
            return None
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard wants I/N with I from 1 to N, such as 2/8, not {text!r}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def span(self, lines: int) -> tuple[int, int]:
        """Its lines of a file with so many, from 0: the first, and the one behind the last."""
        return lines * (self.number - 1) // self.count, lines * self.number // self.count

    def place(self, whole: Path) -> Path:
        """Where its part of an artefact is."""
        return whole.with_name(f"{whole.stem}.{self}{whole.suffix}")


def recorded_options(options: Any) -> dict[str, Any]:
    """The options of a stage as its artefacts hold them."""
    return {name: value for name, value in as_dict(options).items() if name not in UNRECORDED_OPTIONS}


def parse_shard(shard: str | None, merge: bool) -> Shard | None:
    """The shard that the options ask for. Raises UsageError where they cannot be meant."""
    if shard is not None and merge:
        raise UsageError("--shard makes a part and --merge puts the parts together: give one of them")
    return Shard.parse(shard)


def find_shards(whole: Path) -> list[Path]:
    """The shards of an artefact, in order.

    Raises:
        DataError: There are none, or one is missing.
        ArtefactError: There are shards of different numbers of shards.
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
            f"{Shard(1, 2).place(whole)} would be the first of two",
            hint="--shard I/N makes them",
        )
    if len(counts) > 1:
        raise ArtefactError(
            f"there are shards of {whole} of {' and of '.join(map(str, counts))}", hint="remove those out of date"
        )
    wanted = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    if missing := [shard for shard in wanted if shard not in found]:
        others = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise DataError(
            f"there is no {missing[0].place(whole)}{others}",
            f"{len(found)} of {counts[0]} shards are there",
            hint=f"run the command with --shard {missing[0].number}/{counts[0]}",
        )
    return [found[shard] for shard in wanted]


def read_shard_manifests(shards: Sequence[Path], kind: str, version: int) -> list[manifest.Manifest]:
    """The manifests of shards that are whole and were made of the same things in the same way.

    Raises:
        ArtefactError: One is damaged, or they do not belong together; the message names both.
    """
    metas = []
    for path in shards:
        metas.append(manifest.read(path, kind, version))
        if faults := manifest.find_mismatches(path):
            raise ArtefactError(f"the shard {path} is damaged", *faults, hint="make it again")
        first, last = metas[0], metas[-1]
        differing = sorted(
            name
            for name in {*first.options, *last.options} - _OF_THE_MACHINE
            if first.options.get(name) != last.options.get(name)
        )
        if first.inputs != last.inputs or differing:
            why = f"--{differing[0]} differs" if differing else "they were made from different files"
            raise ArtefactError(f"{shards[0]} and {path} do not go together", why, hint="make one of them again")
    return metas
