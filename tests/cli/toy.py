"""A stage that does on request what real stages do seldom, and a command line that has it.

Run as a script, it is `rnnkit` with one more command.
"""

from __future__ import annotations

import errno
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rnnkit.cli import app
from rnnkit.cli.command import Command
from rnnkit.cli.commands import COMMANDS
from rnnkit.cli.console import Console
from rnnkit.errors import DataError, Interrupted
from rnnkit.events import Note, Progress, Status, WarningEvent
from rnnkit.options.declare import argument, option
from rnnkit.options.record import as_dict
from rnnkit.text.lines import STDIN, read_lines

EXAMPLE = "rnnkit toy --beam 3 a.txt"


@dataclass(frozen=True)
class ToyOptions:
    """Do what is asked, with [brackets] and `--flags` in the text.

    A second paragraph.

    Attributes:
        files: Not part of the page.
    """

    files: list[Path] = argument((), help="Text files.", metavar="FILE…", shown_default="standard input")
    act: str = option("show", help="What to do.", panel="Data")
    train: list[Path] = option((), help="The two sides of train.", many=True, metavar="SRC TGT")
    work: Path = option(Path("work"), help="Folder of every default path.")
    output: Path | None = option(None, help="Where to write [the result].")
    arch: str = option("lstm", help="Cell.", choices=("rnn", "gru", "lstm"), panel="Model")
    tie: bool = option(True, help="Tie the embeddings.", panel="Model")
    lambda_: float = option(0.5, help="A name that Python keeps.", panel="Optimisation", minimum=-1, maximum=1)
    beam: int = option(5, help="Hypotheses kept.", unit="hypotheses", minimum=1, panel="Search")
    length: int | None = option(None, help="Longest output.", unit="tokens", panel="Search")


def act(stage: ModuleType, options: ToyOptions, console: Console) -> int | None:
    """Show the options, or behave as `--act` says."""
    match options.act:
        case "data":
            raise DataError("the line is bad", "train.de:7", hint="mend it")
        case "defect":
            raise ZeroDivisionError("division by nothing")
        case "memory":
            raise MemoryError
        case "gpu":
            raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "work/model")
        case "denied":
            raise PermissionError(errno.EACCES, "Permission denied", "work/model")
        case "end":
            raise EOFError("truncated")
        case "code":
            return 1
        case "saved":
            raise Interrupted(signal.SIGTERM, "saved work/model/last", hint="--resume continues")
        case "wait":
            console.note("waiting")
            time.sleep(30)
        case "flood":
            for number in range(200_000):
                console.write(f"line {number}")
        case "echo":
            console.listen(Status("preparing"))
            time.sleep(1.5)
            for line in read_lines(STDIN):
                console.write(line.upper())
        case "talk":
            talk(console)
        case _:
            console.report("\n".join(f"{k}={v}" for k, v in as_dict(options).items()), as_dict(options))
    return None


def talk(console: Console) -> None:
    """Send every kind of event, and print one result."""
    console.listen(Note("a note with [brackets]"))
    console.listen(WarningEvent("a warning"))
    for done in range(31):
        console.listen(Progress("work", done, 30, "steps", {"loss": "0.5"}, finished=done == 30))
        time.sleep(0.04)
    console.write("a result")


COMMAND = Command("toy", "Do what is asked", act)

if __name__ == "__main__":
    sys.modules["rnnkit.stages.toy"] = sys.modules["__main__"]
    COMMANDS["toy"] = COMMAND
    app.main()
