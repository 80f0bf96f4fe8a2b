"""How a network is computed: device, precision, CPU threads, and activation checkpointing.

Between two pieces of work, an OpenMP thread spins in a busy loop, because waking a sleeping thread takes longer than a
small piece of work. If another program competes for the core, the loop takes it from the very thread that the others
wait for: training a small network beside one busy program was forty times slower. GNU OpenMP reduces the loop from
300,000 rounds to 100 while it has more threads than there are cores (its manual, `GOMP_SPINCOUNT`). The contention
monitor measures how long the threads of this process wait in the run queue; as long as it is long, it holds an idle
team of extra threads, which only sleep, so that the runtime stops spinning.

Activation checkpointing (also gradient checkpointing) recomputes activations in the backward pass instead of storing
them: gates, attention weights and other activations of a layer are many times the size of its input and output. Only
the input of a layer is stored, and the activations are recomputed layer by layer, from the last to the first, at the
cost of one more forward pass (Chen et al. 2016, arXiv:1604.06174). Random numbers are replayed, so that dropout masks
and hence gradients are the same. `torch.utils.checkpoint` does the work. Recurrent layers are cut into segments of
time: the activations of one whole layer would take as much memory as the inputs of all others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rnnkit.errors import UsageError
from rnnkit.kernels.dispatch import parallel_region
from rnnkit.nn.cells import State
from rnnkit.system.machine import available_cores, is_library_loaded, run_queue_wait_seconds, usable_processors

ONEDNN_CACHE_CAPACITY = "128"
"""Compiled primitives that oneDNN caches. Its default of 1,024 takes gigabytes with many batch shapes."""

MIN_HIDDEN_FOR_BF16 = 384
"""Hidden size from which bfloat16 pays; in smaller networks the conversions cost more than the products save."""

MIN_HIDDEN_FOR_BF16_SEQUENCES = 128
"""The same for networks whose layers run over whole sequences at once, and never step by step."""

HIGH_CONTENTION, LOW_CONTENTION = 0.25, 0.1
"""Seconds per second that all threads together wait in the run queue: contention starts above the first, and ends below
the second. Alone, a process has 0.01 to 0.05; beside one busy program, 0.5 to 1."""

SAMPLING_INTERVAL = 0.5
"""Seconds between two measurements."""

WAIT_POLICY_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables by which users set how threads wait; they switch the monitor off."""

GNU_OPENMP = "libgomp"
"""Part of the file name of GNU OpenMP, the runtime known to wait this way. Torch's Linux wheels include it."""

MAX_SEGMENT_STEPS = 64
"""Most time steps of a recurrent layer that are recomputed at once."""

