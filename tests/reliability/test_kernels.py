"""With any damage to the disk cache of kernels, every command that uses it succeeds with the same result."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.reliability import disk
from tests.workspaces import SMALL, make_text_workspace, make_workspace

from rnnkit.kernels import compiler, kernel_cache

STORE = f"kernels-{hashlib.sha256(str(Path(compiler.__file__).parent).encode()).hexdigest()[:16]}"
"""Name of the kernels' subdirectory in the cache."""

EMBEDDINGS = ["wiki.txt", "--dimension", "8", "--min-count", "1", "--epochs", "1", "--threads", "1", "--output", "new"]


@dataclass(frozen=True)
class Case:
    """A command that runs kernels.

    Attributes:
        modules: Modules of `rnnkit.kernels` whose kernels it runs.
        words: The command line.
        before: Command line that creates its input.
    """

    modules: tuple[str, ...]
    words: tuple[str, ...]
    before: tuple[str, ...] = ()


TRAIN = ("train", "--work", "pairs", *SMALL, "--output")
COUNT = ("train-lm", "--work", "text", "--arch", "ngram", "--output")

WORD_VECTORS = ("word2vec_chunk", "word_hashing")
ALIGNMENT = ("word_alignment", "hmm_forward_backward", "ibm2_expectation")
TRAINING, DECODING = ("recurrent_sequence", "gemm"), ("decoder_step", "gemm")
NGRAMS = ("ngram_trie", "arpa_entries")

COMMANDS = {
    "train-embeddings": Case(WORD_VECTORS, ("train-embeddings", *EMBEDDINGS)),
    "align-words": Case(ALIGNMENT, ("align-words", "--work", "pairs", "--output", "new", "--threads", "1")),
    "train": Case(TRAINING, (*TRAIN, "new")),
    "decode": Case(DECODING, ("decode", "--model", "model", "--threads", "1", "lines.de"), (*TRAIN, "model")),
    "train-lm": Case(NGRAMS, (*COUNT, "new")),
    "score": Case(NGRAMS, ("score", "lines.en", "--model", "counted", "--tokens"), (*COUNT, "counted")),
    "convert-ngrams": Case(NGRAMS, ("convert-ngrams", "new.arpa", "--model", "counted"), (*COUNT, "counted")),
}
QUICK = {("train-lm", "flip"), ("train-lm", "full disk")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with texts and workspaces."""
    folder = tmp_path_factory.mktemp("kernels")
    for name, make in (("pairs", make_workspace), ("text", make_text_workspace)):
        (folder / f"{name}.made").mkdir()
        make(folder / f"{name}.made").rename(folder / name)
    for side in ("de", "en"):
        shutil.copy(folder / f"pairs.made/valid.{side}", folder / f"lines.{side}")
    shutil.copy(folder / "text.made/train.en", folder / "wiki.txt")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A copy of the kernels that earlier tests have compiled."""
    kept = kernel_cache.cache_dir(os.environ.get(kernel_cache.CACHE_DIR_VARIABLE, ""))
    assert kept is not None
    (tmp_path / "cache").mkdir(0o700)
    if (kept / STORE).exists():
        shutil.copytree(kept / STORE, tmp_path / "cache" / STORE)
    return tmp_path / "cache"


def kernels_of(case: Case, cache: Path, log: bytes) -> list[Path]:
    """Files of the kernels that a command has loaded or compiled, the smallest first; they compile fastest."""
    used = {
        name.decode() for name in re.findall(rb"^\[cache\] data (?:loaded from|saved to) '(.+)'$", log, re.MULTILINE)
    }
    files = [cache / STORE / name for name in used if name.partition(".")[0] in case.modules]
    return sorted(files, key=lambda file: (file.stat().st_size, file.name))


def rnnkit(folder: Path, words: tuple[str, ...], **variables: str) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "rnnkit", *words]
    return subprocess.run(program, cwd=folder, env={**os.environ, **variables}, capture_output=True)


def elsewhere(folder: Path) -> Mapping[str, str]:
    """Variables under which the usual cache directories are empty."""
    (folder / "tmp").mkdir()
    return {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}


