"""What is asked of each line's translation, read from files beside the text: beginnings, and phrases to be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path

from rnnkit.decoding.choice import Wish
from rnnkit.errors import DataError
from rnnkit.models.store import Model
from rnnkit.text import special
from rnnkit.text.lines import read_lines

Asked = tuple[str, Wish]
"""A source line and what is asked of its translation."""

NO_WISH = Wish()


def read_asked(
    model: Model, lines: Iterable[str], prefixes: Path | None, constraints: Path | None, skip: int = 0
) -> Iterator[Asked]:
    """Source lines with what is asked of them.

    Args:
        model: Whose tokens are meant.
        lines: The source.
        prefixes: File with the beginning of each line's translation, empty for none.
        constraints: File with each line's phrases, parted by tabs, empty for none.
        skip: Lines of all files to leave out at the start.

    Raises:
        DataError: A file has more or fewer lines than the source, or asks for what the vocabulary does not know, or
            has features that cannot be read; the message names file and line.
    """
    begins = read_lines(prefixes) if prefixes is not None else repeat("")
    phrases = read_lines(constraints) if constraints is not None else repeat("")
    number = 0
    for number, line in enumerate(lines, start=1):
        begin, some = _next(begins, prefixes, number), _next(phrases, constraints, number)
        if number <= skip:
            continue
        wish = Wish(
            _encode(model, begin, f"{prefixes}:{number}", "prefix"),
            _phrases(model, some, f"{constraints}:{number}"),
        )
        yield line, wish if wish.prefix or wish.phrases else NO_WISH
    for others, path in ((begins, prefixes), (phrases, constraints)):
        if path is not None and list(islice(others, 1)):
            raise DataError(f"{path}:{number + 1}: the text has no such line", f"it ends with line {number}")


def _next(lines: Iterator[str], path: Path | None, number: int) -> str:
    for line in lines:
        return line
    raise DataError(
        f"{path} ends with line {number - 1}, the text has more", hint="every line of the text has its line there"
    )


def _phrases(model: Model, line: str, where: str) -> tuple[tuple[int, ...], ...]:
    """The phrases of a line, each once."""
    encoded = [_encode(model, phrase, where, "phrase") for phrase in line.split("\t")]
    return tuple(dict.fromkeys(ids for ids in encoded if ids))


def _encode(model: Model, text: str, where: str, what: str) -> tuple[int, ...]:
    model.tokenizer.part(text, where)  # features that cannot be read are refused by their place
    tokens = model.tokenizer.tokenize(text)
    ids = model.target_vocabulary.encode(tokens)
    for token, row in zip(tokens, ids, strict=True):
        if row == special.UNK:
            raise DataError(
                f"{where}: the {what} {text!r} has {token!r}, which the target vocabulary does not know",
                hint=f"only what {model.folder} can say can be asked for",
            )
    return tuple(ids)
