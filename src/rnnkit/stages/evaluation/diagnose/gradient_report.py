"""The half of `diagnose` that looks at gradients: which networks, what they read, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io.workspace import Workspace
from rnnkit.reports.gradient_flow import describe, draw_flows, tabulate
from rnnkit.stages.evaluation.diagnose.options import FLOW_HIDDEN, DiagnoseOptions

if TYPE_CHECKING:
    import torch

    from rnnkit.evaluation.gradient_flow import Flow
    from rnnkit.evaluation.scored_text import ScoredLines
    from rnnkit.evaluation.scorer import Scorer
    from rnnkit.io.npy import IntArray
    from rnnkit.models.language_model import LanguageModel

VOCABULARY = 1000
"""Tokens of a network that was not trained on any."""


@dataclass(frozen=True)
class DiagnosedNetwork:
    """A network whose gradients are looked at.

    Attributes:
        name: As it is shown.
        arch: Its kind.
        network: In evaluation mode.
        input_NT: What it reads up to each place.
        target_N: What comes next.
    """

    name: str
    arch: str
    network: LanguageModel
    input_NT: torch.Tensor
    target_N: torch.Tensor


@dataclass(frozen=True)
class FlowResult:
    """Gradient flow, ready to print.

    Attributes:
        flows: By the name of the model.
        archs: Their kinds, in the same order.
        by: `state` or `input`.
        share: Share of k = 0 that is looked for.
        picture: Where it was drawn, if it was.
    """

    flows: dict[str, Flow]
    archs: tuple[str, ...]
    by: str
    share: float
    picture: Path | None

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed."""
        places = sorted({flow.places for flow in self.flows.values()})
        count = f"{places[0]}" if len(places) == 1 else f"{places[0]} to {places[-1]}"
        where = "at one place" if places == [1] else f"the mean of {count} places"
        title = f"gradient of the loss by the {self.by} k steps before: its norm, {where}"
        return (title, "", *tabulate(self.flows, self.share))

    @property
    def numbers(self) -> tuple[str, ...]:
        """What is printed with `--quiet`: a line a model."""
        return tuple(f"{name}: {describe(flow, self.share)}" for name, flow in self.flows.items())

    def as_dict(self) -> dict[str, Any]:
        """What is printed with `--json`."""
        models = [
            {
                "model": name,
                "arch": arch,
                "places": flow.places,
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
    """The gradient flow of every model that was asked for. Raises as `diagnose.run`."""
    from rnnkit.evaluation import gradient_flow

    gradients = {"state": gradient_flow.by_state, "input": gradient_flow.by_input}[options.by]
    flows: dict[str, Flow] = {}
    archs = []
    networks = list(_networks(options, listen))
    for done, named in enumerate(networks):
        listen(Progress("gradient flow", done, len(networks), "models"))
        places = named.input_NT, named.target_N
        flows[named.name] = gradient_flow.measure(named.network.double(), *places, options.steps, gradients)
        archs.append(named.arch)
    listen(Progress("gradient flow", len(networks), len(networks), "models", finished=True))
    if options.output is not None:
        draw_flows(flows, options.share, options.by, options.output)
        listen(Note(f"{options.output} drawn"))
    return FlowResult(flows, tuple(archs), options.by, options.share, options.output)


def _networks(options: DiagnoseOptions, listen: Listener) -> Iterator[DiagnosedNetwork]:
    """The trained models, then the untrained ones, each with what it reads."""
    folders = options.models or ([] if options.arch else [Workspace(options.work).model])
    for folder in dict.fromkeys(folders):
        yield _open(folder, options, listen)
    for arch in dict.fromkeys(options.arch):
        yield _draw(arch, options)


def _open(folder: Path, options: DiagnoseOptions, listen: Listener) -> DiagnosedNetwork:
    import torch

    from rnnkit.evaluation.gradient_flow import choose_places
    from rnnkit.evaluation.scorer import open_scorer

    scorer = open_scorer(folder, options.checkpoint, torch.device("cpu"))
    if scorer.network is None:
        raise ArtefactError(f"{folder} holds counts: there is no gradient in them")
    config = scorer.network.config
    _check_chain(str(folder), config.arch, options.by)
    if config.context == "line":
        listen(WarningEvent(f"{folder} learned from single lines; here it reads them as one stream"))
    ids = _read(scorer, options)
    try:
        places = choose_places(ids, options.steps, options.places)
    except ValueError as error:
        raise DataError(f"the text is too short for {folder}", str(error), hint="a lower --steps asks less") from None
    if len(places[1]) < options.places:
        listen(WarningEvent(f"the text has places for {folder}: {len(places[1])}, not {options.places}"))
    return DiagnosedNetwork(str(folder), config.arch, scorer.network, *places)


def _read(scorer: Scorer, options: DiagnoseOptions) -> IntArray:
    """The ids of as much of the text as there can be use for, in the model's tokens."""
    import numpy as np

    from rnnkit.evaluation.gradient_flow import WARM
    from rnnkit.evaluation.scored_text import read_data, read_text

    groups: Iterator[ScoredLines]
    if options.text is not None:
        groups = read_text([options.text], scorer)
    else:
        groups = read_data(options.data or Workspace(options.work).data, options.split, scorer)
    blocks, tokens = [], 0
    for group in groups:
        blocks.append(group.text.ids)
        tokens += len(blocks[-1])
        if tokens > options.places * (WARM + options.steps + 2):
            break
    return np.concatenate(blocks)


def _draw(arch: str, options: DiagnoseOptions) -> DiagnosedNetwork:
    from rnnkit.evaluation import fresh_network
    from rnnkit.evaluation.gradient_flow import WARM, draw_places
    from rnnkit.models.language_model import LMConfig

    name = f"new {arch}"
    _check_chain(name, arch, options.by)
    size = options.hidden or FLOW_HIDDEN
    config = LMConfig(
        arch=arch, vocabulary=VOCABULARY, embedding=size, hidden=size, layers=options.layers,  # type: ignore[arg-type]
        heads=1, memory=WARM + options.steps + 1,
    )  # fmt: skip
    network = fresh_network.draw(config, options.start, options.seed)  # type: ignore[arg-type]
    return DiagnosedNetwork(name, arch, network, *draw_places(VOCABULARY, options.steps, options.places, options.seed))


def _check_chain(name: str, arch: str, by: str) -> None:
    if arch == "transformer" and by == "state":
        raise ArtefactError(
            f"{name}: a Transformer hands on no state from step to step",
            "each token looks at those before it at once, so that no gradient passes through a chain",
            hint="--by input takes the gradient by the embeddings of what was read, for models of every kind",
        )
