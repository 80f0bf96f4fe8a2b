"""Help pages: complete, readable at 80 columns, and fast because nothing heavy is imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests import unmeasured

from rnnkit import stages
from rnnkit.cli import app
from rnnkit.cli.commands import COMMANDS, GROUPS

from .conftest import Run

HEAVY = ("torch", "numba", "sentencepiece", "sacrebleu", "numpy", "scipy", "matplotlib", "safetensors", "pydantic")

NAMES = list(COMMANDS)
GOLDEN = Path(__file__).with_name("golden")


def test_page_of_a_command(run: Run) -> None:
    outcome = run("toy", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (GOLDEN / "toy.txt").read_text(encoding="utf-8")


def test_short_flag_gives_the_same_page(run: Run) -> None:
    assert run("toy", "-h", "--beam", "x").out == run("toy", "--help").out


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_complete_and_fits(run: Run, name: str) -> None:
    outcome = run(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: rnnkit {name} [OPTIONS]")
    assert not re.match(r"\w+Options\(", COMMANDS[name].options_type.__doc__ or "TOptions(")  # dataclass's own
    prose, _, example = outcome.out.partition("\nExample:\n")
    assert all(len(line) <= 80 for line in prose.splitlines())  # examples are left whole, to be copied
    assert example.startswith(f"  rnnkit {name}") or f"| rnnkit {name} " in example or f"\n  rnnkit {name}" in example
    panels = prose[re.search(r"^\w[\w -]*:$", prose, re.MULTILINE).start() :]  # type: ignore[union-attr]
    missing = [entry for entry in _entries(panels) if "[" not in entry]
    assert missing == ["-h, --help Show this message and exit."]


def _entries(page: str) -> list[str]:
    """The options of a page, each joined to one line."""
    entries: list[str] = []
    for line in page.splitlines():
        if line.startswith("  ") and line[2] != " ":
            entries.append(" ".join(line.split()))
        elif line.startswith("    "):
            entries[-1] += f" {' '.join(line.split())}"
    return entries


def test_every_stage_has_its_command() -> None:
    folder = Path(stages.__file__).parent
    with_example = [path for path in folder.rglob("*.py") if "\nEXAMPLE = " in path.read_text(encoding="utf-8")]
    assert {name.replace("-", "_") for name in NAMES} == {path.stem for path in with_example}


def test_overview(run: Run) -> None:
    outcome = run("--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    for title, group in GROUPS.items():
        listed = outcome.out.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines() if line[2] != " "] == [each.name for each in group]
    assert "rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000" in outcome.out


def test_no_command_is_a_usage_error_that_shows_the_overview(run: Run) -> None:
    assert run().code == 2
    assert run().out == run("-h").out


def test_narrow_and_wide_terminals(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert max(map(len, run("bleu", "--help").out.splitlines())) <= 100
    monkeypatch.setenv("COLUMNS", "20")
    assert run("bleu", "--help").code == 0


PAGES = ["--help", *(f"{name} --help" for name in NAMES)]


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What had been imported after each page, in one process that showed them all."""
    code = (
        "import sys, json\nfrom rnnkit.cli import app\nimported = {}\n"
        f"for page in {PAGES!r}:\n"
        "    assert app.run(page.split()) == 0\n"
        "    imported[page] = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print(json.dumps(imported), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=unmeasured.environment())
    return json.loads(done.stderr)  # type: ignore[no-any-return]


@pytest.mark.parametrize("page", PAGES)
def test_help_imports_nothing_heavy(imported: dict[str, list[str]], page: str) -> None:
    assert sorted(set(HEAVY) & set(imported[page])) == []


def test_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "rnnkit", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: rnnkit [OPTIONS] COMMAND")


def test_version_names_everything_that_matters() -> None:
    done = subprocess.run([sys.executable, "-m", "rnnkit", "--version"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["rnnkit", "Python", "torch", "device"]


@pytest.mark.parametrize(("shell", "part"), [("bash", "complete -o default -F"), ("zsh", "#compdef rnnkit")])
def test_completion_script(run: Run, shell: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(app.COMPLETION, "unset")  # so that the patch takes back what the call sets
    monkeypatch.delenv(app.COMPLETION)
    outcome = run("--show-completion", shell)
    assert outcome.code == 0
    assert part in outcome.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("rnnkit bl", ["bleu"]),
        ("rnnkit toy --ar", ["--arch"]),
        ("rnnkit toy --no-t", ["--no-tie"]),
        ("rnnkit toy --arch ", ["rnn", "gru", "lstm"]),
    ],
)
def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, offered: list[str]) -> None:
    monkeypatch.setenv(app.COMPLETION, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    outcome = run()
    assert outcome.out.split() == offered
    assert os.environ[app.COMPLETION] == "complete_bash"
