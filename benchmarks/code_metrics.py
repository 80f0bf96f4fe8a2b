"""Size and shape of the source: files, functions, names, and how many files two commands walk through.

    python benchmarks/code_metrics.py

The walks train and decode with a tiny model and record every file of rnnkit of which a function is called, from the
first line of the command line to the optimizer's step and to the choice of a token. What runs while a module is
imported is no step of the way, and kernels are compiled before.
"""

from __future__ import annotations

import ast
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import rnnkit

SOURCE = Path(rnnkit.__file__).parent
FRAMEWORK = (
    "options/*.py", "cli/app.py", "cli/arguments.py", "cli/command.py", "cli/config_file.py", "cli/console.py",
    "cli/environment.py", "cli/failures.py", "cli/pages.py", "cli/progress_display.py", "cli/signature.py",
)  # fmt: skip
"""What declares, parses, documents and reports options and errors."""

EXCEPTED = ("__init__", "options", "store", "command")


def functions(files: Iterable[Path]) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of some files."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    return [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The number of parameters without `self` and `cls`."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def metrics() -> dict[str, Any]:
    """The figures of the source, by name."""
    files = sorted(SOURCE.rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    lengths = {path: text.count("\n") for path, text in texts.items()}
    found = functions(files)
    spans = [(each.end_lineno or each.lineno) - each.lineno + 1 for each in found]
    outside = [path for path in files if not {"stages", "cli"} & {*path.relative_to(SOURCE).parts[:1]}]
    names = Counter(path.stem for path in outside if path.stem not in EXCEPTED)
    classes = Counter(
        node.name for text in texts.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)
    )
    return {
        "files": len(files),
        "lines": sum(lengths.values()),
        "longest file": max(lengths.values()),
        "files above 300 lines": sum(lines > 300 for lines in lengths.values()),
        "functions": len(found),
        "median function": statistics.median(spans),
        "longest function": max(spans),
        "functions with more than 6 parameters": sum(parameters(each) > 6 for each in found),
        "duplicate base names": sum(count > 1 for count in names.values()),
        "duplicate class names": sum(count > 1 for count in classes.values()),
        "lines of the option framework": sum(lengths[path] for each in FRAMEWORK for path in SOURCE.glob(each)),
        "lines with Any": sum("Any" in line for text in texts.values() for line in text.splitlines()),
    }


def walk(words: list[str], goal: tuple[str, str]) -> int:
    """Run a command line in this process; count the files entered up to the first call of `goal`.

    Args:
        words: The command line.
        goal: File below the package and name of the function that ends the walk.
    """
    from rnnkit.cli import app

    entered: set[str] = set()
    done: list[bool] = []
    path = str(SOURCE / goal[0])

    def note(frame: FrameType, event: str, argument: object) -> None:
        if not done and event == "call" and frame.f_code.co_filename.startswith(str(SOURCE)) and not _imports(frame):
            entered.add(frame.f_code.co_filename)
            if frame.f_code.co_filename == path and frame.f_code.co_name == goal[1]:
                done.append(True)

    threading.setprofile(note)  # batches are searched in threads
    sys.setprofile(note)
    try:
        app.run(words)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if path not in entered:
        raise RuntimeError(f"{goal[1]} of {goal[0]} was not called")
    return len(entered)


def _imports(frame: FrameType | None) -> bool:
    """Whether a frame is part of the import of a module of rnnkit."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(str(SOURCE)):
            return True
        frame = frame.f_back
    return False


def walks(prepare: Callable[[list[str]], object]) -> dict[str, int]:
    """Files from `train` to the optimizer's step and from `decode` to the choice of a token."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("train.de", "train.en", "valid.de", "valid.en"):
            (folder / part).write_text("".join(f"a b c {line % 7}\n" for line in range(40)), encoding="utf-8")
        work = ["--work", str(folder / "work")]
        texts = [str(folder / part) for part in ("train.de", "train.en", "valid.de", "valid.en")]
        prepare(["tokenize", *texts, "--type", "words", *work])
        prepare(["vocab", *work])
        prepare(["align", "--source", "de", "--target", "en", *work])
        small = ["--hidden", "8", "--embedding", "8", "--max-steps", "2", "--threads", "1", "--validate-lines", "2"]
        prepare(["train", *small, *work])
        prepare(["decode", str(folder / "valid.de"), "--beam", "5", *work])
        train = walk(["train", *small, "--overwrite", *work], ("training/optimizer.py", "update"))
        decode = walk(
            ["decode", str(folder / "valid.de"), "--beam", "5", *work],
            ("decoding/beam_selection.py", "select_best_ranked"),
        )
    return {"files from `train` to the optimizer's step": train, "files from `decode` to the chosen token": decode}


def main() -> None:
    """Print every figure."""
    from rnnkit.cli import app

    for name, value in {**metrics(), **walks(app.run)}.items():
        print(f"{name:<45} {value:>8,}")


if __name__ == "__main__":
    main()
