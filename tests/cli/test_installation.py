"""A package that is missing, broken or cannot be read is named with the remedy; a picture is never worth a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests import tiny_models
from tests.workspaces import SMALL, make_workspace

from rnnkit.cli import app
from rnnkit.system.interpreter import REQUIRED_PACKAGES

ROOT = Path(__file__).parents[2]

NEEDING = {
    "typer": ["inspect", "train.de"],
    "rich": ["inspect", "train.de"],
    "torch": ["decode", "train.de", "--model", "tiny/model"],
    "sentencepiece": ["tokenize", "train.de", "--type", "bpe", "--size", "60", "--work", "new-tokens"],
    "sacrebleu": ["bleu", "train.de", "--hypotheses", "train.de"],
    "numpy": ["align", "--source", "de", "--target", "en", "--output", "new-data"],
    "numba": ["train-embeddings", "train.de", "--output", "new-vectors"],
    "safetensors": ["decode", "train.de", "--model", "tiny/model"],
    "matplotlib": ["plot", "tiny/model", "--output", "a.png"],
}
"""A command that cannot do without the package."""

MISSING = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from rnnkit.cli.start import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installation")
    make_workspace(folder)
    tiny_models.translator_folder(folder / "tiny", tiny_models.translator())
    (folder / "tiny" / "model" / "metrics.jsonl").write_text('{"step": 1, "nll": 3.0}\n')
    return folder


def run(folder: Path, program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, env={**os.environ, **variables},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip


MAIN = "from rnnkit.cli.start import main; main()"


def test_the_list_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = [re.match(r"[\w-]+", wanted) for wanted in project["project"]["dependencies"]]
    assert set(NEEDING) <= {name[0] for name in names if name}
    assert set(REQUIRED_PACKAGES) <= {name[0] for name in names if name}


@pytest.mark.parametrize("name", [name for name in REQUIRED_PACKAGES if name != "rich"])
def test_a_package_that_is_not_installed(folder: Path, name: str) -> None:
    done = run(folder, MISSING.format(name=name), *NEEDING[name])
    assert done.returncode == 1
    assert done.stderr == f"error: {name} is not installed, and rnnkit needs it\n  hint: pip install {name}\n"


@pytest.mark.parametrize("name", [name for name in REQUIRED_PACKAGES if name != "rich"])
def test_a_package_that_cannot_be_imported(folder: Path, name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise OSError('libfoo.so.7: cannot open\\x1b[31m')\n")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = run(folder, MAIN, *NEEDING[name], PYTHONPATH=path)
    assert done.returncode == 1
    first, why, *rest = done.stderr.splitlines()
    assert first == f"error: {name} is installed but cannot be imported"
    assert why == "  OSError: libfoo.so.7: cannot open\\x1b[31m"
    assert rest[-1].startswith(f"  hint: pip install --force-reinstall {name}")


@pytest.mark.parametrize("variable", ["NUMBA_DISABLE_JIT=1", "NUMBA_NUM_THREADS=0"])
def test_variables_that_numba_cannot_work_with(folder: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    done = run(folder, MAIN, *NEEDING["numba"], **{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert "unset" in done.stderr
    assert "defect" not in done.stderr
    assert not list(folder.glob("new-vectors/*"))


UNREADABLE = """
import sys
from rnnkit.cli import app
from tests.reliability.child import lose_rights
lose_rights()
sys.exit(app.run(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="gives up capabilities")
def test_an_installation_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    """Its stages became unreadable after the command had started."""
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(ROOT / "src"), str(source)], check=True)
    inner = source / "rnnkit" / "stages"
    inner.chmod(0)
    try:
        path = os.pathsep.join([str(source), str(ROOT)])
        done = run(folder, UNREADABLE, "inspect", "train.de", PYTHONPATH=path)
    finally:
        inner.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr.startswith("error: rnnkit or Python cannot be loaded")
    assert f"installed in {sys.prefix}" in done.stderr


@pytest.mark.parametrize("fault", ["missing", "tex"])
def test_a_picture_that_cannot_be_drawn_costs_no_run(folder: Path, tmp_path: Path, fault: str) -> None:
    few = ["--max-steps", "2", "--validate-every", "2", "--output", str(tmp_path / "model")]
    variables = {}
    if fault == "tex":  # settings of the user's own, which have no effect
        (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
        variables["MATPLOTLIBRC"] = str(tmp_path)
    program = MISSING.format(name="matplotlib") if fault == "missing" else MAIN
    done = run(folder, program, "train", *SMALL, *few, **variables)
    assert done.returncode == 0, done.stderr
    assert ("warning: the learning curve was not drawn" in done.stderr) == (fault == "missing")
    assert (tmp_path / "model" / "curve.png").exists() == (fault == "tex")
    assert app.run(["verify", str(tmp_path / "model")]) == 0
