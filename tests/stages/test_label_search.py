"""`--tune-seconds` through the stages: trials, the model that remains, how it can be repeated, and signals."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, make_labelled_workspace

from rnnkit.errors import Interrupted, TrainingError, UsageError
from rnnkit.events import Event, Listener, Note, Progress, null_listener
from rnnkit.io import manifest
from rnnkit.stages.text import align, align_options
from rnnkit.stages.training import label_search, train_classifier, train_tagger
from rnnkit.stages.training.label_search import SearchResult, Trial
from rnnkit.stages.training.label_search_space import SPACES, flags, given_options, make_space
from rnnkit.stages.training.labelling_options import (
    CLASSIFIER,
    LINEAR,
    TAGGER,
    LabellingOptions,
    TrainClassifierOptions,
    TrainTaggerOptions,
    apply_preset,
)
from rnnkit.stages.training.run_folder import TrainingResult

Result = Any


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data for a tagger in `data`, for a classifier in `long`."""
    work = make_labelled_workspace(tmp_path_factory.mktemp("search"), "tags")
    align.run(align_options.AlignOptions(text="form", labels=["long"], work=work, output=work / "long"))
    return work


SMALL_TAGGER: dict[str, Any] = {
    "characters": "none", "embedding": 8, "warmup": 2, "epochs": 2.0, "threads": 1, "precision": "fp32", "layers": 1,
    "hidden": 8,
}  # fmt: skip
SMALL_LINEAR: dict[str, Any] = {"arch": "linear", "buckets": 500, "threads": 1, "embedding": 6}


def tuned(work: Path, output: Path, listen: Listener = null_listener, seconds: float = 600, **changes: Any) -> Result:
    options: dict[str, Any] = {"work": work, "output": output, "tune_seconds": seconds, **changes}
    if options.get("arch") == "linear":
        return train_classifier.run(TrainClassifierOptions(data=work / "long", **options), listen)
    return train_tagger.run(TrainTaggerOptions(**options), listen)


class Stopper:
    """Sends a signal after some trials, or in the middle of one."""

    def __init__(self, trials: int, steps: int | None = None) -> None:
        self.trials, self.steps = trials, steps
        self.lines: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.lines.append(event.text)
        enough = len(self.lines) == self.trials
        in_step = isinstance(event, Progress) and event.task == "training" and event.done == self.steps
        if enough and (in_step if self.steps else isinstance(event, Note)):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("small", [SMALL_TAGGER, SMALL_LINEAR], ids=["network", "linear"])
def test_a_signal_keeps_the_best_model_so_far(work: Path, tmp_path: Path, small: dict[str, Any]) -> None:
    """The model of the best trial is that of a run with its options, to the byte."""
    stopper = Stopper(trials=4)
    with pytest.raises(Interrupted) as raised:
        tuned(work, tmp_path / "model", stopper, **small)
    assert raised.value.exit_code == 130
    trials = [json.loads(line) for line in (tmp_path / "model" / "trials.jsonl").read_text().splitlines()]
    assert [trial["number"] for trial in trials] == [1, 2, 3, 4]
    assert [line.partition(":")[0] for line in stopper.lines] == [f"trial {number}" for number in (1, 2, 3, 4)]
    assert trials[0]["changed"] == {}
    best = max(trials, key=lambda trial: trial["score"])
    found = manifest.load(tmp_path / "model" / "meta.json")
    assert manifest.find_mismatches(tmp_path / "model") == []
    assert found.facts["search"]["number"] == best["number"]
    assert found.options["learning-rate"] == best["options"]["learning_rate"]
    assert found.options["tune-seconds"] == 600
    assert flags(best["changed"]) in str(raised.value)
    assert best["ending"] == "finished"
    again = {**small, **best["options"]}
    tuned(work, tmp_path / "again", seconds=0, **again)
    weights = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("model", "again")]
    assert weights[0] == weights[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "model"]


