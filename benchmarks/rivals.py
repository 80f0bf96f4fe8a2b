"""Environments of the rivals that the benchmarks measure: one virtual environment each, from pinned lists.

Both rivals in translation declare dependencies that no longer install together with a current torch, so every
environment is installed with `--no-deps` beside what its training really imports. `environment_python` is the way in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

TORCH = "torch==2.13.0"
MARKER = "installed.json"
TAIL_LINES = 15


class BenchmarkError(Exception):
    """Something a benchmark needs is missing or a rival failed; the message says what and what to do."""


@dataclass(frozen=True)
class Environment:
    """A rival and what it needs. `distribution` is installed without its own dependency list."""

    name: str
    distribution: str
    requirements: tuple[str, ...]
    probe: tuple[str, ...]  # arguments to python that must succeed once the environment is complete


OPENNMT = Environment(
    name="opennmt",
    distribution="OpenNMT-py==3.5.1",
    requirements=(
        TORCH,
        "numpy==2.4.6",
        "pyonmttok==1.38.1",
        "ConfigArgParse==1.9.0",
        "PyYAML==6.0.3",
        "sacrebleu==2.6.0",
        "six==1.17.0",
        # Its transforms are all imported when it starts, whether used or not: these four serve them only.
        "pyahocorasick==2.3.1",
        "RapidFuzz==3.14.6",
        "fasttext-wheel==0.9.2",
        "spacy==3.8.18",
        "ctranslate2==4.8.5",  # runs what OpenNMT-py has trained
    ),
    probe=("-m", "onmt.bin.train", "--help"),
)

JOEYNMT = Environment(
    name="joeynmt",
    distribution="joeynmt==2.3.0",
    requirements=(
        TORCH,
        "numpy==2.4.6",
        "PyYAML==6.0.3",
        "packaging==26.3",
        "importlib_metadata==10.2.0",  # imported and not declared
        "sacrebleu==2.6.0",
        "sentencepiece==0.2.3",
        "subword-nmt==0.3.8",
        "sacremoses==0.2.0",
        "tensorboard==2.21.0",
        "matplotlib==3.11.2",
    ),
    probe=("-m", "joeynmt", "--help"),
)

EMBED = Environment(
    name="embed",
    distribution="gensim==4.4.0",
    requirements=(
        "numpy==2.4.6",
        "scipy==1.17.1",
        "smart_open==9.0.2",
        "wrapt==2.5.2",
        "pybind11==3.1.0",
        "fasttext==0.9.3",  # has no wheels: its C++ is compiled here
    ),
    probe=("-c", "import gensim.models, fasttext"),
)


def default_folder() -> Path:
    """Where the environments lie when nothing else is said: kept between runs, outside the project."""
    return Path(tempfile.gettempdir()) / "rivals"


def environment_python(environment: Environment, folder: Path) -> Path:
    """Make the environment where it is not complete yet; return its python.

    An environment that was made from another list, or whose making was interrupted, is made anew.
    """
    home = folder / environment.name
    python = home / "bin" / "python"
    recipe = json.loads(json.dumps(asdict(environment)))
    marker = home / MARKER
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == recipe:
        return python
    print(f"making the environment of {environment.distribution} in {home}", file=sys.stderr)
    if home.exists():
        shutil.rmtree(home)
    folder.mkdir(parents=True, exist_ok=True)
    call([sys.executable, "-m", "venv", str(home)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call([*install, *environment.requirements])
    call([*install, "--no-deps", environment.distribution])
    call([str(python), *environment.probe])
    marker.write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return python


def distribution_versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """Ask an environment for the versions of its python and of the distributions named."""
    program = (
        "import json, platform, sys; from importlib.metadata import version; "
        "print(json.dumps({'python': platform.python_version(), **{n: version(n) for n in sys.argv[1:]}}))"
    )
    answer: dict[str, str] = json.loads(call([str(python), "-c", program, *names]))
    return answer


def call(command: Sequence[str], *, log: Path | None = None, extra_environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed, stdout and stderr together.

    With `log`, the output is written to that file as it comes. Raises BenchmarkError with the last lines
    of the output where the command fails.
    """
    environment = {**os.environ, **(extra_environment or {})}
    if log is None:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        status, output = done.returncode, done.stdout
    else:
        with log.open("w", encoding="utf-8") as stream:
            status = subprocess.run(command, env=environment, stdout=stream, stderr=subprocess.STDOUT).returncode
        output = log.read_text(encoding="utf-8", errors="replace")
    if status != 0:
        tail = "\n".join(f"  {line}" for line in output.splitlines()[-TAIL_LINES:])
        raise BenchmarkError(f"`{' '.join(command)}` ended with status {status}\n{tail}")
    return output
