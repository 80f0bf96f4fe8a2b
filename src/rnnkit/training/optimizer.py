"""From a loss to updated weights: backward pass, loss scaling, gradient clipping, the optimizer's update, and EMA.

    g = d loss / d theta, accumulated over batches and processes, clipped by norm and optionally by value
    g = (d (s loss) / d theta) / s before clipping, with loss scaling for float16
    theta' = optimizer(theta, g)                     Adam, AdamW, or SGD: theta - rate * g
    average' = d average + (1 - d) theta'            d grows to `ema_decay`: d = min(ema_decay, (1 + t) / (10 + t))

Dynamic loss scaling (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2): float16 has no values between 0 and
6e-8, and none above 65,504. Most gradients are small, so the loss is multiplied by a scale s, a power of two that is as
large as possible: if any value of the gradient is infinite or NaN, the step is skipped and s is halved; after some
thousand finite gradients s is doubled. Powers of two do not round a gradient. `LossScaler` is `torch.amp.GradScaler`
with a state that is saved exactly.

All tasks that train a network keep its optimizer, moving average and random states here, and so get them into
checkpoints.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnnkit.errors import ConfigError
from rnnkit.io.resumable_output import RunDirectory
from rnnkit.json_types import JsonMapping
from rnnkit.models import model_weights
from rnnkit.nn.kinds import Optimizer
from rnnkit.training import row_updates
from rnnkit.training.checkpoint import Array, Arrays
from rnnkit.training.layerwise import LayerwiseTraining
from rnnkit.training.process_group import ProcessGroup
from rnnkit.training.row_updates import RowAdam, RowGradient
from rnnkit.training.task import LossScaling

OPTIMIZER_FILE = "optimiser"
"""Name of the optimizer's file in a checkpoint, as older versions spell it."""

EMA_WARMUP = 10.0
"""After t updates at most (1 + t) / (WARMUP + t) of the average is old, so that it forgets the initial weights."""

INITIAL_LOSS_SCALE = 2.0**16
"""Scale of the first step; a run may skip a few steps at its beginning until the scale is low enough."""

