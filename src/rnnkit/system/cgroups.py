"""Limits of Linux control groups (cgroups), and so of containers: processor time and memory.

A group and each of its ancestors can have limits; the tightest applies. Both versions of the interface are read, also
side by side: version 1 has a directory tree per controller, version 2 one tree for all
(https://docs.kernel.org/admin-guide/cgroup-v2.html). The cores of a cpuset are part of the affinity of the process,
which the operating system reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
"""Directory that contains `proc` and the mount points of cgroups."""

_MIN_UNLIMITED = 1 << 60
"""For unlimited memory, version 1 reports the largest number of whole pages."""


@dataclass(frozen=True)
class CgroupLimits:
    """The tightest limits of this process; None: unlimited.

    Attributes:
        cores: Processor time in cores; may be a fraction.
        memory: Memory of all processes of a group, in bytes.
        free: Memory that can be allocated within every limit, in bytes.
    """

    cores: float | None = None
    memory: int | None = None
    free: int | None = None


def read_limits(root: Path | None = None) -> CgroupLimits:
    """Read the limits of this process; unlimited if the system has no cgroups or their files are unreadable.

    Args:
        root: Directory in place of `/`; default that of the machine.
    """
    root = root or ROOT
    cores: list[float] = []
    memory: list[int] = []
    free: list[int] = []
    for kind, mount, group in _groups(root):
        for folder in _ancestors(group, mount):
            cores += _quota(folder) if "cpu" in kind else ()
            if "memory" in kind:
                for limit, left in _memory(folder):
                    memory.append(limit)
                    free.append(left)
    return CgroupLimits(min(cores, default=None), min(memory, default=None), min(free, default=None))


def _groups(root: Path) -> Iterator[tuple[frozenset[str], Path, Path]]:
    """Yield for each mounted tree: its controllers, its mount point, the directory of this process's group."""
    paths = _group_paths(root)
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, separator, right = line.partition(" - ")
        fields, mounted = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(mounted) < 3:
            continue
        top, mount_point = _unescape(fields[3]), _unescape(fields[4])
        mount = root / mount_point.lstrip("/")
        if mounted[0] == "cgroup2" and "" in paths:
            yield frozenset({"cpu", "memory"}), mount, mount / _below(paths[""], top)
        elif mounted[0] == "cgroup":
            for controller in {"cpu", "memory"} & set(mounted[2].split(",")) & paths.keys():
                yield frozenset({controller}), mount, mount / _below(paths[controller], top)


def _group_paths(root: Path) -> dict[str, str]:
    """Return the path of this process's group by controller; the key of version 2 is empty."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if number.isdecimal() and separator and path.startswith("/"):
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _below(path: str, top: str) -> PurePosixPath:
    """Return the path of a group relative to a mount point.

    Args:
        path: Path of the group in the whole tree.
        top: The mounted group. If it does not contain the path, as in some containers, the mount point is the group of
            this process.
    """
    own = PurePosixPath(path)
    if ".." in own.parts or not own.is_relative_to(top):
        return PurePosixPath()
    return own.relative_to(top)


def _ancestors(group: Path, mount: Path) -> Iterator[Path]:
    """Yield the directories of a group and its ancestors, up to the mount point."""
    yield group
    while group != mount:
        group = group.parent
        yield group


def _quota(folder: Path) -> list[float]:
    """Return the CPU quota of a group in cores; empty if it has none."""
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
    """Return each memory limit of a group, and the free memory within it."""
    version_2 = [_number(_text(folder / name)) for name in ("memory.max", "memory.high")]
    facts = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    # Version 1 also reports the tightest limit of all ancestors, visible or not.
    version_1 = [_number(_text(folder / "memory.limit_in_bytes")), _number(facts.get("hierarchical_memory_limit", ""))]
    found = []
    for limits, used, cached in (
        (version_2, "memory.current", "inactive_file"),
        (version_1, "memory.usage_in_bytes", "total_inactive_file"),
    ):
        held = max(0, (_number(_text(folder / used)) or 0) - (_number(facts.get(cached, "")) or 0))
        found += [(limit, max(0, limit - held)) for limit in limits if limit is not None and limit < _MIN_UNLIMITED]
    return found


def _number(text: str) -> int | None:
    """Parse a non-negative integer; None for anything else, such as `max` or -1."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _text(file: Path) -> str:
    """Read a system file; empty if it is unreadable."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):  # ValueError: a null character in the path
        return ""


def _unescape(field: str) -> str:
    r"""Unescape a field of `mountinfo`, in which white space and backslashes are escaped as `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
