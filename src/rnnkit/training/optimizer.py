"""From a loss to changed weights: gradient, clipping, the optimiser's step, and the running mean of the weights.

    g = d loss / d theta, added over batches and processes, cut to a norm and, where asked for, each number to a range
    g = (d (s loss) / d theta) / s before that, and no change where it overflows: for float16, see `loss_scale.py`
    theta' = optimiser(theta, g)                     Adam, AdamW, or theta - rate * g
    mean' = d mean + (1 - d) theta'                  d grows to `ema_decay` (after Polyak and Juditsky 1992)

Every task of a network keeps its optimiser, its means and its random states here, and gets them into the checkpoint.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnnkit.errors import ConfigError
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.models import model_weights
from rnnkit.nn.kinds import Optimizer
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.distributed import ProcessGroup
from rnnkit.training.loss_scaling import LossScaler
from rnnkit.training.task import LossScaling

EMA_WARMUP = 10.0
"""The mean forgets its start: after t steps no more than (1 + t) / (10 + t) of it is old."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights change.

    Attributes:
        optimizer: `adam` adds the weight decay to the gradient, `adamw` takes it off the weights; `sgd` is plain.
        weight_decay: Strength of the weight decay.
        clip: Norm to which a longer gradient is shortened; 0 for none.
        clip_value: Size to which each larger number of the gradient is cut; 0 for none.
        beta1: Share of Adam's mean gradient kept from step to step (its beta 1).
        ema_decay: Share of the running mean of the weights kept from step to step; 0 where there is none.
        keep_snapshots: Snapshots of the weights kept for averaging.
        scale_loss: Whether the loss is scaled, as gradients in float16 need it.
    """

    optimizer: Optimizer
    weight_decay: float = 0.0
    clip: float = 1.0
    clip_value: float = 0.0
    beta1: float = 0.9
    ema_decay: float = 0.0
    keep_snapshots: int = 0
    scale_loss: bool = False


@dataclass(frozen=True)
class UpdateResult:
    """What a step came to.

    Attributes:
        norm: The gradient's norm before clipping; 0 where it overflowed.
        scaling: What came of scaling the loss, where it is scaled.
    """

    norm: float
    scaling: LossScaling | None = None


class NetworkOptimizer:
    """The moving parts of a network's training.

    Args:
        network: What learns.
        settings: How.
        folder: The model directory.
        group: The processes that take each step together; this one alone unless given.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: OptimizerSettings,
        folder: RunDirectory | Path,
        group: ProcessGroup | None = None,
    ) -> None:
        self.group = group or ProcessGroup()
        self._network = network
        self._settings = settings
        self._folder = folder
        self.device = next(network.parameters()).device
        self._tensors = model_weights.unique_tensors(network)
        self.group.broadcast_tensors(list(self._tensors.values()))
        self._trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._optimizer = _make_optimizer(settings, self._trained)
        self._mean = [parameter.detach().clone() for parameter in self._trained] if settings.ema_decay else []
        self._scale = LossScaler() if settings.scale_loss else None
        self._steps = 0
        self._unit = 0

    def step(self, loss: Tensor, rate: float) -> float:
        """Take the gradient of a loss and change the weights. Returns the gradient's norm before clipping."""
        self.backward(loss, 1)
        return self.update(1, rate).norm

    def backward(self, mean: Tensor, tokens: int) -> None:
        """Add the gradient of a batch to the step's.

        Args:
            mean: The loss, as the mean of a token.
            tokens: Tokens that it is the mean of.
        """
        if not self._unit:
            self._optimizer.zero_grad()
            self._unit = max(1, tokens)
        # Until the sum of all is known, the first batch's tokens are the unit: one batch alone is scaled by nothing.
        factor = tokens / self._unit * self._factor
        torch.autograd.backward(mean if factor == 1 else mean * factor)

    def update(self, tokens: int, rate: float) -> UpdateResult:
        """Change the weights by the gradients added since the last change, in all processes.

        Where the loss is scaled and the gradient has overflowed, nothing is changed but the scale: in all processes
        alike, as each looks at the sum of all.

        Args:
            tokens: Tokens of all batches of all processes.
            rate: Learning rate.
        """
        if not self._unit:
            self._optimizer.zero_grad()
        self.group.all_reduce_gradients(self._trained, self._unit / max(1, tokens) / self._factor)
        self._unit = 0
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._settings.clip or float("inf"))
        scaling = self._judge(norm)
        if scaling is not None and scaling.skipped:
            return UpdateResult(0.0, scaling)
        if self._settings.clip_value:
            torch.nn.utils.clip_grad_value_(self._trained, self._settings.clip_value)
        self._optimizer.step()
        self._steps += 1
        if self._mean:
            kept = min(self._settings.ema_decay, (1 + self._steps) / (EMA_WARMUP + self._steps))
            torch._foreach_lerp_(self._mean, [parameter.detach() for parameter in self._trained], 1 - kept)
        return UpdateResult(norm.item(), scaling)

    def discard_gradients(self) -> None:
        """Drop the gradients added since the last change."""
        self._optimizer.zero_grad()
        self._unit = 0

    @property
    def _factor(self) -> float:
        """What losses are multiplied by."""
        return 1.0 if self._scale is None else self._scale.value

    def _judge(self, norm: Tensor) -> LossScaling | None:
        """Adapt the scale; the norm of a gradient is finite where all its numbers are."""
        if self._scale is None:
            return None
        finite = math.isfinite(norm.item())
        self._scale.update(finite)
        return LossScaling(self._scale.value, skipped=not finite)

    @contextlib.contextmanager
    def ema_weights(self) -> Iterator[None]:
        """A context in which the network has the mean of its weights, where one is kept."""
        own = [parameter.detach().clone() for parameter in self._trained] if self._mean else []
        self._put(self._mean)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, tensors: list[Tensor]) -> None:
        for parameter, tensor in zip(self._trained, tensors or self._trained, strict=True):
            if parameter is not tensor:
                parameter.copy_(tensor)

    def state_dict(self) -> Mapping[str, Arrays]:
        """Weights, their means, the optimiser's moments, the scale, the states of the random number generators."""
        moments: dict[str, NDArray[Any]] = {}
        for name, parameter in self._network.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    moments[f"{name}:{key}"] = to_numpy(value)
        random = {"cpu": torch.get_rng_state().numpy()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state().numpy()
        random = dict(self.group.gather_arrays(random))
        own = {name: to_numpy(tensor) for name, tensor in self._tensors.items()}
        state: dict[str, Arrays] = {"weights": own, "optimiser": moments, "random": random}
        if self._mean:
            means = {str(number): to_numpy(tensor) for number, tensor in enumerate(self._mean)}
            state["mean"] = {**means, "steps": torch.tensor([self._steps]).numpy()}
        if self._scale is not None:
            state["loss-scale"] = self._scale.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made.

        Raises:
            FormatError: The weights are another network's.
            ConfigError: There were more or fewer processes.
        """
        self._take_up_random(state["random"])
        tensors = {name: torch.from_numpy(array) for name, array in state["weights"].items()}
        model_weights.copy_into(self._network, tensors, self._folder / "last" / "weights.safetensors")
        for name, parameter in self._network.named_parameters():
            keys = [key for key in state["optimiser"] if key.startswith(f"{name}:")]
            self._optimizer.state[parameter] = {
                key.rpartition(":")[2]: torch.from_numpy(state["optimiser"][key].copy()).to(self.device) for key in keys
            }
        for number, tensor in enumerate(self._mean):
            tensor.copy_(torch.from_numpy(state["mean"][str(number)].copy()))
        if self._mean:
            self._steps = int(state["mean"]["steps"][0])
        if self._scale is not None:
            self._scale.load_state_dict(state["loss-scale"])

    def _take_up_random(self, random: Arrays) -> None:
        processes = sum(name.endswith("cpu") for name in random)
        if processes != self.group.world_size:
            raise ConfigError(
                f"the run in {self._folder} was made by {processes} processes, not {self.group.world_size}",
                "each has random numbers of its own",
                hint=f"go on with --processes {processes}",
            )
        own = self.group.local_arrays(random)
        torch.set_rng_state(torch.from_numpy(own["cpu"].copy()))
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(torch.from_numpy(own["cuda"].copy()))

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        if not self.group.is_main:
            return
        with self.ema_weights():
            if name != "snapshot":
                model_weights.save(self._folder / f"{name}.safetensors", self._tensors, facts)
            elif self._settings.keep_snapshots:
                snapshots = self._folder / "snapshots"
                model_weights.save(snapshots / f"step-{facts['step']:08d}.safetensors", self._tensors, facts)
                for old in sorted(snapshots.glob("step-*.safetensors"))[: -self._settings.keep_snapshots]:
                    old.unlink()


def _make_optimizer(settings: OptimizerSettings, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=0.0, weight_decay=settings.weight_decay, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    betas = (settings.beta1, 0.999)
    return kind(parameters, lr=0.0, betas=betas, weight_decay=settings.weight_decay, fused=True)


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """A tensor's numbers in main memory."""
    return tensor.detach().cpu().numpy()