GROWTH_INTERVAL = 2000
"""Consecutive finite gradients after which the scale is doubled."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights are updated.

    Attributes:
        optimizer: `adam` adds weight decay to the gradient, `adamw` decouples it; `sgd` is without momentum.
        weight_decay: Weight decay.
        clip: Gradient clipping by norm; 0 disables it.
        clip_value: Gradient clipping by value; 0 disables it.
        beta1: Adam's decay of the first moment.
        ema_decay: Decay of the exponential moving average (EMA) of the weights; 0 disables it.
        keep_snapshots: Number of latest snapshots of the weights to keep for averaging.
        scale_loss: Whether to scale the loss, as float16 gradients require.
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
    """Result of an update.

    Attributes:
        norm: Norm of the gradient before clipping; 0 if it overflowed.
        scaling: Effect on the loss scale, if the loss is scaled.
    """

    norm: float
    scaling: LossScaling | None = None


class NetworkOptimizer:
    """Optimizer of a network, with gradient accumulation, clipping, loss scaling and EMA.

    Call `begin_step`, `backward` for each batch of a step, then `update`.

    Args:
        network: The network.
        settings: How to update it.
        folder: The model directory, for saved weights.
        group: Process group of data-parallel training; a single process by default.
        layerwise: How layers differ in training; all are trained alike by default.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: OptimizerSettings,
        folder: RunDirectory | Path,
        group: ProcessGroup | None = None,
        layerwise: LayerwiseTraining | None = None,
    ) -> None:
        self.group = group or ProcessGroup()
        self._network = network
        self._settings = settings
        self._folder = folder
        self.device = next(network.parameters()).device
        self._tensors = model_weights.unique_tensors(network)
        self.group.broadcast_tensors(list(self._tensors.values()))
        self._trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._layerwise = layerwise
        self._steps = 0
        self._rows = RowAdam(row_updates.sparse_tables(network), averaged=bool(settings.ema_decay))
        in_rows = set(self._rows.tables.values())
        self._dense = [parameter for parameter in self._trained if parameter not in in_rows]
        groups = [{"params": self._dense}] if layerwise is None else layerwise.optimizer_groups()
        self._optimizer = _make_optimizer(settings, groups)
        self._ema = WeightEMA(self._dense, self._rows, settings.ema_decay) if settings.ema_decay else None
        self._scaler = LossScaler() if settings.scale_loss else None
        self._accumulated_unit = 0

    def step(self, loss: Tensor, learning_rate: float) -> float:
        """Take a step with a single loss: `backward` and `update`. Return the gradient's norm before clipping."""
        self.backward(loss, 1)
        return self.update(1, learning_rate).norm

    def begin_step(self) -> None:
        """Freeze the layers that are not trained in the next step."""
        if self._layerwise is not None:
            self._layerwise.apply(self._steps)

    def backward(self, mean_loss: Tensor, tokens: int) -> None:
        """Add the gradient of a batch to the step's.

        Args:
            mean_loss: Loss per token.
            tokens: Number of tokens of the batch, its weight in the step.
        """
        if not self._accumulated_unit:
            self._optimizer.zero_grad()
            self._accumulated_unit = max(1, tokens)
        # The total is not known yet, so weights are relative to the first batch; a single batch is not rescaled at all.
        factor = tokens / self._accumulated_unit * self._loss_scale
        torch.autograd.backward(mean_loss if factor == 1 else mean_loss * factor)

    def update(self, tokens: int, learning_rate: float) -> UpdateResult:
        """Update the weights with the accumulated gradients of all processes.

        If the loss is scaled and the gradient overflows, only the scale changes; all ranks decide alike, since they
        have the same sum.

        Args:
            tokens: Number of tokens in all batches of all processes.
            learning_rate: Learning rate.
        """
        if not self._accumulated_unit:
            self._optimizer.zero_grad()
        rows = self._reduce_gradients(self._accumulated_unit / max(1, tokens) / self._loss_scale)
        self._accumulated_unit = 0
        self._steps += 1
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group.get("scale", 1.0)
        norm = self._clip_norm(list(rows.values()))
        scaling = self._update_loss_scale(norm)
        if scaling is not None and scaling.skipped:
            return UpdateResult(0.0, scaling)
        if self._settings.clip_value:
            torch.nn.utils.clip_grad_value_(self._dense, self._settings.clip_value)
            row_updates.clip_values(list(rows.values()), self._settings.clip_value)
        self._optimizer.step()
        decay = 0.0 if self._ema is None else self._ema.update()
        self._rows.step(rows, learning_rate, decay)
        return UpdateResult(norm.item(), scaling)

    def discard_gradients(self) -> None:
        """Discard the gradients accumulated since the last update."""
        self._optimizer.zero_grad()
        self._rows.collect()
        self._accumulated_unit = 0

    def _reduce_gradients(self, weight: float) -> dict[str, RowGradient]:
        """Sum weight times gradient over all processes; returns those of tables that are updated by rows."""
        if self.group.world_size > 1:
            row_updates.make_dense(self._rows.tables.values())
            self.group.all_reduce_gradients(self._trained, weight)
            return self._rows.collect()
        self.group.all_reduce_gradients(self._dense, weight)
        rows = self._rows.collect()
        row_updates.scale_gradients(list(rows.values()), weight)
        return rows

    def _clip_norm(self, rows: Sequence[RowGradient]) -> Tensor:
        """Clip the gradient by the norm of all its parts together; returns the norm before."""
        gradients = [parameter.grad for parameter in self._dense if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([*gradients, *(each.values_RD for each in rows)])
        limit = self._settings.clip or float("inf")
        torch.nn.utils.clip_grads_with_norm_(self._dense, limit, norm)
        row_updates.clip_norm(rows, limit, norm)
        return norm

    @property
    def _loss_scale(self) -> float:
        return 1.0 if self._scaler is None else self._scaler.scale

    def _update_loss_scale(self, norm: Tensor) -> LossScaling | None:
        """Adapt the loss scale; the norm is finite if and only if the whole gradient is."""
        if self._scaler is None:
            return None
        finite = math.isfinite(norm.item())
        self._scaler.update(finite)
        return LossScaling(self._scaler.scale, skipped=not finite)

    def ema_weights(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the network has the moving average of its weights, if EMA is enabled."""
        return contextlib.nullcontext() if self._ema is None else self._ema.applied()

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return weights, moving average, optimizer moments, loss scale and random states."""
        moments: dict[str, Array] = {}
        for name, parameter in self._network.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    moments[f"{name}:{key}"] = to_numpy(value)
        random = {"cpu": torch.get_rng_state().numpy()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state().numpy()
        random = dict(self.group.gather_arrays(random))
        weights = {name: to_numpy(tensor) for name, tensor in self._tensors.items()}
        state: dict[str, Arrays] = {"weights": weights, OPTIMIZER_FILE: moments, "random": random}
        if self._rows.tables:
            state["rows"] = self._rows.state_dict()
        if self._ema is not None:
            state["mean"] = self._ema.state_dict()
        if self._scaler is not None:
            state["loss-scale"] = self._scaler.state_dict()
        if self._layerwise is not None:
            state["layerwise"] = {"steps": np.array([self._steps])}
        return state

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`.

        Raises:
            FormatError: The weights do not fit the network.
            ConfigError: The state is of another number of processes.
        """
        self._restore_random_states(state["random"])
        tensors = {name: torch.from_numpy(array) for name, array in state["weights"].items()}
        model_weights.copy_into(self._network, tensors, self._folder / "last" / "weights.safetensors")
        moments = state[OPTIMIZER_FILE]
        for name, parameter in self._network.named_parameters():
            keys = [key for key in moments if key.startswith(f"{name}:")]
            self._optimizer.state[parameter] = {
                key.rpartition(":")[2]: torch.from_numpy(moments[key].copy()).to(self.device) for key in keys
            }
        if self._rows.tables:
            self._rows.load_state_dict(state["rows"])
        if self._ema is not None:
            self._ema.load_state_dict(state["mean"])
        if self._scaler is not None:
            self._scaler.load_state_dict(state["loss-scale"])
        if self._layerwise is not None:
            self._steps = int(state["layerwise"]["steps"][0])

    def _restore_random_states(self, random: Arrays) -> None:
        processes = sum(name.endswith("cpu") for name in random)
        if processes != self.group.world_size:
            raise ConfigError(
                f"the run in {self._folder} has {processes} processes, not {self.group.world_size}",
                "each has its own random state",
                hint=f"continue with --processes {processes}",
                option="--processes",
            )
        own = self.group.local_arrays(random)
        torch.set_rng_state(torch.from_numpy(own["cpu"].copy()))
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(torch.from_numpy(own["cuda"].copy()))

    def save_weights(self, name: str, facts: JsonMapping) -> None:
        """Write the (averaged) weights as `best`, or as a snapshot of this step if snapshots are kept."""
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


def _make_optimizer(settings: OptimizerSettings, parameters: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=0.0, weight_decay=settings.weight_decay, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    betas = (settings.beta1, 0.999)
    return kind(parameters, lr=0.0, betas=betas, weight_decay=settings.weight_decay, fused=True)


def to_numpy(tensor: Tensor) -> Array:
    """Convert a tensor, of any device, to a NumPy array."""
    return tensor.detach().cpu().numpy()


@dataclass
class LossScaler:
    """Scale of the next step's loss.

    Attributes:
        scale: Factor of the loss.
        finite_steps: Consecutive finite gradients since the scale changed.
    """

    scale: float = field(default_factory=lambda: INITIAL_LOSS_SCALE)
    finite_steps: int = 0

    def update(self, finite: bool) -> None:
        """Adapt the scale, given whether the whole gradient of a step was finite."""
        self.finite_steps = self.finite_steps + 1 if finite else 0
        if not finite:
            self.scale /= 2
        elif self.finite_steps == GROWTH_INTERVAL:
            self.scale, self.finite_steps = self.scale * 2, 0

    def state_dict(self) -> Arrays:
        """Return the state as arrays."""
        return {"value": np.array([self.scale]), "good": np.array([self.finite_steps])}

    def load_state_dict(self, state: Arrays) -> None:
        """Restore a state from `state_dict`."""
        self.scale, self.finite_steps = float(state["value"][0]), int(state["good"][0])


class WeightEMA:
    """Exponential moving average of parameters.

    Args:
        parameters: The parameters.
        rows: Tables that are updated by rows, which keeps their averages.
        decay: Share of the average that one update keeps, once the warm-up is over.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], rows: RowAdam, decay: float) -> None:
        self._parameters = parameters
        self._rows = rows
        self._decay = decay
        self._averages = [parameter.detach().clone() for parameter in parameters]
        self._updates = 0

    def update(self) -> float:
        """Update the average with the current parameters, and return its decay in this step."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (EMA_WARMUP + self._updates))
        torch._foreach_lerp_(self._averages, [parameter.detach() for parameter in self._parameters], 1 - decay)
        return decay

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the parameters by their average within the block."""
        parameters = [*self._parameters, *self._rows.tables.values()]
        original = [parameter.detach().clone() for parameter in parameters]
        self._assign(parameters, [*self._averages, *self._rows.averages()])
        try:
            yield
        finally:
            self._assign(parameters, original)

    @staticmethod
    @torch.no_grad()
    def _assign(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> Arrays:
        """Return the averages by the parameters' index, and the number of updates under `steps`."""
        averages = {str(index): tensor.detach().cpu().numpy() for index, tensor in enumerate(self._averages)}
        return {**averages, "steps": torch.tensor([self._updates]).numpy()}

    def load_state_dict(self, state: Arrays) -> None:
        """Restore a state from `state_dict`."""
        for index, tensor in enumerate(self._averages):
            tensor.copy_(torch.from_numpy(state[str(index)].copy()))
        self._updates = int(state["steps"][0])
