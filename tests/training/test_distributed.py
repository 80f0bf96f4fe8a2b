"""Process groups: collective operations, summed gradients, shared memory, and the detection of a lost peer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests import unmeasured
from tests.raising import raises

from rnnkit.errors import ConfigError
from rnnkit.training import distributed
from rnnkit.training.distributed import LaunchResult, attach_shared_memory, create_shared_memory, launch
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.process_group import PeerLostError, ProcessGroup, RankInfo, rank_from_environment

AMONG = {"MASTER_ADDR": "localhost", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}

AGREEING = """
import os, sys
import numpy as np
import torch
from pathlib import Path
from rnnkit.training import distributed
from rnnkit.training.distributed import join_process_group

def refuse(*given):
    raise OSError("another user's")

with join_process_group("cpu") as group:
    rank = group.rank_info.rank
    if rank and sys.argv[2] == "apart":
        distributed.attach_shared_memory = refuse
    assert (group.world_size, group.is_main) == (2, rank == 0)
    assert list(group.all_reduce_max(rank, 5 - rank)) == [1, 5]
    assert list(group.broadcast(rank + 0.5, -1.0)) == [0.5, -1.0]
    assert list(group.all_reduce_sum(rank + 1, 0.25)) == [3.0, 0.5]
    tensor = torch.full((3, 5), float(rank))
    group.broadcast_tensors([tensor])
    assert (tensor == 0).all()

    both, one, none = (torch.nn.Parameter(torch.zeros(size)) for size in ((3, 5), (7,), (2,)))
    both.grad = torch.full((3, 5), rank + 1.0)
    if rank:
        one.grad = torch.arange(7.0)
    group.all_reduce_gradients([both, one, none], 2.0 - rank)
    assert (both.grad == 2 * 1 + 1 * 2).all()
    assert torch.equal(one.grad, torch.arange(7.0))
    assert none.grad is None, "no rank has a gradient of it"
    group.all_reduce_gradients([none], 1.0)
    assert none.grad is None
    for step in range(3):
        both.grad, one.grad = torch.full((3, 5), float(step)), None
        group.all_reduce_gradients([both, one, none], 1.0)
        assert (both.grad == 2 * step).all() and one.grad is None
    shared = sys.argv[2] == "shared" and hasattr(os, "memfd_create")
    assert {isinstance(sum_, distributed.SharedMemorySum) for sum_ in group._sums.values()} == {shared}

    arrays = {"a": np.full((rank + 2, 3), rank, np.float32), "b": np.arange(rank, dtype=np.uint8)}
    collected = group.gather_arrays(arrays)
    if group.is_main:
        assert set(collected) == {"a", "b", "process-1:a", "process-1:b"}
        assert collected["process-1:a"].shape == (3, 3)
    whole = {**arrays, "process-1:a": np.ones(7), "process-2:a": np.zeros(7)}
    assert set(group.local_arrays(whole)) == ({"a"} if rank else {"a", "b"})

    torch.manual_seed(1)
    group.seed_per_rank(1)
    drawn = torch.rand(3)
    first = drawn.clone()
    group.broadcast_tensors([first])
    assert torch.equal(first, drawn) == group.is_main
    Path(sys.argv[1], str(rank)).touch()
"""

OVERFLOWING = """
import sys
from pathlib import Path
import torch
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings, UpdateResult
from rnnkit.training.distributed import join_process_group
from rnnkit.training.task import LossScaling

with join_process_group("cpu") as group:
    rank = group.rank_info.rank
    torch.manual_seed(rank)
    network = torch.nn.Linear(3, 5)
    optimizer = NetworkOptimizer(network, OptimizerSettings("adam", scale_loss=True), Path(), group)
    before = network.weight.detach().clone()
    seen = []
    for worst in (1.0, float("inf"), 1.0):
        optimizer.backward(network.weight.sum() * (worst if rank == 1 else 1.0), 3 + rank)
        seen.append(optimizer.update(7, 0.1))
    assert [change.scaling for change in seen] == [
        LossScaling(2.0**16, False), LossScaling(2.0**15, True), LossScaling(2.0**15, False)
    ]
    assert seen[0] == UpdateResult(seen[2].norm, seen[0].scaling)
    first = network.weight.detach().clone()
    group.broadcast_tensors([first])
    assert torch.equal(first, network.weight), "the ranks have diverged"
    assert not torch.equal(first, before)
    Path(sys.argv[1], str(rank)).touch()
