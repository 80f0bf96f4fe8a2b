"""`rnnkit convert-ngrams`: conversion of n-gram models to and from ARPA files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import manifest
from rnnkit.io.atomic import is_stream
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN, argument, changed, option
from rnnkit.options.record import as_dict
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from rnnkit.ngrams.ngram_model import BackoffModel

EXAMPLE = """\
rnnkit convert-ngrams model.arpa
rnnkit convert-ngrams model.arpa.gz --model work/counts --merge-unknown
rnnkit convert-ngrams work/imported --model wiki.arpa
rnnkit convert-ngrams work/imported --model sphinx.lm --repair --json"""

KIND: Final = "model"
ENDINGS: Final = (".arpa", ".gz")
"""Suffixes of ARPA files."""

_READ_ONLY: Final = (".bz2", ".xz", ".zst", ".zip")
"""Suffixes of compressed formats that are not written."""


@dataclass(frozen=True)
class ConvertNgramsOptions(shared.WorkspaceOptions, shared.RepairOptions, shared.OverwriteOptions):
    """Convert an n-gram model to an ARPA file, for KenLM, SRILM and other tools, or from one.

    An OUTPUT that ends in .arpa or .gz is an ARPA file, any other a model directory. ARPA files are read plain or
    compressed (gzip, bzip2, xz), also from pipes. A model converted from ARPA expects text whose tokens are separated
    by spaces or tabs, as in the file.
    """

    output: Path = argument(help="ARPA file or model directory to write.", metavar="OUTPUT")
    model: Path | None = option(
        None, help="Model directory, or an ARPA file or pipe; - is standard input.", panel="Data",
        shown_default="WORK/model", variable="CONVERT_NGRAMS_MODEL",
    )  # fmt: skip
    merge_unknown: bool = option(
        False,
        help="Map the word <unk> of the training text, as in the Penn Treebank, to the unknown word.",
        panel="Output",
    )
    _: KW_ONLY
    repair: bool = changed(
        shared.RepairOptions,
        "repair",
        help="Read imperfect ARPA files: repair or skip spaces for tabs, wrong counts, duplicates, invalid UTF-8.",
    )


@dataclass(frozen=True)
class ConvertNgramsResult:
    """The model that was written.

    Attributes:
        path: The file or directory.
        ngrams: Number of n-grams of each order.
        repairs: Repairs made in the ARPA file; None without `--repair`.
    """

    path: Path
    ngrams: tuple[int, ...]
    repairs: Repairs | None = None

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        found = {} if self.repairs is None else {"repairs": self.repairs.as_dict()}
        return {"path": str(self.path), "ngrams": list(self.ngrams), **found}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        return [f"{self.path}: {', '.join(f'{count:,}' for count in self.ngrams)} n-grams of order 1 to {self.order}"]

    @property
    def order(self) -> int:
        """Order of the model."""
        return len(self.ngrams)


def run(options: ConvertNgramsOptions, listen: Listener = null_listener) -> ConvertNgramsResult:
    """Convert the model.

    Raises:
        UsageError: The suffix of the output is that of an unsupported compression.
        DataError: The model or file does not exist, or has another format.
        FormatError: It is damaged; for an ARPA file the error has the line.
        ArtefactError: The output already exists, or the model is not an n-gram model or cannot be represented in ARPA.
    """
    from rnnkit.ngrams.arpa_writer import write_arpa

    source = options.model or Workspace(options.work).model
    if options.output.suffix in _READ_ONLY:
        raise UsageError(
            f"{options.output}: ARPA files are written plain or as gzip",
            hint="use a name that ends in .arpa.gz",
            path=options.output,
        )
    if options.model is None and not options.overwrite and (options.output / manifest.NAME).exists():
        raise ArtefactError(
            f"{options.output} already exists",
            f"OUTPUT is the file to write; the model to convert is {source}",
            hint=f"to convert {options.output}, write `rnnkit convert-ngrams NAME.arpa --model {options.output}`",
            path=options.output,
        )
    as_arpa = options.output.name.endswith(ENDINGS) or is_stream(options.output)
    if as_arpa:
        check_output_file(options, options.output, others=[source])
    else:
        check_output_folder(options, options.output, KIND, others=[source])
    loaded = _load(source, options.repair, listen)
    if as_arpa:
        write_arpa(loaded.model, loaded.tokens, options.output, options.merge_unknown, listen)
    else:
        _write_folder(loaded, source, options)
    return ConvertNgramsResult(options.output, tuple(loaded.model.sizes), loaded.repairs)


@dataclass(frozen=True)
class _LoadedNgrams:
    """An n-gram model and its vocabulary.

    Attributes:
        model: The model.
        tokens: The vocabulary's tokens by id.
        sha256: SHA-256 of the ARPA file, or of the manifest of the model directory.
        repairs: Repairs made in the ARPA file.
    """

    model: BackoffModel
    tokens: Sequence[str]
    sha256: str
    repairs: Repairs | None = None


def _load(source: Path, repair: bool, listen: Listener) -> _LoadedNgrams:
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.arpa_reader import read_arpa
    from rnnkit.text.vocabulary import Vocabulary

    if not source.is_dir():
        if source != STDIN and not source.exists():
            raise DataError(
                f"model not found: {source}",
                hint="name a model directory or an ARPA file with --model",
                path=source,
                option="--model",
            )
        repairs, digest = Repairs(source) if repair else None, hashlib.sha256()
        model, tokens = read_arpa(source, listen, repairs, digest)
        return _LoadedNgrams(model, tokens, digest.hexdigest(), repairs)
    if repair:
        listen(Note(f"--repair has no effect on {source}, which is a model directory, not an ARPA file"))
    document = store.read_config(source)
    if document["network"].get("arch") != "ngram":
        raise ArtefactError(
            f"{source} is not an n-gram model, so it has no ARPA form",
            hint="`rnnkit train-lm --arch ngram` trains one",
            path=source,
        )
    vocabulary = Vocabulary.load(source / VOCABULARY_FILE)
    return _LoadedNgrams(
        ngram_store.load(source / ngram_store.NAME), vocabulary.tokens, manifest.sha256(manifest.manifest_path(source))
    )


def _write_folder(loaded: _LoadedNgrams, source: Path, options: ConvertNgramsOptions) -> None:
    """Write a model directory like those of `train-lm`, by default with a tokenizer that splits at spaces and tabs."""
    from rnnkit.io.artifact_output import atomic_directory
    from rnnkit.io.atomic import copy_directory
    from rnnkit.models import store
    from rnnkit.models.lm_store import VOCABULARY_FILE
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.rule_based_tokenizers import KenLMTokenizer
    from rnnkit.text.tokenizer_store import save_tokenizer
    from rnnkit.text.unicode import Normalizer
    from rnnkit.text.vocabulary import Vocabulary

    model = loaded.model
    with atomic_directory(options.output, store.KIND) as partial:
        Vocabulary(tuple(loaded.tokens), (0,) * len(loaded.tokens)).save(partial / VOCABULARY_FILE)
        if source.is_dir() and (source / "tokenizer").exists():
            copy_directory(source / "tokenizer", partial / "tokenizer")
        else:
            save_tokenizer(KenLMTokenizer(Normalizer("none")), partial / "tokenizer")
        ngram_store.save(partial / ngram_store.NAME, model)
        network = {"arch": "ngram", "order": model.order, "smoothing": model.facts.get("smoothing")}
        store.write_config(partial, store.LANGUAGE_MODEL, ["und"], [VOCABULARY_FILE], network)
        kept = {name: value for name, value in as_dict(options).items() if name not in ("work", "overwrite", "output")}
        facts = {"languages": ["und"], "ngrams": list(model.sizes)}
        store.write_manifest(partial, kept, {"arpa": loaded.sha256}, facts, finished=True)
        _check_opens(partial)


def _check_opens(folder: Path) -> None:
    """Open a model directory as other commands do, so that an unusable one is never left behind."""
    from rnnkit.models import lm_store, store
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.vocabulary import Vocabulary

    store.read_config(folder)
    lm_store.find_tokenizer(folder)
    model = ngram_store.load(folder / ngram_store.NAME)
    entries = len(Vocabulary.load(folder / lm_store.VOCABULARY_FILE))
    if entries != model.vocabulary_size:
        raise FormatError(
            f"{folder}: the vocabulary has {entries:,} entries, but the n-gram model {model.vocabulary_size:,}",
            path=folder,
        )
