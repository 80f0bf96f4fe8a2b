"""`diagnose`: what is measured of which network, how it is shown, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny_models
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.evaluation.gradient_profile import choose_positions, state_gradient_norms
from rnnkit.evaluation.perplexity import single_thread
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.options.declare import check
from rnnkit.reports.figures import FlowResult
from rnnkit.stages.evaluation import diagnose
from rnnkit.stages.evaluation.diagnose import DiagnoseOptions, RecallResult, run
from rnnkit.text import special_tokens

SENTENCE = "the king sat on the mat"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks so small gain nothing by a second thread."""
    with single_thread(torch.device("cpu")):
        yield


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text of 2,100 tokens, including EOS."""
    path = tmp_path / "text.txt"
    path.write_text(f"{SENTENCE}\n" * 300, encoding="utf-8")
    return path


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """An RNN and an LSTM."""
    return [tiny_models.speaker_folder(tmp_path / arch, tiny_models.speaker(arch)) for arch in ("rnn", "lstm")]


def flow_of(options: DiagnoseOptions, heard: list[Event] | None = None) -> FlowResult:
    result = run(dataclasses.replace(options, threads=1), (heard if heard is not None else []).append)
    assert isinstance(result, FlowResult)
    return result


def recall_of(options: DiagnoseOptions, heard: list[Event] | None = None) -> RecallResult:
    result = run(dataclasses.replace(options, threads=1), (heard if heard is not None else []).append)
    assert isinstance(result, RecallResult)
    return result


def test_models_read_the_text(models: list[Path], text: Path) -> None:
    heard: list[Event] = []
    result = flow_of(DiagnoseOptions(models, text=text, steps=6, places=5), heard)
    assert list(result.flows) == [str(model) for model in models]
    assert heard[-1] == Progress("gradient flow", 2, 2, "models", finished=True)
    vocabulary = tiny_models.vocabulary()
    ids = np.array([*vocabulary.encode(SENTENCE.split()), special_tokens.EOS] * 300)
    for arch, flow in zip(("rnn", "lstm"), result.flows.values(), strict=True):
        places = choose_positions(ids[: 5 * (50 + 6 + 2) + 1025 * 7], 6, 5)
        wanted = state_gradient_norms(tiny_models.speaker(arch).double(), *places, 6).mean(dim=1)
        np.testing.assert_allclose(flow.norms, wanted, rtol=1e-12)


def test_lines_and_numbers(models: list[Path], text: Path) -> None:
    result = flow_of(DiagnoseOptions(models, text=text, steps=6, places=5, share=0.5))
    title, blank, heads, *rows = result.lines
    assert title == "norm of the gradient of the loss with respect to the state k steps before, mean over 5 positions"
    assert (blank, heads.split()[:2]) == ("", ["k", str(models[0])])
    assert [row.split()[0] for row in rows[:5]] == ["0", "1", "2", "5", "6"]
    assert len(result.numbers) == 2
    where, left = result.numbers[0].removeprefix(f"{models[0]}: ").split(", ")
    assert re.fullmatch(r"under 50 % at k = \d|not under 50 % within 6 steps", where)
    assert re.fullmatch(r"each step from k = 1 on leaves \d+\.\d %", left)


def test_json_has_every_step(models: list[Path], text: Path, tmp_path: Path) -> None:
    result = flow_of(DiagnoseOptions(models, text=text, steps=6, places=5, output=tmp_path / "flow.png"))
    document = json.loads(json.dumps(result.as_dict()))
    assert (document["by"], document["share"], document["picture"]) == ("state", 0.01, str(tmp_path / "flow.png"))
    rnn, lstm = document["models"]
    assert (rnn["model"], rnn["arch"], rnn["places"], lstm["arch"]) == (str(models[0]), "rnn", 5, "lstm")
    assert len(rnn["norms"]) == len(rnn["relative"]) == 7
    assert rnn["relative"][3] == rnn["norms"][3] / rnn["norms"][0]
    assert rnn["falls_below_share_at"] is None or rnn["relative"][rnn["falls_below_share_at"]] < 0.01


def test_a_picture_is_drawn_and_not_replaced(models: list[Path], text: Path, tmp_path: Path) -> None:
    picture = tmp_path / "flow.svg"
    heard: list[Event] = []
    options = DiagnoseOptions(models, text=text, steps=6, places=5, output=picture)
    flow_of(options, heard)
    assert Note(f"{picture} drawn") in heard
    assert f">{models[1]}: " in picture.read_text(encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"flow.svg already exists\n  hint: --overwrite replaces it"):
        run(options)
    run(DiagnoseOptions(models, text=text, steps=5, places=5, output=picture, overwrite=True))


def test_untrained_networks_need_no_model() -> None:
    result = flow_of(DiagnoseOptions(arch=["rnn", "lstm", "rnn"], hidden=7, steps=6, places=5, layers=2))
    assert (list(result.flows), result.archs) == (["new rnn", "new lstm"], ("rnn", "lstm"))
    other = flow_of(DiagnoseOptions(arch=["rnn"], hidden=7, steps=6, places=5, layers=2, start="uniform"))
    assert result.flows["new rnn"].norms != other.flows["new rnn"].norms


def test_orthogonal_initialization_preserves_the_gradient() -> None:
    falls = {
        start: flow_of(DiagnoseOptions(arch=["rnn"], hidden=32, steps=40, places=8, start=start))
        .flows["new rnn"]
        .falls_below(0.01)
        for start in ("orthogonal", "uniform")
    }
    assert falls["orthogonal"] is None
    assert 5 <= (falls["uniform"] or 0) <= 12


def test_trained_and_untrained_networks_together(models: list[Path], text: Path) -> None:
    result = flow_of(DiagnoseOptions(models[:1], text=text, arch=["gru"], hidden=5, steps=4, places=3, by="input"))
    assert list(result.flows) == [str(models[0]), "new gru"]
    assert result.lines[0].startswith("norm of the gradient of the loss with respect to the input k steps before")


def test_a_text_with_fewer_places(models: list[Path], tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text(f"{SENTENCE}\n", encoding="utf-8")
    heard: list[Event] = []
    result = flow_of(DiagnoseOptions(models[:1], text=short, steps=5), heard)
    assert WarningEvent(f"{models[0]}: the text has 1 suitable positions instead of 64") in heard
    assert result.lines[0].endswith(", at one position")


def test_model_of_single_lines_gets_a_warning(tmp_path: Path, text: Path) -> None:
    model = tiny_models.speaker_folder(tmp_path / "lines", tiny_models.speaker("gru", context="line"))
    heard: list[Event] = []
    flow_of(DiagnoseOptions([model], text=text, steps=6, places=5), heard)
    assert WarningEvent(f"{model} was trained on single lines; here the lines are one stream") in heard


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"there is no model at {tmp_path / 'work' / 'model'}")):
        run(DiagnoseOptions(work=tmp_path / "work"))


def test_text_too_short(models: list[Path], tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text(f"{SENTENCE}\n", encoding="utf-8")
    with raises(DataError, models[0], "200 steps", "201 tokens", "7", "hint", option="--steps"):
        run(DiagnoseOptions(models, text=short))


def test_no_text(models: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "missing.txt"))):
        run(DiagnoseOptions(models, text=tmp_path / "missing.txt"))
    with pytest.raises(DataError, match=re.escape(f"there is no data at {tmp_path / 'work' / 'data'}")):
        run(DiagnoseOptions(models, work=tmp_path / "work"))


def test_a_transformer_has_no_chain_of_states() -> None:
    with raises(ArtefactError, "new transformer", "hint: --by input", option="--by"):
        run(DiagnoseOptions(arch=["transformer"]))


def test_a_transformer_compares_by_its_input(tmp_path: Path, text: Path) -> None:
    pytest.importorskip("rnnkit.nn.transformer")
    model = tiny_models.speaker_folder(tmp_path / "t", tiny_models.speaker("transformer", memory=64))
    result = flow_of(DiagnoseOptions([model], text=text, arch=["transformer"], hidden=6, steps=6, places=5, by="input"))
    assert (list(result.flows), result.archs) == ([str(model), "new transformer"], ("transformer", "transformer"))


def test_counts_have_no_gradient(tmp_path: Path, text: Path) -> None:
    model = tiny_models.counts_folder(tmp_path / "counts", tiny_models.counts())
    with raises(ArtefactError, "gradient", path=model):
        run(DiagnoseOptions([model], text=text))


@pytest.mark.parametrize(
    ("changes", "option", "named"),
    [
        ({"text": Path("a"), "data": Path("b")}, "--text", "--data"),
        ({"recall": True, "output": Path("f.png")}, "--recall", "--output"),
        ({"recall": True, "text": Path("a")}, "--recall", "--text"),
        ({"recall": True, "models": [Path("a")]}, "--recall", "MODEL"),
        ({"recall": True, "spans": [2, 1]}, "--spans", "increasing"),
        ({"recall": True, "spans": [2, 2]}, "--spans", "increasing"),
    ],
)
def test_incompatible_options(changes: dict[str, object], option: str, named: str) -> None:
    with raises(UsageError, named, option=option):
        run(DiagnoseOptions(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 0, "--steps must be at least 1, not 0"),
        ("places", 0, "--places must be at least 1, not 0"),
        ("arch", ["lstn"], "--arch cannot be 'lstn'"),
        ("spans", [0], "--spans must be at least 1, not 0"),
        ("budget", 0, "--budget must be at least 1, not 0"),
    ],
)
def test_bounds(name: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(DiagnoseOptions(**{name: value}))  # type: ignore[arg-type]


def test_recall_of_short_spans() -> None:
    heard: list[Event] = []
    options = DiagnoseOptions(recall=True, arch=["rnn", "gru"], hidden=16, symbols=3, spans=[1, 2], runs=2, budget=400)
    result = recall_of(options, heard)
    lines = list(result.lines)
    assert lines[0] == "accuracy of recalling one of 3 symbols k steps later; learned from 90 %"
    assert lines[2].split() == ["arch", "seed", "1", "2", "span"]
    assert [line.split()[:2] for line in lines[3:7]] == [["rnn", "1"], ["rnn", "2"], ["gru", "1"], ["gru", "2"]]
    assert all(line.split()[-1] == "2" for line in lines[3:7])
    assert lines[8:] == [f"{arch}: recalls 2 steps or more (2 to 2 in 2 runs)" for arch in ("rnn", "gru")]
    document = json.loads(json.dumps(result.as_dict()))
    assert document["span"] == {"rnn": 2, "gru": 2}
    assert [network["seed"] for network in document["networks"]] == [1, 2, 1, 2]
    assert document["networks"][0]["spans"][0]["steps"] <= 400
    assert heard[-1] == Progress("recall", 8, 8, "spans", finished=True)
    assert [event.done for event in heard if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 6, 7, 8, 8]


def test_spans_that_were_not_tried_stay_blank() -> None:
    result = recall_of(DiagnoseOptions(recall=True, arch=["lstm"], hidden=8, spans=[1, 2, 5], runs=1, budget=7))
    assert result.lines[3].split()[-4:] == ["%", "-", "-", "0"]
    assert result.numbers == ("lstm: recalls 0 steps",)


def test_the_example_names_options_that_there_are() -> None:
    words = re.findall(r"--([a-z]+)", diagnose.EXAMPLE)
    assert set(words) <= set(DiagnoseOptions.__dataclass_fields__)
    assert torch.get_default_dtype() == torch.float32  # float64 is the networks' alone