"""

LEAVING = """
import contextlib, sys
from pathlib import Path
from rnnkit.training.distributed import join_process_group

def talkers():
    return [name for path in Path("/proc/self/task").glob("*/comm") if "gloo" in (name := path.read_text())]

with contextlib.suppress(ZeroDivisionError), join_process_group("cpu") as group:
    import torch._dynamo  # as an optimizer does; all that torch knows of distributed training comes with it
    group.barrier()
    assert talkers()
    1 / int(sys.argv[2])
assert not talkers()
Path(sys.argv[1], str(group.rank_info.rank)).touch()
"""

DYING = """
import os, signal, sys
from pathlib import Path
from rnnkit.training.distributed import PeerLostError, join_process_group

# The launcher terminates the others at once, perhaps before they detect the loss.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with join_process_group("cpu") as group:
    group.barrier()
    if group.rank_info.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        group.barrier()
    except PeerLostError as failure:
        assert "--resume" in str(failure)
        Path(sys.argv[1], "noticed").touch()
        sys.exit(3)
"""


def test_the_rank_is_read_from_the_environment() -> None:
    assert rank_from_environment(AMONG) == RankInfo(3, 4, 1, 2)
    assert rank_from_environment({}) == RankInfo(0, 1, 0, 1)


@pytest.mark.parametrize("name", AMONG)
def test_an_incomplete_environment_means_a_single_process(name: str) -> None:
    assert rank_from_environment({key: value for key, value in AMONG.items() if key != name}) == RankInfo()


def test_collective_operations_of_one_process() -> None:
    group = ProcessGroup()
    assert group.is_main
    assert (group.all_reduce_max(3, 1), group.broadcast(2.0), group.all_reduce_sum(1.0)) == ((3, 1), (2.0,), (1.0,))
    arrays = {"cpu": np.arange(3)}
    assert group.local_arrays(group.gather_arrays(arrays)) == arrays
    parameter, other = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.arange(3.0)
    group.all_reduce_gradients([parameter, other], 0.5)
    assert torch.equal(parameter.grad, torch.tensor([0.0, 0.5, 1.0]))
    assert other.grad is None


@pytest.mark.parametrize("memory", ["shared", "apart"])
def test_collective_operations_of_two_processes(tmp_path: Path, memory: str) -> None:
    ending = launch([sys.executable, "-c", AGREEING, str(tmp_path), memory], 2)
    assert ending == LaunchResult(0)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


def test_all_ranks_skip_a_step_that_overflows_in_one(tmp_path: Path) -> None:
    ending = launch([sys.executable, "-c", OVERFLOWING, str(tmp_path)], 2)
    assert ending == LaunchResult(0)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the threads in /proc")
@pytest.mark.parametrize("divisor", ["1", "0"], ids=["done", "failed"])
def test_no_thread_outlives_the_group(tmp_path: Path, divisor: str) -> None:
    """A thread that still runs when Python exits would abort the process."""
    ending = launch([sys.executable, "-c", LEAVING, str(tmp_path), divisor], 2)
    assert ending == LaunchResult(0)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


def test_a_lost_peer_is_detected_and_named(tmp_path: Path) -> None:
    ending = launch([sys.executable, "-c", DYING, str(tmp_path)], 2)
    assert ending == LaunchResult(128 + 9, (1, "SIGKILL"))
    assert (tmp_path / "noticed").exists()


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ({0: (1, 5), 1: (-9, 5)}, LaunchResult(137, (1, "SIGKILL"))),
        ({0: (-15, 9), 1: (2, 5)}, LaunchResult(2)),
        ({0: (-15, 5), 1: (-9, 5)}, LaunchResult(137, (1, "SIGKILL"))),
        ({0: (-6, 5), 1: (-9, 5)}, LaunchResult(137, (1, "SIGKILL"))),
        ({1: (1, 5), 0: (3, 5)}, LaunchResult(3)),
    ],
)
def test_the_first_failure_decides(failures: dict[int, tuple[int, int]], expected: LaunchResult) -> None:
    seen: dict[int, Any] = {
        rank: SimpleNamespace(exitcode=code, timestamp=when) for rank, (code, when) in failures.items()
    }
    assert distributed._first_failure(seen) == expected


def test_a_checkpoint_needs_the_same_number_of_processes() -> None:
    torch.manual_seed(1)
    optimizer = NetworkOptimizer(torch.nn.Linear(3, 5), OptimizerSettings("adam"), Path("model"))
    state = {**optimizer.state_dict()}
    state["random"] = {**state["random"], "process-1:cpu": state["random"]["cpu"]}
    with raises(ConfigError, "2 processes, not 1", "--processes 2", option="--processes"):
        optimizer.load_state_dict(state)


def test_peer_loss_has_a_hint_to_resume() -> None:
    error = PeerLostError("Connection closed by peer\nand more")
    assert error.details[0] == "Connection closed by peer"
    assert error.hint is not None and "--resume" in error.hint


pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no anonymous files")

OTHER = """
import sys
from rnnkit.training.distributed import attach_shared_memory
rows = attach_shared_memory(int(sys.argv[1]), int(sys.argv[2]), 2, 3)
assert rows[0].tolist() == [1.0, 2.0, 3.0]
rows[1] = rows[0] * 2
"""


REFUSED = """
import os
from rnnkit.training.distributed import create_shared_memory
before = os.listdir("/proc/self/fd")
try:
    create_shared_memory(2, 1000)
