"""`rnnkit diagnose`: gradient flow and recall span, two measures of a language model's long-range memory."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.nn import kinds
from rnnkit.options.declare import argument, option
from rnnkit.reports.figures import FlowResult, format_columns, plot_gradient_flow
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file

if TYPE_CHECKING:
    import torch

    from rnnkit.evaluation.gradient_profile import GradientProfile
    from rnnkit.evaluation.lm_scorer import ScoredLines, Scorer
    from rnnkit.evaluation.recall import RecallCurve, RecallLevel
    from rnnkit.io.npy import IntArray
    from rnnkit.models.language_model import LanguageModelNetwork

EXAMPLE = """\
rnnkit diagnose work/rnn work/lstm --text valid.txt --output flow.png
rnnkit diagnose --by input work/lstm work/transformer
rnnkit diagnose --arch rnn gru lstm --start uniform
rnnkit diagnose --recall --arch rnn lstm"""

VOCABULARY = 1000
"""Vocabulary size of an untrained network."""

FLOW_HIDDEN, RECALL_HIDDEN = 256, 32
RECALLERS = ("rnn", "gru", "lstm", "mingru")


@dataclass(frozen=True)
class DiagnoseOptions(shared.WorkspaceOptions, shared.ThreadOptions, shared.OverwriteOptions):
    """Measure the long-range memory of language models: vanishing and exploding gradients, and recall.

    Reports the norm of the gradient of a token's loss with respect to the hidden state k steps earlier, for k from 0:
    the mean over many positions of a text, in absolute terms and relative to k = 0. The hidden state is everything that
    a step passes on: h of all layers and, for an LSTM, c as well; at k = 0, only h of the last layer. A Transformer has
    no recurrent state; with --by input, the gradient is with respect to the input embeddings, for models of all kinds.
    All computations are in float64.

    --arch measures untrained networks on random tokens. With orthogonal recurrent matrices, the default here, even a
    simple RNN preserves the gradient; --start uniform is torch's initialization.

    --recall trains small networks to recall a symbol shown k steps earlier, for one span after the other, until one is
    not learned within --budget. With few --symbols, a simple RNN can represent each by an attractor and recall it
    indefinitely; with many it cannot.
    """

    models: list[Path] = argument(
        (), help="Directories of language models.", metavar="MODEL", shown_default="WORK/model; none with --arch"
    )
    text: Path | None = option(
        None,
        help="Raw text; - is standard input.",
        panel="Data",
        shown_default="a split of the data",
        variable="DIAGNOSE_TEXT",
    )
    data: Path | None = option(None, help="Encoded data.", panel="Data", shown_default="WORK/data")
    split: str = option("valid", help="Split of the data.", panel="Data")
    arch: list[str] = option(
        (), help="Architectures of untrained networks; with --recall, of those to train.", panel="Networks",
        choices=kinds.LANGUAGE_ARCHS, many=True, shown_default="none; with --recall " + ", ".join(RECALLERS),
        variable="DIAGNOSE_ARCH",
    )  # fmt: skip
    hidden: int | None = option(
        None, help="Hidden size.", panel="Networks", minimum=1,
        shown_default=f"{FLOW_HIDDEN}; with --recall {RECALL_HIDDEN}",
    )  # fmt: skip
    layers: int = option(1, help="Number of layers.", panel="Networks", minimum=1)
    start: str = option(
        "orthogonal", help="Initialization of recurrent matrices.", panel="Networks", choices=kinds.INITIALIZATIONS
    )
    seed: int = option(1, help="Random seed of weights and tokens.", panel="Networks", minimum=0)
    checkpoint: str = option(
        "best", help="Weights of a model to load.", panel="Networks", choices=("best", "last", "average")
    )
    by: str = option(
        "state", help="Gradient with respect to hidden states or input embeddings.", panel="Gradient flow",
        choices=("state", "input"),
    )  # fmt: skip
    steps: int = option(
        200, help="Maximum k.", panel="Gradient flow", unit="steps", minimum=1, variable="DIAGNOSE_STEPS"
    )
    places: int = option(64, help="Positions of the text to average over.", panel="Gradient flow", minimum=1)
    share: float = option(
        0.01,
        help="Report the k at which the norm falls below this fraction of k = 0.",
        panel="Gradient flow",
        minimum=1e-9,
        maximum=1,
    )
    recall: bool = option(False, help="Measure the recall span instead of the gradient flow.", panel="Recall")
    spans: list[int] = option(
        (1, 2, 5, 10, 20, 50, 100, 200),
        help="Steps between a symbol and its recall.",
        panel="Recall",
        many=True,
        minimum=1,
    )
    symbols: int = option(64, help="Number of symbols, and of distractors.", panel="Recall", minimum=2)
    goal: float = option(0.9, help="Accuracy at which a span counts as learned.", panel="Recall", minimum=0, maximum=1)
    budget: int = option(800, help="Maximum training steps per span.", panel="Recall", unit="steps", minimum=1)
    runs: int = option(
        3, help="Networks per architecture, with consecutive seeds from --seed.", panel="Recall", minimum=1
    )
    output: Path | None = option(
        None, help="Picture of the gradient flow: .png, .svg or .pdf.", panel="Output", shown_default="none"
    )


def run(options: DiagnoseOptions, listen: Listener = null_listener) -> FlowResult | RecallResult:
    """Measure the gradient flow, or with `recall` the recall span of networks trained for the task.

    Raises:
        UsageError: Options cannot be combined.
        DataError: A model or the text is missing, or the text is too short.
        ArtefactError: A model has no recurrent state, or the picture exists.
        FormatError: A model is damaged.
        Interrupted: A signal arrived while networks were trained.
    """
    from rnnkit.nn.device import set_threads

    _check(options)
    set_threads(options.threads)
    return measure_recall(options, listen) if options.recall else measure_flow(options, listen)


def _check(options: DiagnoseOptions) -> None:
    """Check that the options can be combined, before anything is read."""
    if options.recall:
        unused = {"--output": options.output, "--text": options.text, "MODEL": options.models}
        for name in (name for name, value in unused.items() if value):
            raise UsageError(
                f"--recall cannot be combined with {name}", "it trains its own networks", option="--recall"
            )
        if sorted(set(options.spans)) != options.spans:
            raise UsageError("--spans must be strictly increasing", option="--spans")
        return
    if options.text is not None and options.data is not None:
        raise UsageError("--text and --data exclude each other", option="--text")
    if options.output is not None:
        check_output_file(options, options.output)


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
        blocks.append((block.text.reversed() if scorer.is_backward else block.text).ids)
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


@dataclass(frozen=True)
class RecallResult:
    """Recall spans, ready to print.

    Attributes:
        curves: Results of each network, grouped by architecture.
        spans: The spans that were requested.
    """

    curves: tuple[RecallCurve, ...]
    spans: tuple[int, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: the accuracy of each network at each span, and the recall span of each architecture."""
        settings = self.curves[0].settings
        heads = ["arch", "seed", *map(str, self.spans), "span"]
        rows = []
        for curve in self.curves:
            found = {level.span: f"{100 * level.accuracy:.0f} %" for level in curve.levels}
            shares = (found.get(span, "-") for span in self.spans)
            rows.append([curve.settings.arch, str(curve.settings.seed), *shares, str(curve.span)])
        title = (
            f"accuracy of recalling one of {settings.symbols} symbols k steps later; "
            f"learned from {100 * settings.goal:g} %"
        )
        return (title, "", *format_columns([heads, *rows], right=range(1, len(heads))), "", *self.numbers)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: one line per architecture."""
        return tuple(f"{arch}: recalls {self._describe(spans)}" for arch, spans in self._by_arch().items())

    def _by_arch(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for curve in self.curves:
            found.setdefault(curve.settings.arch, []).append(curve.span)
        return found

    def _describe(self, spans: Sequence[int]) -> str:
        more = " or more" if median_low(spans) == self.spans[-1] else ""
        between = f" ({min(spans)} to {max(spans)} in {len(spans)} runs)" if len(spans) > 1 else ""
        return f"{median_low(spans)} steps{more}{between}"

    def as_dict(self) -> JsonObject:
        """JSON form."""
        curves = [
            {
                "arch": curve.settings.arch,
                "seed": curve.settings.seed,
                "span": curve.span,
                "spans": [dataclasses.asdict(level) for level in curve.levels],
            }
            for curve in self.curves
        ]
        settings = self.curves[0].settings
        return {
            "symbols": settings.symbols,
            "goal": settings.goal,
            "budget": settings.budget,
            "span": {arch: median_low(spans) for arch, spans in self._by_arch().items()},
            "networks": curves,
        }


def measure_recall(options: DiagnoseOptions, listen: Listener) -> RecallResult:
    """Train the requested networks and measure their recall spans. Raises as `diagnose.run`."""
    from rnnkit.evaluation import recall

    archs = list(dict.fromkeys(options.arch or RECALLERS))
    networks = list(itertools.product(archs, range(options.seed, options.seed + options.runs)))
    total = len(networks) * len(options.spans)
    curves: list[RecallCurve] = []
    for arch, seed in networks:
        settings = recall.RecallSettings(
            arch=arch,  # type: ignore[arg-type]  # the value is one of the declared choices
            hidden=options.hidden or RECALL_HIDDEN,
            layers=options.layers,
            start=options.start,  # type: ignore[arg-type]
            symbols=options.symbols,
            goal=options.goal,
            budget=options.budget,
            seed=seed,
        )

        def report(level: RecallLevel, arch: str = arch) -> None:
            done = len(curves) * len(options.spans) + options.spans.index(level.span) + 1
            listen(
                Progress("recall", done, total, "spans", {f"{arch} {level.span} steps back": f"{level.accuracy:.0%}"})
            )

        curves.append(recall.measure_recall(settings, options.spans, report))
    listen(Progress("recall", total, total, "spans", finished=True))
    return RecallResult(tuple(curves), tuple(options.spans))
