"""What control groups of Linux, and so containers, leave a process of the machine: processor time and memory.

A group can be limited, and so can every group around it; the tightest limit counts. Both versions of the interface are
read, also side by side: version 1 has a tree of folders for each controller, version 2 one tree for all
(https://docs.kernel.org/admin-guide/cgroup-v2.html). Cores that a group is confined to are in the affinity of the
process, which the operating system reports itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
"""Folder in which `proc` lies, and below which the groups are mounted."""

_UNLIMITED = 1 << 60
"""Version 1 writes the greatest number of whole pages where memory is not limited."""


@dataclass(frozen=True)
class CgroupLimits:
    """The tightest limits on this process. None: not limited.

    Attributes:
        cores: Processor time, in cores; may be a fraction.
        memory: Bytes of memory that the processes of a group may hold together.
        free: Bytes of memory that can still be taken within every limit.
    """

    cores: float | None = None
    memory: int | None = None
    free: int | None = None


def read_limits(root: Path | None = None) -> CgroupLimits:
    """The limits on this process; none where the system has no groups, or their files cannot be read.

    Args:
        root: Folder that stands for `/`; that of the machine unless given.
    """
    root = root or ROOT
    cores: list[float] = []
    memory: list[int] = []
    free: list[int] = []
    for kind, mount, group in _groups(root):
        for folder in _way_up(group, mount):
            cores += _quota(folder) if "cpu" in kind else ()
            if "memory" in kind:
                for limit, left in _memory(folder):
                    memory.append(limit)
                    free.append(left)
    return CgroupLimits(min(cores, default=None), min(memory, default=None), min(free, default=None))


def _groups(root: Path) -> Iterator[tuple[frozenset[str], Path, Path]]:
    """For each mounted tree: its controllers, the folder of its mount point, the folder of this process's group."""
    paths = _own_paths(root)
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, separator, right = line.partition(" - ")
        fields, mounted = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(mounted) < 3:
            continue
        top, place = _unescape(fields[3]), _unescape(fields[4])
        mount = root / place.lstrip("/")
        if mounted[0] == "cgroup2" and "" in paths:
            yield frozenset({"cpu", "memory"}), mount, mount / _below(paths[""], top)
        elif mounted[0] == "cgroup":
            for controller in {"cpu", "memory"} & set(mounted[2].split(",")) & paths.keys():
                yield frozenset({controller}), mount, mount / _below(paths[controller], top)


def _own_paths(root: Path) -> dict[str, str]:
    """The path of this process's group by controller; that of version 2 has an empty name."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if number.isdecimal() and separator and path.startswith("/"):
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _below(path: str, top: str) -> PurePosixPath:
    """A group's path as it is seen below a mount point.

    Args:
        path: In the whole tree.
        top: The group that is mounted. Where it does not contain the path, which is so in some containers, the mount
            point is the process's own group.
    """
    own = PurePosixPath(path)
    if ".." in own.parts or not own.is_relative_to(top):
        return PurePosixPath()
    return own.relative_to(top)


def _way_up(group: Path, mount: Path) -> Iterator[Path]:
    """The folders of a group and of those around it, up to the mount point."""
    yield group
    while group != mount:
        group = group.parent
        yield group


def _quota(folder: Path) -> list[float]:
    """The quota of a group in cores; empty where it has none."""
    allowed, _, period = _text(folder / "cpu.max").strip().partition(" ")
    found = []
    for time, length in (
        (_number(allowed), _number(period)),
        (_number(_text(folder / "cpu.cfs_quota_us")), _number(_text(folder / "cpu.cfs_period_us"))),
    ):
        if time and length:
            found.append(time / length)
    return found


def _memory(folder: Path) -> list[tuple[int, int]]:
    """Each limit on the memory of a group, and what is left below it."""
    version_2 = [_number(_text(folder / name)) for name in ("memory.max", "memory.high")]
    facts = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    # Version 1 has the tightest limit of the groups around as well, be they visible or not.
    version_1 = [_number(_text(folder / "memory.limit_in_bytes")), _number(facts.get("hierarchical_memory_limit", ""))]
    found = []
    for limits, used, cached in (
        (version_2, "memory.current", "inactive_file"),
        (version_1, "memory.usage_in_bytes", "total_inactive_file"),
    ):
        held = max(0, (_number(_text(folder / used)) or 0) - (_number(facts.get(cached, "")) or 0))
        found += [(limit, max(0, limit - held)) for limit in limits if limit is not None and limit < _UNLIMITED]
    return found


def _number(text: str) -> int | None:
    """A whole number that is not negative; None for anything else, such as `max` or -1."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _text(file: Path) -> str:
    """The content of a file of the system; empty where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):  # a null character in a path
        return ""


def _unescape(field: str) -> str:
    r"""A field of `mountinfo`, in which white space and backslashes are written as `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
