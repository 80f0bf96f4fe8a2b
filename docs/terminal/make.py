"""Record what commands show on terminals of 80 and 120 columns, as SVG files beside this script.

    python docs/terminal/make.py

Every page is the output of a real command on the sample corpora. It runs on a pseudo-terminal in a temporary folder;
a running command is recorded at the last moment at which a line of the screen matches. The colors are the terminal's
own, the characters are text. Times and speeds are those of the machine that the script ran on.
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
CORPORA = HERE.parents[1] / "sample_corpora"
WIDTHS = (80, 120)

QUIET_SECONDS = 0.01
"""Time without output after which a drawing is complete."""

UNFINISHED = re.compile(r"\x1b[^A-Za-z]*$")
"""A sequence whose end has not been read yet."""

PREPARATION = """\
rnnkit tokenize train.de train.en valid.de valid.en --type words
rnnkit vocab
rnnkit align --source de --target en
rnnkit tokenize train.txt --type words --work words
rnnkit train-embeddings --subwords --sample 0 --learning-rate 0.05 --epochs 10 --threads 1 --work words"""

TRAIN = (
    "rnnkit train --hidden 128 --samples 1 --validate-every 100 --embedding 128 --batch-tokens 512 --max-steps 200 "
    "--overwrite"
)


@dataclass(frozen=True)
class Page:
    """A page: its file name, its command, and, for a running command, what a line of the screen contains."""

    name: str
    command: str
    moment: str | None = None


PAGES = (
    Page("help", "rnnkit train --help"),
    Page("progress", TRAIN, r"^training .* 1[2-8]\d/200 steps .*loss"),
    Page("error", "rnnkit bleu valid.en --hypotheses test.en"),
    Page("table", "rnnkit evaluate-embeddings analogies.txt --work words"),
)


class Screen:
    """The lines that a terminal shows, with their colors; it knows what Rich and rnnkit write."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0

    def feed(self, text: str) -> None:
        """Apply output: characters, line ends, and the sequences that move up and clear a line."""
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\r\n]|[^\x1b\r\n]+", text):
            if part == "\n":
                self._row += 1
                self.lines += [""] * (self._row + 1 - len(self.lines))
            elif part == "\x1b[2K":
                self.lines[self._row] = ""
            elif match := re.fullmatch(r"\x1b\[(\d*)A", part):
                self._row = max(0, self._row - int(match[1] or 1))
            elif part != "\r" and (not part.startswith("\x1b") or part.endswith("m")):
                self.lines[self._row] += part

    def text(self) -> str:
        """Return the screen without blank lines at its end."""
        return "\n".join(self.lines).rstrip()


def plain(text: str) -> str:
    """Return text without colors."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def record(page: Page, columns: int, folder: Path) -> str:
    """Run the command of a page on a terminal; return the screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    running = subprocess.Popen(
        line_of(page.command), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment(), cwd=folder
    )
    os.close(theirs)
    screen, kept, pending, decoder = Screen(), "", "", codecs.getincrementaldecoder("utf-8")()
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not block:
            break
        pending += decoder.decode(block)
        if select.select([ours], [], [], QUIET_SECONDS)[0] or UNFINISHED.search(pending):
            continue  # a drawing is written in one piece: what follows at once belongs to it
        screen.feed(pending)
        pending = ""
        if page.moment and any(re.search(page.moment, plain(line)) for line in screen.lines):
            kept = screen.text()
    screen.feed(pending)
    os.close(ours)
    running.wait()
    if page.moment and not kept:
        raise SystemExit(f"{page.command}: no line of the screen matched {page.moment}")
    return kept or screen.text()


def line_of(command: str) -> list[str]:
    """Return the command line that runs a command with this Python."""
    return [sys.executable, "-P", "-m", *command.split()]


def environment() -> dict[str, str]:
    """Return an environment without settings of this machine's user."""
    removed = ("RNNKIT_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def to_svg(screen: str, command: str, columns: int, name: str) -> str:
    """Draw a screen as SVG, without fonts from the network."""
    console = Console(file=io.StringIO(), record=True, width=columns, force_terminal=True, color_system="truecolor")
    typed = " \\\n".join(textwrap.wrap(f"$ {command}", columns - 2, subsequent_indent="    ", break_on_hyphens=False))
    shown = Text.from_ansi(f"{typed}\n{screen}")
    console.print(shown, soft_wrap=True)
    svg = console.export_svg(title="rnnkit", unique_id=f"{name}-{columns}")
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#[^)]*-line-\d+\)"', "", svg)
    svg = re.sub(r"<text [^>]*>(?:&#160;|\s)*</text>", "", svg)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def prepare(folder: Path) -> None:
    """Copy the corpora, and run the commands that come before the pages."""
    for source in (*(CORPORA / "parallel").glob("*.*"), CORPORA / "monolingual/train.txt",
                   CORPORA / "monolingual/analogies.txt"):  # fmt: skip
        shutil.copy(source, folder)
    kernels = f"{TRAIN} --max-steps 2 --validate-lines 2"  # which compiles them
    for command in [*PREPARATION.splitlines(), kernels]:
        subprocess.run(line_of(command), env=environment(), cwd=folder, check=True)


def main(names: Sequence[str]) -> None:
    """Make the pages with these names, by default all."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        for page in PAGES:
            for columns in WIDTHS if not names or page.name in names else ():
                screen = record(page, columns, folder)
                assert temporary not in screen, "a path of this machine"
                target = HERE / f"{page.name}-{columns}.svg"
                target.write_text(to_svg(screen, page.command, columns, page.name), encoding="utf-8")
                print(f"{target.name}: {len(screen.splitlines())} lines")
                print(plain(screen))


if __name__ == "__main__":
    main(sys.argv[1:])