T = TypeVar("T")


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is CUDA if available, else the CPU.

    Raises:
        UsageError: `cuda` is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: torch finds no CUDA device",
            hint="use --device auto to fall back to the CPU",
            option="--device",
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(
    name: str, device: torch.device, hidden: int, min_hidden: int = MIN_HIDDEN_FOR_BF16
) -> torch.dtype:
    """Return the type of matrix products in training; weights and optimizer state stay in float32.

    `auto` is bfloat16 if the hardware multiplies it natively and the network is large enough to profit, else float32.
    It is never float16, whose gradients need loss scaling (`training/optimizer.py`).

    Args:
        name: `auto`, `fp32`, `bf16` or `fp16`.
        device: Device of the network.
        hidden: Hidden size of the network.
        min_hidden: Hidden size from which `auto` is bfloat16.
    """
    if name == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bfloat16()
        name = "bf16" if native and hidden >= min_hidden else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def choose_output_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of the output layer's products: `choose_precision` for a size that is always large enough."""
    return choose_precision(name, device, MIN_HIDDEN_FOR_BF16)


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX); emulation is slower than float32."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        probe = getattr(torch.cpu, name, None)
        if probe is not None and probe():
            return True
    return False


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in `dtype`."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def is_fp16_autocast_on_cpu(x: Tensor) -> bool:
    """Return whether autocast to float16 is on for a CPU tensor, where torch has no float16 LSTM and slow gradients."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") == torch.float16


def set_threads(threads: int, processes: int = 1) -> int:
    """Set the number of CPU threads.

    With several threads, also starts the contention monitor. Limits oneDNN's cache of compiled
    primitives through an environment variable that the library reads at its first use.

    Args:
        threads: Threads of this process; 0 for all available cores, divided among the processes.
        processes: Processes that share the cores.

    Returns:
        The number of threads.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", ONEDNN_CACHE_CAPACITY)
    count = threads or max(1, available_cores() // processes)
    torch.set_num_threads(count)
    if count > 1:
        start_contention_monitor()
    return count


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, in Python, on a GPU or in torch on the CPU.

    Torch's allocator on the CPU raises a plain RuntimeError, which only its message distinguishes.
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@cache
def start_contention_monitor() -> bool:
    """Start the contention monitor in a daemon thread, once per process.

    Returns:
        Whether it runs. It does not if the user has set a wait policy, if torch uses another OpenMP runtime, or if the
        system does not report the time in the run queue.
    """
    decided = any(variable in os.environ for variable in WAIT_POLICY_VARIABLES)
    if decided or not is_library_loaded(GNU_OPENMP) or parallel_region() is None or run_queue_wait_seconds() is None:
        return False
    threading.Thread(target=_monitor_contention, name="contention monitor", daemon=True).start()
    return True


class ContentionMonitor:
    """Detects contention for the cores, and holds an idle team while it lasts.

    Args:
        now: Current time in seconds, of any clock.
        waited: Seconds that all threads together have waited in the run queue so far.
    """

    def __init__(self, now: float, waited: float) -> None:
        self._last = now, waited
        # More than the cores even if the process has no other threads at the moment.
        self._team_size = usable_processors() + 1
        self._release: threading.Event | None = None

    @property
    def contended(self) -> bool:
        """Whether there was contention at the last measurement."""
        return self._release is not None

    def update(self, now: float, waited: float) -> None:
        """Compare a measurement with the last one."""
        last_now, last_waited = self._last
        self._last = now, waited
        share = (waited - last_waited) / (now - last_now)
        if self._release is None and share > HIGH_CONTENTION:
            self._release = threading.Event()
            threading.Thread(target=hold_idle_team, args=(self._team_size, self._release), daemon=True).start()
        elif self._release is not None and share < LOW_CONTENTION:
            self._release.set()
            self._release = None


def hold_idle_team(threads: int, release: threading.Event) -> None:
    """Create a team of OpenMP threads, the calling one among them, and keep it idle until `release` is set."""
    no_work = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # free(NULL) does nothing
    parallel = parallel_region()
    assert parallel is not None
    parallel(no_work, None, threads, 0)
    release.wait()


def _monitor_contention() -> None:
    monitor = ContentionMonitor(time.monotonic(), run_queue_wait_seconds() or 0.0)
    while True:
        time.sleep(SAMPLING_INTERVAL)
        monitor.update(time.monotonic(), run_queue_wait_seconds() or 0.0)


class CheckpointedLayer(nn.Module):
    """Base of modules that can recompute their activations.

    Attributes:
        checkpointing: Whether they do.
    """

    checkpointing: bool = False

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function, with checkpointing if it is enabled; the first argument is a tensor."""
        return checkpoint_call(function, *arguments) if self.checkpointing else function(*arguments)


def enable_checkpointing(network: nn.Module) -> None:
    """Enable checkpointing in all modules of a network that support it."""
    for module in network.modules():
        if isinstance(module, CheckpointedLayer):
            module.checkpointing = True


def checkpoint_call(function: Callable[..., T], *arguments: object) -> T:
    """Call a function and recompute it when its gradient is needed; the first argument is a tensor.

    Random numbers, on the CPU and on the tensor's device, are the same both times.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return cast(T, checkpoint(function, *arguments, use_reentrant=False))


def split_segments(x_BTE: Tensor, max_steps: int) -> Sequence[Tensor]:
    """Split the time steps into segments of nearly equal length, each of at most `max_steps` steps."""
    return torch.tensor_split(x_BTE, max(1, -(-x_BTE.shape[1] // max_steps)), dim=1)


def checkpoint_segments(
    layer: Callable[..., tuple[Tensor, State]], x_BTE: Tensor, state: State, *others: object
) -> tuple[Tensor, State]:
    """Run a recurrent layer segment by segment, with checkpointing.

    Args:
        layer: Maps inputs (B, T, E), a state and `others` to hidden states (B, T, H) and the last state.
        x_BTE: Input.
        state: Initial state.
        others: Further arguments, the same for all segments.

    Returns:
        Hidden states of all steps (B, T, H), and the last state.
    """
    outputs = []
    for segment_BTE in split_segments(x_BTE, MAX_SEGMENT_STEPS):
        h_BTH, state = checkpoint_call(layer, segment_BTE, state, *others)
        outputs.append(h_BTH.transpose(0, 1))
    return torch.cat(outputs).transpose(0, 1), state  # time first in memory, as the layers return it