except OSError as failure:
    assert "too large" in str(failure), failure
else:
    raise AssertionError
assert os.listdir("/proc/self/fd") == before
"""


def test_another_process_reads_and_writes_the_same_numbers() -> None:
    descriptor = create_shared_memory(2, 3)
    rows = attach_shared_memory(os.getpid(), descriptor, 2, 3)
    assert torch.equal(rows, torch.zeros(2, 3))
    rows[0] = torch.tensor([1.0, 2.0, 3.0])
    subprocess.run([sys.executable, "-c", OTHER, str(os.getpid()), str(descriptor)], check=True)
    os.close(descriptor)
    assert rows[1].tolist() == [2.0, 4.0, 6.0]


def test_the_memory_is_freed_with_the_rows() -> None:
    descriptor = create_shared_memory(1, 1_000_000)
    rows = attach_shared_memory(os.getpid(), descriptor, 1, 1_000_000)
    os.close(descriptor)
    held = Path("/proc/self/maps").read_text()
    assert rows.sum() == 0
    assert "rnnkit-sum" in held
    del rows
    assert "rnnkit-sum" not in Path("/proc/self/maps").read_text()


def test_attaching_to_a_closed_descriptor_fails() -> None:
    with pytest.raises(OSError, match="No such file"):
        attach_shared_memory(os.getpid(), -1, 2, 3)


def test_attaching_to_another_file_fails(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(bytes(24))
    with path.open("r+b") as file, pytest.raises(OSError, match="not the shared memory"):
        attach_shared_memory(os.getpid(), file.fileno(), 2, 3)
    descriptor = create_shared_memory(2, 4)
    with pytest.raises(OSError, match="not the shared memory"):
        attach_shared_memory(os.getpid(), descriptor, 2, 3)
    os.close(descriptor)
    assert path.read_bytes() == bytes(24)


def test_a_file_size_limit_raises_and_closes_the_file() -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    done = subprocess.run(
        [sys.executable, "-c", limited + REFUSED], capture_output=True, text=True, check=False,
        env=unmeasured.environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
