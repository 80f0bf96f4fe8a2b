"""The training text of word vectors: text files, the token files of a workspace, or one side of aligned data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.embeddings.queries import digest_vectors
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.options.declare import STDIN
from rnnkit.text.token_files import TRAIN, find_token_files, parse_name

if TYPE_CHECKING:
    from rnnkit.embeddings.corpus import WordCounts


@dataclass(frozen=True)
class TrainingText:
    """Where the training text is.

    Attributes:
        paths: Text or token files; empty if the text is a side of aligned data.
        data: Directory of the aligned data.
        vocabulary: Vocabulary that the data was encoded with; None for that of the workspace.
        language: Side of the data; empty if it has only one.
        workspace: Where the vocabulary is by default.
    """

    paths: tuple[Path, ...]
    data: Path | None
    vocabulary: Path | None
    language: str
    workspace: Workspace

    def digests(self, init_from: Path | None) -> dict[str, str]:
        """Compute the SHA-256 of each input, the vectors to start from included. Standard input and pipes have none."""
        files = [(f"text.{number}", path) for number, path in enumerate(self.paths, 1)]
        found = {name: manifest.sha256(path) for name, path in files if path != STDIN and path.is_file()}
        if self.data is not None:
            found["data"] = manifest.sha256(self.data / manifest.NAME)
        digest = None if init_from is None else digest_vectors(init_from)
        return found if digest is None else {**found, "vectors": digest}

    def write_ids(self, folder: Path, min_count: int, listen: Listener) -> WordCounts:
        """Write the text as word ids into the empty directory `folder`; only the map to vocabulary ids is missing.

        Raises:
            DataError: The text cannot be read, is empty, or has too few words with `min_count` occurrences.
        """
        from rnnkit.embeddings.corpus import write_corpus

        if self.paths:
            return write_corpus(self.paths, folder, min_count, listen)
        return self._write_aligned(folder, min_count, listen)

    def _write_aligned(self, folder: Path, min_count: int, listen: Listener) -> WordCounts:
        from rnnkit.data.aligned_data import AlignedData
        from rnnkit.embeddings.corpus import select_words, write_aligned_corpus
        from rnnkit.text.vocabulary import Vocabulary

        assert self.data is not None  # `find_training_text` sets `paths` otherwise
        data = AlignedData.open(self.data)
        language = self.language or data.sides[0]
        if language not in data.sides or (len(data.sides) > 1 and not self.language):
            raise UsageError(
                f"{self.data} has the sides {' and '.join(data.sides)}",
                hint=f"select one, for example with --language {data.sides[0]}",
                path=self.data,
                option="--language",
            )
        if TRAIN not in data.splits:
            raise DataError(
                f"{self.data} has no {TRAIN} split", hint="encode one with `rnnkit align --train FILE…`", path=self.data
            )
        joint = "vocabulary" in data.meta.inputs
        path = self.vocabulary or self.workspace.vocabulary(None if joint else language)
        if manifest.sha256(path) != data.meta.inputs.get("vocabulary" if joint else f"vocabulary.{language}"):
            raise DataError(
                f"{path} is not the vocabulary that {self.data} was encoded with",
                hint="pass the right file with --vocab",
                path=path,
                option="--vocab",
            )
        vocabulary = Vocabulary.load(path)
        counts = write_aligned_corpus(data.side(TRAIN, language), folder, len(vocabulary))
        listen(Note(f"{int(counts.sum()):,} words of {language} in {self.data}"))
        return select_words(counts, lambda index: vocabulary.tokens[index].encode(), min_count)


def find_training_text(
    workspace: Workspace, text: Sequence[Path], data: Path | None, vocabulary: Path | None, language: str
) -> TrainingText:
    """Find the training text: the given files, the given aligned data, or the token files of the workspace.

    Args:
        workspace: Where the token files and the vocabulary are by default.
        text: Text or token files.
        data: Aligned data.
        vocabulary: Vocabulary of the aligned data.
        language: Language of the token files, or side of the data; empty if there is only one.

    Raises:
        UsageError: Both text and aligned data are given, or both text and a language.
        DataError: A file is missing, or none is given and the workspace has no token files of the train split.
    """
    if data is not None and text:
        raise UsageError(f"text files and --data {data} exclude each other", hint="give one of them", option="--data")
    if text and language:
        raise UsageError(
            "--language selects among the workspace's files and has no effect on the given text", option="--language"
        )
    missing = next((path for path in text if path != STDIN and not path.exists()), None)
    if missing is not None:
        raise DataError(f"file not found: {missing}", path=missing)
    paths = tuple(text) if text or data is not None else _find_token_files(workspace.tokens, language)
    return TrainingText(paths, data, vocabulary, language, workspace)


def _find_token_files(folder: Path, language: str) -> tuple[Path, ...]:
    """Find the token files of the train split in one language."""
    names = {path: parse_name(path) for path in find_token_files(folder)}
    found = [path for path, name in names.items() if name.split == TRAIN and language in ("", name.language)]
    if not found:
        raise DataError(
            f"{folder} has no training text{f' of language {language}' if language else ''}",
            hint="name text files, as in `rnnkit train-embeddings wiki.txt`, or run `rnnkit tokenize train.LANG` first",
            path=folder,
        )
    languages = sorted({names[path].language for path in found})
    if len(languages) > 1:
        raise UsageError(
            f"{folder} has training text of {' and '.join(languages)}",
            hint=f"select one, for example with --language {languages[0]}, or name the files to train on several",
            path=folder,
            option="--language",
        )
    return tuple(found)
