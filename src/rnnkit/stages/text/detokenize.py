"""`rnnkit detokenize`: tokens back to text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rnnkit.errors import DataError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.options.declare import STDIN, argument, option
from rnnkit.stages import shared_options as shared
from rnnkit.text.token_files import read_token_lines
from rnnkit.text.tokenizer import Tokenizer, warn_replaced_line_ends
from rnnkit.text.tokenizer_store import load_tokenizer

EXAMPLE = """\
rnnkit detokenize work/tokens/test.de.tok > test.de
rnnkit tokenize < test.de | rnnkit detokenize"""


@dataclass(frozen=True)
class DetokenizeOptions(shared.WorkspaceOptions):
    """Convert tokens back to text on standard output, one output line per input line.

    The text is in NFC with white space collapsed, or exact if the tokenizer was made with --normalize none; what
    --lowercase or nfkc folded is not restored. Tokens that spell a line end are printed as ␊ or ␍.
    """

    files: list[Path] = argument(
        (), help="Token files, in this order; none, or -, is standard input.", metavar="FILE…", shown_default="stdin"
    )
    model: Path | None = option(
        None,
        help="Directory of the tokenizer that made the tokens.",
        shown_default="WORK/tokenizer",
        variable="TOKENIZER",
    )


def open_filter(options: DetokenizeOptions, listen: Listener = null_listener) -> Iterator[str]:
    """Detokenize the files, or standard input, line by line.

    Raises:
        DataError: There is no tokenizer or a file is missing; during iteration: the input is not valid text.
        FormatError: The tokenizer is damaged or of a newer version.
    """
    tokenizer = load_tokenizer(options.model or Workspace(options.work).tokenizer)
    files = options.files or [STDIN]
    for file in files:
        if file != STDIN and not file.exists():
            raise DataError(f"file not found: {file}", path=file)
    if STDIN in files and sys.stdin.isatty():
        listen(Note("reading tokens from the keyboard, one sentence per line; Ctrl-D ends the input"))
    lines = filter_lines(chain.from_iterable(map(read_token_lines, files)), tokenizer)
    return _warn_at_end(lines, tokenizer, listen)


def filter_lines(lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the text of each line of tokens as soon as the line is read."""
    for line in lines:
        yield tokenizer.detokenize(line.split())


def _warn_at_end(lines: Iterator[str], tokenizer: Tokenizer, listen: Listener) -> Iterator[str]:
    """Yield the lines, and warn at the end if some contained tokens that spell a line end."""
    yield from lines
    warn_replaced_line_ends(tokenizer, listen)