def remove_results(folder: Path) -> None:
    for path in folder.glob("new*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def result(folder: Path, done: subprocess.CompletedProcess[bytes]) -> Mapping[str, bytes]:
    """Return the output of a command, apart from files that contain times."""
    kinds = {".npy", ".safetensors", ".tsv", ".arpa"}
    files = [path for path in sorted(folder.glob("new*")) for path in ([path] if path.is_file() else path.rglob("*"))]
    made = {str(path): path.read_bytes() for path in files if path.suffix in kinds or path.name.startswith("links")}
    return {"": re.sub(rb"^\[cache\].*\n", b"", done.stdout, flags=re.MULTILINE), **made}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[2 * len(content) // 3] ^= 1
    file.write_bytes(content)


def hide(file: Path) -> None:
    """Replace a file by one that nobody can read, not even root."""
    file.unlink()
    os.mkfifo(file, 0)


@contextmanager
def damaged(cache: Path, files: list[Path], damage: Callable[[Path], object]) -> Iterator[Path]:
    for file in files:
        damage(file)
    yield cache


@contextmanager
def on_disk(cache: Path, files: list[Path], options: str) -> Iterator[Path]:
    """Yield the cache without these files, on a full or read-only disk."""
    if not disk.may_mount(cache.parent / "try"):
        pytest.skip("no file system can be mounted here")
    for file in files:
        file.unlink()
    with disk.mounted(cache.parent / "disk") as place:
        shutil.copytree(cache, place / "cache")
        if options == "full":
            disk.leave(place, 0)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place / "cache"


Fault = Callable[[Path, list[Path]], AbstractContextManager[Path]]
FAULTS: dict[str, Fault] = {
    "cut": lambda cache, files: damaged(cache, files, lambda file: os.truncate(file, file.stat().st_size // 2)),
    "flip": lambda cache, files: damaged(cache, files, flip),
    "empty": lambda cache, files: damaged(cache, files, lambda file: os.truncate(file, 0)),
    "unreadable": lambda cache, files: damaged(cache, files, hide),
    "full disk": lambda cache, files: on_disk(cache, files, "full"),
    "read-only": lambda cache, files: on_disk(cache, files, "read-only"),
}
WARNINGS = {"full disk": 1}
"""Additional warnings; none with other faults."""


CASES = [
    pytest.param(
        name,
        fault,
        id=f"{name}-{fault}",
        # Compilation takes half a minute: every fault of one command at least, and every command with one of them.
        marks=[] if (name, fault) in QUICK else [pytest.mark.slow, *[pytest.mark.exhaustive] * (row % 6 != column)],
    )
    for row, name in enumerate(COMMANDS)
    for column, fault in enumerate(FAULTS)
    if (name, fault) in QUICK or row % 6 == column or (row + column) % 3 == 0
]


def test_each_command_and_each_fault_is_tried() -> None:
    tried = [case.values for case in CASES if pytest.mark.exhaustive not in case.marks]
    assert {name for name, _ in tried} == set(COMMANDS)
    assert {fault for _, fault in tried} == set(FAULTS)


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_commands_survive_a_damaged_kernel_cache(
    name: str, fault: str, folder: Path, cache: Path, tmp_path: Path
) -> None:
    case = COMMANDS[name]
    if case.before and not (folder / case.before[-1]).exists():
        assert rnnkit(folder, case.before).returncode == 0
    whole = rnnkit(folder, case.words, NUMBA_CACHE_DIR=str(cache), NUMBA_DEBUG_CACHE="1")
    expected = result(folder, whole)
    remove_results(folder)
    files = kernels_of(case, cache, whole.stdout)
    assert files
    with FAULTS[fault](cache, files[: -(-len(files) // 2)]) as place:
        done = rnnkit(folder, case.words, NUMBA_CACHE_DIR=str(place), **elsewhere(tmp_path))
    errors = done.stderr.decode()
    try:
        assert (done.returncode, "defect" in errors) == (0, False), errors
        assert result(folder, done) == expected
        warnings = errors.count("warning:") - whole.stderr.count(b"warning:")
        assert warnings == WARNINGS.get(fault, 0), errors
    finally:
        remove_results(folder)
