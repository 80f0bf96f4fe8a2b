"""What word vectors are learned from: text files, the workspace's token files, or aligned data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace
from rnnkit.stages.vectors import vector_options

if TYPE_CHECKING:
    from rnnkit.embeddings.corpus import WordCounts
    from rnnkit.stages.vectors.embedding_options import TrainEmbeddingsOptions


def find_text(options: TrainEmbeddingsOptions) -> tuple[Path, ...]:
    """The files of text; none where aligned data is read.

    Raises:
        UsageError: Text and aligned data are both given, or text and a language.
        DataError: A file is missing, or none is given and the workspace has no token files of a `train` part.
    """
    from rnnkit.config import STDIN
    from rnnkit.text.token_files import find_token_files, parse_name

    if options.data is not None:
        if options.text:
            raise UsageError(f"text and --data {options.data} are both given; vectors are learned from one of them")
        return ()
    if options.text:
        if options.language:
            raise UsageError("--language chooses among the workspace's files; the text is named already")
        missing = next((path for path in options.text if path != STDIN and not path.exists()), None)
        if missing is not None:
            raise DataError(f"there is no file {missing}")
        return tuple(options.text)
    folder = Workspace(options.work).tokens
    names = {path: parse_name(path) for path in find_token_files(folder)}
    found = [path for path, name in names.items() if name.split == "train"]
    if options.language:
        found = [path for path in found if names[path].language == options.language]
    if not found:
        language = f" of {options.language}" if options.language else ""
        raise DataError(
            f"{folder} has no training text{language}",
            hint="name text, such as `rnnkit train-embeddings wiki.txt`, or run `rnnkit tokenize train.LANG` first",
        )
    languages = sorted({names[path].language for path in found})
    if len(languages) > 1:
        raise UsageError(
            f"{folder} has training text of {' and '.join(languages)}",
            hint=f"--language {languages[0]} learns from one; name the files to learn from several at once",
        )
    return tuple(found)


def digests(options: TrainEmbeddingsOptions, paths: Sequence[Path]) -> dict[str, str]:
    """sha256 of what is read. Standard input and other pipes have none."""
    from rnnkit.config import STDIN

    numbered = enumerate(paths, 1)
    found = {f"text.{number}": manifest.sha256(path) for number, path in numbered if path != STDIN and path.is_file()}
    if options.data is not None:
        found["data"] = manifest.sha256(options.data / manifest.NAME)
    digest = vector_options.digest(options.init_from) if options.init_from is not None else None
    if digest is not None:
        found["vectors"] = digest
    return found


def write_numbers(options: TrainEmbeddingsOptions, paths: Sequence[Path], folder: Path, listen: Listener) -> WordCounts:
    """Write the text as numbers into an empty folder, all but the rows of the vocabulary.

    Raises:
        DataError: The text cannot be read, is empty, or has too few words.
    """
    from rnnkit.embeddings.corpus import write_text

    if paths:
        return write_text(paths, folder, options.min_count, listen)
    return _write_aligned(options, folder, listen)


def _write_aligned(options: TrainEmbeddingsOptions, folder: Path, listen: Listener) -> WordCounts:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.embeddings.corpus import select_words, write_sentences
    from rnnkit.text.vocabulary import Vocabulary

    assert options.data is not None  # `find_text` returns no paths otherwise
    data = AlignedData.open(options.data)
    language = options.language or data.sides[0]
    if language not in data.sides or (len(data.sides) > 1 and not options.language):
        raise UsageError(
            f"{options.data} has the sides {' and '.join(data.sides)}",
            hint=f"--language {data.sides[0]} chooses one",
        )
    if "train" not in data.splits:
        raise DataError(f"{options.data} has no train sentences", hint="align a train part as well")
    joint = "vocabulary" in data.meta.inputs
    path = options.vocab or Workspace(options.work).vocabulary(None if joint else language)
    name = "vocabulary" if joint else f"vocabulary.{language}"
    if manifest.sha256(path) != data.meta.inputs.get(name):
        raise DataError(
            f"{path} is not the vocabulary that {options.data} was made with",
            hint="--vocab names the right one",
        )
    vocabulary = Vocabulary.load(path)
    counts = write_sentences(data.side("train", language), folder, len(vocabulary))
    listen(Note(f"{int(counts.sum()):,} words of {language} in {options.data}"))
    return select_words(counts, lambda number: vocabulary.tokens[number].encode(), options.min_count)
