"""Gradient flow in `diagnose`: networks and their inputs, measurement and report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io.manifest import Workspace
from rnnkit.reports.gradient_plot import describe_profile, format_gradient_table, plot_gradient_flow
from rnnkit.stages.evaluation.diagnose.options import FLOW_HIDDEN, DiagnoseOptions

if TYPE_CHECKING:
    import torch

    from rnnkit.evaluation.gradient_profile import GradientProfile
    from rnnkit.evaluation.lm_scorer import ScoredLines, Scorer
    from rnnkit.io.npy import IntArray
    from rnnkit.models.language_model import LanguageModelNetwork

VOCABULARY = 1000
"""Vocabulary size of an untrained network."""


@dataclass(frozen=True)
class DiagnosedNetwork:
    """A network whose gradient flow is measured.

    Attributes:
        name: Name in the report.
        arch: Architecture.
        network: The network, in evaluation mode.
        input_NT: Input ids before each of the N positions.
        target_N: The next id at each position.
    """

    name: str
    arch: str
    network: LanguageModelNetwork
    input_NT: torch.Tensor
    target_N: torch.Tensor


@dataclass(frozen=True)
class FlowResult:
    """Gradient flow, ready to print.

    Attributes:
        flows: Gradient flow by name of the model.
        archs: Architectures, in the same order.
        by: `state` or `input`.
        share: Fraction of k = 0 whose first shortfall is reported.
        picture: The picture, if one was drawn.
    """

    flows: dict[str, GradientProfile]
    archs: tuple[str, ...]
    by: str
    share: float
    picture: Path | None

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form."""
        positions = sorted({flow.positions for flow in self.flows.values()})
        count = f"{positions[0]}" if len(positions) == 1 else f"{positions[0]} to {positions[-1]}"
        where = "at one position" if positions == [1] else f"mean over {count} positions"
        title = f"norm of the gradient of the loss with respect to the {self.by} k steps before, {where}"
        return (title, "", *format_gradient_table(self.flows, self.share))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: one line per model."""
        return tuple(f"{name}: {describe_profile(flow, self.share)}" for name, flow in self.flows.items())

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        models = [
            {
                "model": name,
                "arch": arch,
                "places": flow.positions,
                "norms": list(flow.norms),
                "relative": list(flow.relative),
                "falls_below_share_at": flow.falls_below(self.share),
                "factor": flow.factor,
            }
            for (name, flow), arch in zip(self.flows.items(), self.archs, strict=True)
        ]
        picture = None if self.picture is None else str(self.picture)
        return {"by": self.by, "share": self.share, "models": models, "picture": picture}


def measure_flow(options: DiagnoseOptions, listen: Listener) -> FlowResult:
    """Measure the gradient flow of all requested models. Raises as `diagnose.run`."""
    from rnnkit.evaluation import gradient_profile

    gradients = {"state": gradient_profile.state_gradient_norms, "input": gradient_profile.input_gradient_norms}[
        options.by
    ]
    flows: dict[str, GradientProfile] = {}
    archs = []
    networks = list(_networks(options, listen))
    for done, diagnosed in enumerate(networks):
        listen(Progress("gradient flow", done, len(networks), "models"))
        flows[diagnosed.name] = gradient_profile.measure_gradient_profile(
            diagnosed.network.double(), diagnosed.input_NT, diagnosed.target_N, options.steps, gradients
        )
        archs.append(diagnosed.arch)
    listen(Progress("gradient flow", len(networks), len(networks), "models", finished=True))
    if options.output is not None:
        plot_gradient_flow(flows, options.share, options.by, options.output)
        listen(Note(f"{options.output} drawn"))
    return FlowResult(flows, tuple(archs), options.by, options.share, options.output)


def _networks(options: DiagnoseOptions, listen: Listener) -> Iterator[DiagnosedNetwork]:
    """Yield the trained models, then the untrained ones, each with its input."""
    folders = options.models or ([] if options.arch else [Workspace(options.work).model])
    for folder in dict.fromkeys(folders):
        yield _open_trained(folder, options, listen)
    for arch in dict.fromkeys(options.arch):
        yield _make_untrained(arch, options)


def _open_trained(folder: Path, options: DiagnoseOptions, listen: Listener) -> DiagnosedNetwork:
    import torch

    from rnnkit.evaluation.gradient_profile import choose_positions
    from rnnkit.evaluation.lm_scorer import open_scorer

    scorer = open_scorer(folder, options.checkpoint, torch.device("cpu"))
    if scorer.network is None:
        raise ArtefactError(f"{folder} is an n-gram model, which has no gradient", path=folder)
    config = scorer.network.config
    _check_has_state(str(folder), config.arch, options.by)
    if config.context == "line":
        listen(WarningEvent(f"{folder} was trained on single lines; here the lines are one stream"))
    ids = _read_ids(scorer, options)
    try:
        input_NT, target_N = choose_positions(ids, options.steps, options.places)
    except ValueError as error:
        raise DataError(
            f"the text is too short for {folder}", str(error), hint="lower --steps", option="--steps"
        ) from None
    if len(target_N) < options.places:
        listen(WarningEvent(f"{folder}: the text has {len(target_N)} suitable positions instead of {options.places}"))
    return DiagnosedNetwork(str(folder), config.arch, scorer.network, input_NT, target_N)


def _read_ids(scorer: Scorer, options: DiagnoseOptions) -> IntArray:
    """Read as much of the text as is needed, as ids of the model's vocabulary."""
    import numpy as np

    from rnnkit.evaluation.gradient_profile import WARMUP_TOKENS
    from rnnkit.evaluation.lm_scorer import read_data, read_text

    text: Iterator[ScoredLines]
    if options.text is not None:
        text = read_text([options.text], scorer)
    else:
        text = read_data(options.data or Workspace(options.work).data, options.split, scorer)
    blocks, tokens = [], 0
    for block in text:
        blocks.append(block.text.ids)
        tokens += len(blocks[-1])
        if tokens > options.places * (WARMUP_TOKENS + options.steps + 2):
            break
    return np.concatenate(blocks)


def _make_untrained(arch: str, options: DiagnoseOptions) -> DiagnosedNetwork:
    from rnnkit.evaluation import gradient_profile
    from rnnkit.evaluation.gradient_profile import WARMUP_TOKENS, random_positions
    from rnnkit.models.language_model import LMConfig

    name = f"new {arch}"
    _check_has_state(name, arch, options.by)
    size = options.hidden or FLOW_HIDDEN
    config = LMConfig(
        arch=arch, vocabulary=VOCABULARY, embedding=size, hidden=size, layers=options.layers,  # type: ignore[arg-type]
        heads=1, memory=WARMUP_TOKENS + options.steps + 1,
    )  # fmt: skip
    network = gradient_profile.initialize_model(config, options.start, options.seed)  # type: ignore[arg-type]
    return DiagnosedNetwork(
        name, arch, network, *random_positions(VOCABULARY, options.steps, options.places, options.seed)
    )


def _check_has_state(name: str, arch: str, by: str) -> None:
    if arch == "transformer" and by == "state":
        raise ArtefactError(
            f"{name}: a Transformer has no recurrent state",
            "self-attention reaches previous tokens directly, without a chain of states",
            hint="--by input measures the gradient with respect to the input embeddings, for all architectures",
            option="--by",
        )
