"""`rnnkit convert-ngrams`: counted language models to ARPA files and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rnnkit.config import STDIN, argument, as_dict, option
from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.atomic import is_stream
from rnnkit.io.safe_reading import Repairs
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file, claim_folder

if TYPE_CHECKING:
    from rnnkit.ngrams.model import NgramModel

EXAMPLE = """\
rnnkit convert-ngrams model.arpa
rnnkit convert-ngrams model.arpa.gz --model work/counts --merge-unknown
rnnkit convert-ngrams work/imported --model wiki.arpa
rnnkit convert-ngrams work/imported --model sphinx.lm --repair --json"""

KIND: Final = "model"
ENDINGS: Final = (".arpa", ".gz")
"""Ends of names of ARPA files."""

_UNWRITTEN: Final = (".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True)
class ConvertNgramsOptions:
    """Write a counted language model as an ARPA file, which KenLM, SRILM and others read, or read one of theirs.

    An OUTPUT that ends in .arpa or .gz is such a file, any other a model directory. ARPA files are read plain or
    compressed (gzip, bzip2, xz), also from pipes. A model read from one takes text whose tokens are separated by
    blanks or tabs, as the file has them.
    """

    output: Path = argument(help="ARPA file or model directory to write.", metavar="OUTPUT")
    model: Path | None = option(
        None, help="Model directory, or an ARPA file or pipe; - is standard input.", panel="Data",
        shown_default="WORK/model",
    )  # fmt: skip
    repair: bool = usual.repair(
        help="Read imperfect ARPA files: repair or skip blanks for tabs, wrong counts, duplicates, invalid UTF-8."
    )
    work: Path = usual.work()
    merge_unknown: bool = option(
        False, help="The text's own word <unk>, as in the Penn Treebank, is the unknown word.", panel="Output"
    )
    overwrite: bool = option(False, help="Replace what is there.", panel="Output")


@dataclass(frozen=True)
class ConvertNgramsResult:
    """What was written.

    Attributes:
        path: Where.
        ngrams: N-grams of each order.
        repairs: What was repaired or skipped in the ARPA file; None without `--repair`.
    """

    path: Path
    ngrams: tuple[int, ...]
    repairs: Repairs | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        found = {} if self.repairs is None else {"repairs": self.repairs.as_dict()}
        return {"path": str(self.path), "ngrams": list(self.ngrams), **found}

    @property
    def lines(self) -> list[str]:
        """The result for people."""
        return [f"{self.path}: {', '.join(f'{count:,}' for count in self.ngrams)} n-grams of order 1 to {self.order}"]

    @property
    def order(self) -> int:
        """Tokens of the longest."""
        return len(self.ngrams)


def run(options: ConvertNgramsOptions, listen: Listener = null_listener) -> ConvertNgramsResult:
    """Convert.

    Raises:
        DataError: There is no such model or file, or nothing of the kind in it.
        FormatError: It is damaged; of an ARPA file the message names the line.
        ArtefactError: The output already exists, or the model has no counts, or holds what ARPA cannot.
    """
    from rnnkit.ngrams.arpa import write_arpa

    source = options.model or Workspace(options.work).model
    if options.output.suffix in _UNWRITTEN:
        raise UsageError(f"{options.output}: ARPA files are written plain or as gzip", hint="end its name in .arpa.gz")
    as_arpa = options.output.name.endswith(ENDINGS) or is_stream(options.output)
    if as_arpa:
        claim_file(options, options.output, others=[source])
    else:
        claim_folder(options, options.output, KIND, others=[source])
    read = _read(source, options.repair, listen)
    if as_arpa:
        write_arpa(read.model, read.tokens, options.output, options.merge_unknown, listen)
    else:
        _write_folder(read, source, options)
    return ConvertNgramsResult(options.output, tuple(read.model.sizes), read.repairs)


@dataclass(frozen=True)
class _Read:
    """A model that was read.

    Attributes:
        model: Its n-grams.
        tokens: Its vocabulary's tokens by id.
        sha256: Of the ARPA file, or of the manifest of the model directory.
        repairs: What was repaired in the ARPA file.
    """

    model: NgramModel
    tokens: Sequence[str]
    sha256: str
    repairs: Repairs | None = None


def _read(source: Path, repair: bool, listen: Listener) -> _Read:
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.arpa_reader import read_arpa
    from rnnkit.text.vocabulary import Vocabulary

    if not source.is_dir():
        if source != STDIN and not source.exists():
            raise DataError(f"there is no model at {source}", hint="--model names a model directory or an ARPA file")
        repairs, digest = Repairs(source) if repair else None, hashlib.sha256()
        model, tokens = read_arpa(source, listen, repairs, digest)
        return _Read(model, tokens, digest.hexdigest(), repairs)
    if repair:
        listen(Note(f"--repair has no effect: {source} is a model directory, not an ARPA file"))
    document = store.read_config(source)
    if document["network"].get("arch") != "ngram":
        raise ArtefactError(
            f"{source} has no counts", "ARPA files hold n-grams", hint="`rnnkit train-lm --arch ngram` makes them"
        )
    vocabulary = Vocabulary.load(source / VOCABULARY_FILE)
    return _Read(
        ngram_store.load(source / ngram_store.NAME), vocabulary.tokens, manifest.sha256(manifest.manifest_path(source))
    )


def _write_folder(read: _Read, source: Path, options: ConvertNgramsOptions) -> None:
    """A model directory like those that `train-lm` makes, with a tokenizer that cuts text at blanks."""
    from rnnkit.io.artifact_output import atomic_directory
    from rnnkit.io.durable import copy_directory
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.normalizer import Normalizer
    from rnnkit.text.tokenizers.simple_tokenizers import KenLMTokenizer
    from rnnkit.text.tokenizers.store import save_tokenizer
    from rnnkit.text.vocabulary import Vocabulary

    model = read.model
    with atomic_directory(options.output, store.KIND) as partial:
        Vocabulary(tuple(read.tokens), (0,) * len(read.tokens)).save(partial / VOCABULARY_FILE)
        if source.is_dir() and (source / "tokenizer").exists():
            copy_directory(source / "tokenizer", partial / "tokenizer")
        else:
            save_tokenizer(KenLMTokenizer(Normalizer("none")), partial / "tokenizer")
        ngram_store.save(partial / ngram_store.NAME, model)
        network = {"arch": "ngram", "order": model.order, "smoothing": model.facts.get("smoothing")}
        store.write_config(partial, store.LANGUAGE_MODEL, ["und"], [VOCABULARY_FILE], network)
        kept = {name: value for name, value in as_dict(options).items() if name not in ("work", "overwrite", "output")}
        facts = {"languages": ["und"], "ngrams": list(model.sizes)}
        store.write_manifest(partial, kept, {"arpa": read.sha256}, facts, finished=True)
        _open_once(partial)


def _open_once(folder: Path) -> None:
    """Open a model directory as the commands that use it do, so that none is left behind that cannot be opened."""
    from rnnkit.models import lm_store, store
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.vocabulary import Vocabulary

    store.read_config(folder)
    lm_store.find_tokenizer(folder)
    model, rows = ngram_store.load(folder / ngram_store.NAME), len(Vocabulary.load(folder / lm_store.VOCABULARY_FILE))
    if rows != model.vocabulary_size:
        raise FormatError(f"{folder}: the vocabulary has {rows:,} rows, the n-grams {model.vocabulary_size:,} words")
