"""Limits of control groups, read from file trees as Linux presents them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rnnkit.system import cgroups, machine
from rnnkit.system.cgroups import CgroupLimits

MIB = 1 << 20
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)
V1_OWN = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
UNLIMITED = "9223372036854771712\n"
V2, CPU, MEMORY = "sys/fs/cgroup/", "sys/fs/cgroup/cpu,cpuacct/", "sys/fs/cgroup/memory/"


def tree(root: Path, own: str, mounts: str, files: Mapping[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": own, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


CASES: dict[str, tuple[str, str, dict[str, str], CgroupLimits]] = {
    "version 2, half a core and 600 MB, seen from inside": (
        "0::/\n",
        V2_MOUNT,
        {
            V2 + "cpu.max": "50000 100000\n",
            V2 + "memory.max": "600000000\n",
            V2 + "memory.current": "150000000\n",
            V2 + "memory.stat": "anon 9\ninactive_file 50000000\nactive_file 7\n",
        },
        CgroupLimits(0.5, 600_000_000, 500_000_000),
    ),
    "version 2, nested: each limit may be at another level": (
        "0::/a.slice/b.scope/c\n",
        V2_MOUNT,
        {
            V2 + "a.slice/cpu.max": "150000 100000\n",
            V2 + "a.slice/b.scope/cpu.max": "max 100000\n",
            V2 + "a.slice/b.scope/c/cpu.max": "400000 100000\n",
            V2 + "a.slice/memory.max": f"{900 * MIB}\n",
            V2 + "a.slice/memory.current": f"{700 * MIB}\n",
            V2 + "a.slice/b.scope/memory.max": f"{400 * MIB}\n",
            V2 + "a.slice/b.scope/memory.current": f"{100 * MIB}\n",
            V2 + "a.slice/b.scope/c/memory.max": "max\n",
        },
        CgroupLimits(1.5, 400 * MIB, 200 * MIB),
    ),
    "version 2, memory.high is below memory.max": (
        "0::/x\n",
        V2_MOUNT,
        {V2 + "x/memory.max": f"{800 * MIB}\n", V2 + "x/memory.high": f"{300 * MIB}\n"},
        CgroupLimits(None, 300 * MIB, 300 * MIB),
    ),
    "version 2, more is used than allowed": (
        "0::/x\n",
        V2_MOUNT,
        {V2 + "x/memory.high": f"{8 * MIB}\n", V2 + "x/memory.current": f"{9 * MIB}\n"},
        CgroupLimits(None, 8 * MIB, 0),
    ),
    "version 2, no limit": (
        "0::/\n", V2_MOUNT, {V2 + "cpu.max": "max 100000\n", V2 + "memory.max": "max\n"}, CgroupLimits()
    ),
    "version 2, the mount is the group of a container": (
        "0::/kubepods/pod7/c1\n",
        V2_MOUNT.replace(" / /sys", " /kubepods/pod7 /sys"),
        {V2 + "cpu.max": "300000 100000\n", V2 + "c1/cpu.max": "200000 100000\n"},
        CgroupLimits(2.0),
    ),
    "version 2, a group outside of the mount": (
        "0::/../../system.slice\n", V2_MOUNT, {V2 + "cpu.max": "75000 100000\n"}, CgroupLimits(0.75)
    ),
    "version 2, a mount point with a space": (
        "0::/\n",
        V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups"),
        {"my groups/cpu.max": "25000 50000\n"},
        CgroupLimits(0.5),
    ),
    "version 1, of docker: the mount is the container's group": (
        V1_OWN,
        V1_MOUNTS.replace(" / /sys", " /docker/abc /sys"),
        {
            CPU + "cpu.cfs_quota_us": "50000\n",
            CPU + "cpu.cfs_period_us": "100000\n",
            MEMORY + "memory.limit_in_bytes": "600000000\n",
            MEMORY + "memory.usage_in_bytes": "300000000\n",
            MEMORY + "memory.stat": "cache 1\ninactive_file 3\ntotal_inactive_file 100000000\n",
        },
        CgroupLimits(0.5, 600_000_000, 400_000_000),
    ),
    "version 1, nested": (
        V1_OWN,
        V1_MOUNTS,
        {
            CPU + "docker/abc/cpu.cfs_quota_us": "-1\n",
            CPU + "docker/abc/cpu.cfs_period_us": "100000\n",
            CPU + "docker/cpu.cfs_quota_us": "250000\n",
            CPU + "docker/cpu.cfs_period_us": "100000\n",
            MEMORY + "docker/abc/memory.limit_in_bytes": UNLIMITED,
            MEMORY + "docker/memory.limit_in_bytes": f"{512 * MIB}\n",
            MEMORY + "docker/memory.usage_in_bytes": f"{12 * MIB}\n",
        },
        CgroupLimits(2.5, 512 * MIB, 500 * MIB),
    ),
    "version 1, a limit of a group that cannot be seen": (
        V1_OWN,
        V1_MOUNTS,
        {
            MEMORY + "docker/abc/memory.limit_in_bytes": UNLIMITED,
            MEMORY + "docker/abc/memory.stat": f"hierarchical_memory_limit {64 * MIB}\n",
        },
        CgroupLimits(None, 64 * MIB, 64 * MIB),
    ),
    "version 1, unlimited": (
        V1_OWN,
        V1_MOUNTS,
        {CPU + "cpu.cfs_quota_us": "-1\n", CPU + "cpu.cfs_period_us": "100000\n",
         MEMORY + "memory.limit_in_bytes": UNLIMITED},
        CgroupLimits(),
    ),
    "both versions side by side": (
        V1_OWN + "0::/docker/abc\n",
        V1_MOUNTS + V2_MOUNT.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
        {
            CPU + "docker/abc/cpu.cfs_quota_us": "200000\n",
            CPU + "docker/abc/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/docker/abc/memory.max": f"{MIB}\n",
        },
        CgroupLimits(2.0, MIB, MIB),
    ),
    "garbage": (
        "::\nx:y\n0:\n7:cpu:relative\n0::/a\n",
        "no mount\n1 2 3 - cgroup2\n - - - \n" + V2_MOUNT,
        {V2 + "a/cpu.max": "lots of it\n", V2 + "a/memory.max": "-5\n", V2 + "a/memory.high": "²\n",
         V2 + "cpu.max": "0 0\n", V2 + "a/memory.stat": "\n\x00\n", V2 + "memory.max": "9" * 5000},
        CgroupLimits(),
    ),
    "nothing in the files": ("", "", {}, CgroupLimits()),
    "files that are gone": ("0::/a/b\n", V2_MOUNT, {}, CgroupLimits()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_tightest_limit_counts(case: str, tmp_path: Path) -> None:
    own, mounts, files, expected = CASES[case]
    assert cgroups.read_limits(tree(tmp_path, own, mounts, files)) == expected


def test_a_system_without_groups_has_no_limits(tmp_path: Path) -> None:
    assert cgroups.read_limits(tmp_path) == CgroupLimits()
    for name in ("cgroup", "mountinfo"):
        (tmp_path / "proc/self" / name).mkdir(parents=True)
    assert cgroups.read_limits(tmp_path) == CgroupLimits(), "folders in place of files"


@pytest.mark.parametrize(("quota", "processors", "expected"), [(0.5, 8, 1), (1.0, 8, 1), (1.2, 8, 2), (9, 4, 4)])
def test_threads_are_as_many_as_the_quota_keeps_busy(
    quota: float, processors: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {V2 + "cpu.max": f"{int(quota * 100000)} 100000\n", V2 + "memory.max": f"{600 * 10**6}\n"}
    monkeypatch.setattr(cgroups, "ROOT", tree(tmp_path, "0::/\n", V2_MOUNT, files))
    monkeypatch.setattr(machine, "usable_processors", lambda: processors)
    assert machine.available_cores() == expected
    allowed = machine.resource_limits()
    assert (allowed.cores, allowed.threads, allowed.memory) == (min(quota, processors), expected, 600 * 10**6)
    assert machine.available_memory() <= 600 * 10**6
    variables: dict[str, str] = {}
    machine.limit_library_threads(variables)
    assert variables == ({machine.THREADS_VARIABLE: f"{expected}"} if expected < processors else {})
    machine.limit_library_threads(chosen := {machine.THREADS_VARIABLE: "7"})
    assert chosen == {machine.THREADS_VARIABLE: "7"}


def test_limits_are_formatted() -> None:
    assert str(machine.ResourceLimits(0.5, 1, 600_000_000)) == "0.5 cores, 1 thread, 600 MB of memory"
    assert str(machine.ResourceLimits(2.0, 2, 16_500_000_000)) == "2 cores, 2 threads, 16.5 GB of memory"


def test_memory_above_the_limit_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {V2 + "memory.max": f"{64 * MIB}\n"}
    monkeypatch.setattr(cgroups, "ROOT", tree(tmp_path, "0::/\n", V2_MOUNT, files))
    assert machine.memory_shortage(64 * MIB) is None
    assert "about 67 MB of memory, and this process may use 67 MB" in (machine.memory_shortage(64 * MIB + 1) or "")


@pytest.fixture
def real_group() -> Iterator[tuple[Path, Path]]:
    """Create groups of version 1 limited to half a core and 600 MB."""
    folders = [Path(f"/sys/fs/cgroup/{name}/rnnkit-test-{os.getpid()}") for name in ("cpu", "memory")]
    try:
        for folder in folders:
            folder.mkdir()
        (folders[0] / "cpu.cfs_quota_us").write_text("50000", encoding="ascii")
        (folders[1] / "memory.limit_in_bytes").write_text("600000000", encoding="ascii")
    except OSError as error:
        pytest.skip(f"no group can be made here: {error}")
    else:
        yield folders[0], folders[1]
    finally:
        for folder in folders:
            if folder.exists():
                folder.rmdir()


def test_a_real_group(real_group: tuple[Path, Path]) -> None:
    program = (
        "import os, pathlib, sys\n"
        "for group in sys.argv[1:]: (pathlib.Path(group) / 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from rnnkit.system import machine\n"
        "print(machine.resource_limits(), machine.available_memory(), sep='; ')"
    )
    words = [sys.executable, "-c", program, *map(str, real_group)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    allowed, free = done.stdout.split("; ")
    assert allowed == "0.5 cores, 1 thread, 600 MB of memory"
    assert 0 < int(free) <= 600_000_000
