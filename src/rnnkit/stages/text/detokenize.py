"""`rnnkit detokenize`: put tokens together to text again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rnnkit.config import STDIN, argument, option
from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.text.token_files import read_token_lines
from rnnkit.text.tokenizers.store import load_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer, warn_replaced_line_ends

EXAMPLE = """\
rnnkit detokenize work/tokens/test.de.tok > test.de
rnnkit tokenize < test.de | rnnkit detokenize"""


@dataclass(frozen=True)
class DetokenizeOptions:
    """Turn tokens back into the text they were cut from, one line out for each line in, on standard output.

    The text comes back in NFC and with runs of white space made one space, or as it was where the tokenizer was made
    with --normalise none; what --lowercase or nfkc folded stays so. For tokens that spell a line end ␊ or ␍ is written.
    """

    files: list[Path] = argument(
        (), help="Token files, one after the other; none, or -, is stdin.", metavar="FILE…", shown_default="stdin"
    )
    model: Path | None = option(
        None, help="Folder of the tokenizer that made the tokens.", shown_default="WORK/tokenizer"
    )
    work: Path = usual.work(help="Workspace.")


def open_filter(options: DetokenizeOptions, listen: Listener = null_listener) -> Iterator[str]:
    """The text of the files, or of standard input, line by line.

    Raises:
        DataError: There is no tokenizer; later, where a file is missing or no text.
        FormatError: The tokenizer is damaged or of a newer version.
    """
    folder = options.model or Workspace(options.work).tokenizer
    tokenizer = load_tokenizer(folder)
    files = options.files or [STDIN]
    for file in files:
        if file != STDIN and not file.exists():
            raise DataError(f"there is no file {file}")
    if STDIN in files and sys.stdin.isatty():
        listen(Note("reading tokens from the keyboard, one sentence a line; Ctrl-D ends them"))
    return _reported(filter_lines(chain.from_iterable(map(read_token_lines, files)), tokenizer), tokenizer, listen)


def _reported(lines: Iterator[str], tokenizer: Tokenizer, listen: Listener) -> Iterator[str]:
    """The lines, and a warning at their end where some had tokens that spell a line end."""
    yield from lines
    warn_replaced_line_ends(tokenizer, listen)


def filter_lines(lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """One line of text for each line of tokens, as soon as it is there."""
    for line in lines:
        yield tokenizer.detokenize(line.split())