def test_the_trials_follow_from_the_seed(work: Path, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        with pytest.raises(Interrupted):
            tuned(work, tmp_path / name, Stopper(trials=5), **SMALL_LINEAR, seed=seed)
        lines = (tmp_path / name / "trials.jsonl").read_text().splitlines()
        found.append([json.loads(line)["options"] for line in lines])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_time_ends_a_search_and_a_run_can_be_completed(work: Path, tmp_path: Path) -> None:
    """Without time, the first trial takes one step."""
    notes: list[str] = []
    result = tuned(
        work, tmp_path / "model", lambda event: notes.append(event.text) if isinstance(event, Note) else None, 1e-9,
        **SMALL_TAGGER,
    )  # fmt: skip
    assert isinstance(result, SearchResult)
    assert (len(result.trials), result.best.ending) == (1, "out of time")
    assert 0 < result.best.share < 1
    assert notes == [result.best.line]
    assert "--resume completes it" in result.lines[-1]
    assert result.as_dict()["best"]["number"] == 1
    resumed = train_tagger.run(TrainTaggerOptions(work=work, output=result.model, resume=True))
    assert isinstance(resumed, TrainingResult)
    whole = tuned(work, tmp_path / "whole", seconds=0, **SMALL_TAGGER)
    assert resumed.steps == whole.steps > 1
    last = [(folder / "last" / "weights.safetensors").read_bytes() for folder in (resumed.model, whole.model)]
    assert last[0] == last[1]


def test_a_linear_trial_out_of_time_is_kept(work: Path, tmp_path: Path) -> None:
    result = tuned(work, tmp_path / "model", seconds=1e-9, **SMALL_LINEAR, epochs=20.0)
    assert isinstance(result, SearchResult)
    assert (len(result.trials), result.best.ending, result.best.share) == (1, "out of time", 1 / 20)
    assert result.lines[1] == "the same without the search: the defaults"
    assert "train with these options" in result.lines[2]


@pytest.mark.parametrize(("trials", "saved"), [(0, False), (2, True)])
def test_a_signal_in_the_middle_of_a_trial(work: Path, tmp_path: Path, trials: int, saved: bool) -> None:
    small = {**SMALL_TAGGER, "validate_every": 10_000}
    with pytest.raises(Interrupted):
        tuned(work, tmp_path / "model", Stopper(trials=trials, steps=1), **small, report_every=1)
    assert (tmp_path / "model").exists() == saved
    assert not (tmp_path / ".model.partial").exists()
    if saved:
        assert len((tmp_path / "model" / "trials.jsonl").read_text().splitlines()) == 3


def test_failed_trials(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = label_search.NetworkRunner.train
    failing = {2}

    def train(self: Any, options: Any, limit: Any) -> Any:
        count = len(list(heard.lines)) + 1
        if count in failing:
            raise TrainingError("training diverged: the loss is not finite at step 3")
        return real(self, options, limit)

    monkeypatch.setattr(label_search.NetworkRunner, "train", train)
    heard = Stopper(trials=3)
    with pytest.raises(Interrupted):
        tuned(work, tmp_path / "model", heard, **SMALL_TAGGER)
    assert "failed (training diverged: the loss is not finite at step 3)" in heard.lines[1]
    failing |= {1}
    heard = Stopper(trials=9)
    with raises(TrainingError, option="--tune-seconds"):
        tuned(work, tmp_path / "none", heard, seconds=1e-9, **SMALL_TAGGER)
    assert not (tmp_path / "none").exists()


def test_a_resumed_search_trains_the_best_trial(work: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        tuned(work, tmp_path / "model", Stopper(trials=2), **SMALL_TAGGER)
    before = (tmp_path / "model" / "best.safetensors").read_bytes()
    result = tuned(work, tmp_path / "model", resume=True)
    assert isinstance(result, TrainingResult)
    assert (tmp_path / "model" / "best.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"folds": 3}, "--folds"),
        ({"processes": 2}, "--processes"),
        ({**SMALL_LABELS, "learning_rate": 0.1, "dropout": 0.1, "layers": 1}, "--tune-seconds"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(work: Path, tmp_path: Path, changes: dict[str, Any], option: str) -> None:
    with raises(UsageError, option=option):
        tuned(work, tmp_path / "model", **changes)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("small", [SMALL_TAGGER, SMALL_LINEAR], ids=["network", "linear"])
def test_dry_run(work: Path, tmp_path: Path, small: dict[str, Any]) -> None:
    notes: list[str] = []
    listen: Listener = lambda event: notes.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    tuned(work, tmp_path / "model", listen, seconds=7, **small, dry_run=True)
    assert notes[0] == "cost of a training with the defaults; the search takes 7 s in all"
    assert not (tmp_path / "model").exists()


SPACE_OPTIONS: list[tuple[LabellingOptions, set[str]]] = [
    (TrainTaggerOptions(), {"learning_rate", "dropout", "hidden", "batch_tokens", "layers"}),
    (TrainTaggerOptions(dropout=0.1, layers=2), {"learning_rate", "hidden", "batch_tokens"}),
    (TrainTaggerOptions(init_from=Path("x")), {"learning_rate", "dropout", "batch_tokens"}),
    (
        TrainClassifierOptions(arch="transformer", heads=3),
        {"learning_rate", "dropout", "hidden", "batch_tokens", "layers"},
    ),
    (
        TrainClassifierOptions(arch="linear", max_characters=0, epochs=3),
        {"learning_rate", "word_ngrams", "embedding"},
    ),
]


@pytest.mark.parametrize(("options", "names"), SPACE_OPTIONS, ids=lambda each: type(each).__name__)
def test_the_space_leaves_out_what_is_given(options: LabellingOptions, names: set[str]) -> None:
    preset = TAGGER if isinstance(options, TrainTaggerOptions) else CLASSIFIER
    filled = apply_preset(options, LINEAR["idf"] if options.arch == "linear" else {**preset, "hidden": 252})
    space = make_space(filled, given_options(options))
    arch = "transformer" if filled.arch == "transformer" else "lstm"
    assert {name for dimension in space for name in dimension.names} == names
    for dimension in space:
        for position in (0.0, 0.3, 1.0):
            values = dict(zip(dimension.names, dimension.values(position), strict=True))
            apply_preset(LabellingOptions(arch=arch, heads=options.heads), {
                name: value for name, value in {**CLASSIFIER, "hidden": 252, **values}.items()
                if name in LabellingOptions.__dataclass_fields__
            })  # fmt: skip


def test_every_searched_option_is_declared() -> None:
    declared = TrainClassifierOptions.__dataclass_fields__
    names = [name for space in SPACES.values() for searched in space for name in searched]
    assert [name for name in names if declared[name].default is not None] == []


def test_lines_of_trials() -> None:
    options = {"learning_rate": 0.02, "layers": 2}
    trial = Trial(3, options, {"loss": 0.25, "f1": 81.25}, 81.2, 3.25, 0.5, "unpromising", True, options)
    assert trial.line == (
        "trial 3: --learning-rate 0.02 --layers 2: loss 0.25, f1 81.25, 3.2 s, unpromising after 50% of its training "
        "(best so far)"
    )
    failed = Trial(1, options, {}, float("-inf"), 1.0, 0.0, "out of memory", False, {})
    assert failed.line == "trial 1: the defaults: failed (out of memory), 1.0 s"
    assert json.loads(json.dumps(failed.as_dict()))["score"] is None
