"""Nothing that lies in the current folder runs: no module, no settings of a library; in no process of any command."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import unmeasured
from tests.workspaces import SMALL, SMALL_TEXT, make_labelled_workspace, make_text_workspace, make_workspace

from rnnkit.cli.commands import COMMANDS
from rnnkit.events import null_listener
from rnnkit.stages import demo

MODULES = (
    "secrets", "random", "uuid", "logging", "json", "typing", "enum", "contextlib", "ctypes", "multiprocessing",
    "sitecustomize", "usercustomize", "torch", "numpy", "numba", "matplotlib", "sacrebleu", "sentencepiece",
    "safetensors", "rich", "typer", "yaml",
)  # fmt: skip
"""Names that the interpreter, the libraries or rnnkit import; in the folder, each leaves a trace when it runs."""

RUNPY_IMPORTS = ("contextlib", "enum", "typing")
"""What `python -m` imports before the program's first line, from the current folder, as Python documents it."""

FEW = ["--max-steps", "2", "--validate-every", "2", "--quiet"]
TINY = ["--hidden", "8", "--embedding", "6", "--batch-tokens", "120", "--threads", "1"]
SEVERAL = {
    "tokenize": ["train.de", "--type", "words", "--work", "new/work"],
    "vocab": ["work/tokens/train.de.tok", "--output", "new/vocab.tsv"],
    "align": ["--source", "de", "--target", "en", "--output", "new/data"],
    "train": [*SMALL, *FEW, "--output", "new/model"],
    "train-seq2seq": [*SMALL, *FEW, "--output", "new/seq2seq"],
    "train-lm": [*SMALL_TEXT, *FEW, "--work", "text/work", "--output", "new/speaker"],
    "train-tagger": [*TINY, *FEW, "--work", "tags/work", "--output", "new/tagger"],
    "train-classifier": [*TINY, *FEW, "--work", "labels/work", "--output", "new/classifier"],
}
"""Command lines of the commands that share their work among processes."""

STARTING = [
    name
    for name, command in COMMANDS.items()
    if "processes" in {f.name for f in dataclasses.fields(command.options_type)}
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    make_workspace(folder)
    (folder / "text").mkdir()
    make_text_workspace(folder / "text")
    for name, column in (("tags", "tags"), ("labels", "long")):
        (folder / name).mkdir()
        make_labelled_workspace(folder / name, column)
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'a').write('{name} ')\n")
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: module://secrets\n")
    os.mkfifo(folder / ".numba_config.yaml")
    return folder


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `rnnkit` command as pip writes it."""
    path = tmp_path_factory.mktemp("bin") / "rnnkit"
    path.write_text("from rnnkit.cli.start import main\nmain()\n")
    return path


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**unmeasured.environment(), **variables}, capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    ran = folder / "ran"
    assert not ran.exists(), ran.read_text()
    return done


@pytest.mark.parametrize(
    "name",
    [
        # `train` runs the command for the data: two of them, and one whose data differs, stand for the others
        pytest.param(name, marks=[pytest.mark.exhaustive] * (name in ("train-seq2seq", "train-classifier")))
        for name in STARTING
    ],
)
def test_commands_with_processes(workspace: Path, script: Path, name: str) -> None:
    done = run(workspace, str(script), name, *SEVERAL[name], "--processes", "2")
    assert done.returncode == 0, done.stderr
    output = workspace / SEVERAL[name][-1]
    assert output.exists()
    assert (output / "curve.png").exists() == name.startswith("train"), "settings of the folder need TeX for it"


def test_an_empty_entry_of_the_search_path(workspace: Path, script: Path, tmp_path: Path) -> None:
    """Python reads it as the current folder; what the interpreter itself imports before the first line is its own."""
    for name in ("secrets", "uuid", "sacrebleu", "sentencepiece", "multiprocessing", "numpy"):
        (tmp_path / f"{name}.py").write_text((workspace / f"{name}.py").read_text())
    text = workspace / "work" / "tokens" / "train.de.tok"
    words = [str(script), "vocab", str(text), "--output", "vocab.tsv", "--processes", "2"]
    done = run(tmp_path, *words, PYTHONPATH=f"{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert done.returncode == 0, done.stderr
    assert not (workspace / "ran").exists()


@pytest.mark.slow
def test_torchrun(workspace: Path) -> None:
    launcher = ["-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rnnkit"]
    words = ["train", *SMALL, *FEW, "--processes", "2", "--output", "new/torchrun"]
    for name in RUNPY_IMPORTS:
        (workspace / f"{name}.py").unlink(missing_ok=True)
    done = run(workspace, *launcher, *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["inspect", "train.de"], ["--version"], ["plot", "new/model", "--output", "a.png"]])
def test_python_m(workspace: Path, script: Path, words: list[str]) -> None:
    if words[0] == "plot" and not (workspace / "new/model").exists():
        run(workspace, str(script), "train", *SEVERAL["train"])
    for name in RUNPY_IMPORTS:
        (workspace / f"{name}.py").unlink(missing_ok=True)
    done = run(workspace, "-m", "rnnkit", *words)
    assert done.returncode == 0, done.stderr


def test_the_commands_of_the_demo(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    assert "lines: 150\n" in demo._CommandRunner(null_listener)("inspect", "train.de")
    assert not (workspace / "ran").exists()


SETTINGS = """
import os, sys
os.chdir(sys.argv[1])
from rnnkit.system import interpreter
interpreter.protect_imports()
import numba.core.config, matplotlib
numba.core.config.reload_config()
print(numba.core.config._config_fname, numba.core.config.DISABLE_JIT, matplotlib.rcParams["text.usetex"], os.getcwd())
"""


def test_libraries_read_no_settings_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\n")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    done = subprocess.run([sys.executable, "-c", SETTINGS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [os.devnull, "0", "False", str(tmp_path)]
    assert done.stderr == ""
