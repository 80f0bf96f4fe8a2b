"""Commands that are one of several processes, or start them: who speaks, what is passed on, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from rnnkit.cli import arguments, processes, signature
from rnnkit.cli.console import Console
from rnnkit.errors import TrainingError, UsageError
from rnnkit.io import manifest
from rnnkit.options import record
from rnnkit.options.declare import parameters_of
from rnnkit.stages.training import labelling_options, train_lm, train_lm_options, train_seq2seq_options
from rnnkit.training.distributed import LaunchResult

from .conftest import Run


def be(monkeypatch: pytest.MonkeyPatch, rank: int, size: int, folder: Path | None = None) -> None:
    told = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "localhost"}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    if folder is not None:
        (folder / str(rank)).mkdir(exist_ok=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / str(rank) / "error.json"))
    monkeypatch.setattr(processes, "REPORT_DELAY", 0.0)


def test_one_explains_and_the_others_have_a_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert processes.is_reporting_rank()
    assert processes.mark("error: full") == "error: full"
    be(monkeypatch, 1, 3, tmp_path)
    assert processes.silent()
    assert processes.mark("error: full") == "process 1: error: full"
    assert processes.is_reporting_rank()
    be(monkeypatch, 0, 3, tmp_path)
    assert not processes.silent()
    assert not processes.is_reporting_rank(), "it is explained already"


def test_a_silent_console_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=True, silent=True)
    console.note("said by another")
    console.report("7", {"answer": 7})
    assert capsys.readouterr() == ("", "")


def test_commands_that_share_nothing_refuse_to_be_several(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0, 2)
    outcome = run("bleu", "a")
    assert outcome.code == 2
    assert "`rnnkit bleu` runs in one process, and 2 were started" in outcome.err
    assert "hint: start it without torchrun" in outcome.err


def test_counting_refuses_several_processes_and_batches() -> None:
    several = {
        "processes": train_lm_options.TrainLMOptions(arch="ngram", processes=2),
        "accumulate": train_lm_options.TrainLMOptions(arch="ngram", accumulate=2),
    }
    for name, options in several.items():
        with pytest.raises(UsageError, match=f"--{name} 2 .*--arch ngram"):
            train_lm.run(options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (
            train_lm_options.TrainLMOptions,
            {"hidden": 7, "prune": [0, 1], "tied": False, "vary_steps": True, "output": Path("-o 1")},
        ),
        (
            train_seq2seq_options.TrainSeq2SeqOptions,
            {"embeddings": [Path("a b"), Path("c")], "clip": 0.25, "resume": True, "processes": 3},
        ),
    ],
)
def test_argv_round_trip(kind: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    meant = kind(**options)
    words = record.to_argv(meant)
    monkeypatch.setenv("RNNKIT_HIDDEN", "99")
    values: dict[str, Any] = {}

    def call(**given: Any) -> None:
        values.update(given)

    parameters = parameters_of(kind)
    call.__signature__ = signature.signature(parameters, {})  # type: ignore[attr-defined]
    app = typer.Typer(rich_markup_mode=None)
    app.command()(call)
    resolved = arguments.resolve(words, "train", arguments.flags_of(parameters), False, pytest.fail)
    app(resolved, standalone_mode=False)
    assert signature.build(kind, values) == (meant if "hidden" in options else replace(meant, hidden=99))


def test_a_console_is_passed_on() -> None:
    assert Console(quiet=True, json=True, debug=True).words() == ["--quiet", "--json", "--debug"]
    assert Console().words() == []


def options(folder: Path, **changes: Any) -> Any:
    return train_lm_options.TrainLMOptions(output=folder, **changes)


def seal(folder: Path, processes: int) -> None:
    manifest.write(folder / manifest.NAME, manifest.Manifest("model", 1, options={"processes": processes}))


def test_processes_are_started_once_and_not_for_an_estimate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert processes.processes_to_start(options(tmp_path)) == 0
    assert processes.processes_to_start(options(tmp_path, processes=3)) == 3
    assert processes.processes_to_start(options(tmp_path, processes=3, dry_run=True)) == 0
    assert processes.processes_to_start(options(tmp_path, resume=True)) == 0, "there is no run"
    seal(tmp_path, 5)
    assert processes.processes_to_start(options(tmp_path, resume=True)) == 5, "as many as the run had"
    folds = labelling_options.TrainTaggerOptions(output=tmp_path, resume=True, folds=3)
    assert processes.processes_to_start(folds) == 0, "cross-validation runs in one process"
    be(monkeypatch, 0, 3)
    assert processes.processes_to_start(options(tmp_path, processes=3)) == 0, "this is one of them"


def endings(monkeypatch: pytest.MonkeyPatch, *given: LaunchResult, then: Any = lambda: None) -> list[list[str]]:
    """Have the launcher end so, each time in turn; returns the words that it is started with."""
    started: list[list[str]] = []
    remaining = iter(given)

    def launch(words: list[str], processes: int) -> LaunchResult:
        started.append(words)
        then()
        return next(remaining)

    monkeypatch.setattr("rnnkit.training.distributed.launch", launch)
    return started


def test_a_killed_process_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endings(monkeypatch, LaunchResult(137, (1, "SIGKILL")))
    with pytest.raises(TrainingError, match=r"process 1 was killed \(SIGKILL\)") as raised:
        processes.run_processes("train-lm", options(tmp_path), 2, Console(quiet=True))
    assert "--restarts N" in str(raised.value)


def test_a_killed_run_is_restarted_and_a_failed_one_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = LaunchResult(137, (1, "SIGKILL"))
    meant = options(tmp_path, overwrite=True, restarts=2)
    started = endings(monkeypatch, killed, LaunchResult(1), then=lambda: (tmp_path / "meta.json").write_text("{}"))
    assert processes.run_processes("train-lm", meant, 2, Console(quiet=True)) == 1
    assert ["--overwrite" in words for words in started] == [True, False]
    assert ["--resume" in words for words in started] == [False, True]
    assert started[0][1:5] == ["-P", "-m", "rnnkit", "train-lm"]


def test_a_run_killed_early_is_restarted_from_the_beginning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was killed before it wrote anything starts from the beginning."""
    (tmp_path / "meta.json").write_text("of another run")
    started = endings(monkeypatch, LaunchResult(137, (0, "SIGKILL")), LaunchResult(0))
    assert (
        processes.run_processes("train-lm", options(tmp_path, overwrite=True, restarts=1), 2, Console(quiet=True)) == 0
    )
    assert ["--overwrite" in words for words in started] == [True, True]
