"""`rnnkit convert-ngrams`: counted language models to ARPA files and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rnnkit.config import argument, as_dict, option
from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Listener, ignore
from rnnkit.files import manifest
from rnnkit.files.atomic import is_stream
from rnnkit.files.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file, claim_folder

if TYPE_CHECKING:
    from rnnkit.ngrams.model import NgramModel

EXAMPLE = """\
rnnkit convert-ngrams model.arpa
rnnkit convert-ngrams model.arpa.gz --model work/counts --merge-unknown
rnnkit convert-ngrams work/imported --model wiki.arpa"""

KIND: Final = "model"
ENDINGS: Final = (".arpa", ".arpa.gz")


@dataclass(frozen=True)
class Options:
    """Write a counted language model as an ARPA file, which KenLM, SRILM and others read, or read one of theirs.

    An OUTPUT that ends in .arpa or .arpa.gz is such a file, any other a model directory. A model read from an ARPA file
    takes text whose tokens are parted by spaces, as the file has them.
    """

    output: Path = argument(help="ARPA file or model directory to write.", metavar="OUTPUT")
    model: Path | None = option(
        None, help="Model directory, or an ARPA file.", panel="Data", shown_default="WORK/model"
    )
    work: Path = usual.work()
    merge_unknown: bool = option(
        False, help="The text's own word <unk>, as in the Penn Treebank, is the unknown word.", panel="Output"
    )
    overwrite: bool = option(False, help="Replace what is there.", panel="Output")


@dataclass(frozen=True)
class Result:
    """What was written.

    Attributes:
        path: Where.
        ngrams: N-grams of each order.
    """

    path: Path
    ngrams: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {"path": str(self.path), "ngrams": list(self.ngrams)}

    @property
    def lines(self) -> list[str]:
        """The result for people."""
        return [f"{self.path}: {', '.join(f'{count:,}' for count in self.ngrams)} n-grams of order 1 to {self.order}"]

    @property
    def order(self) -> int:
        """Tokens of the longest."""
        return len(self.ngrams)


def run(options: Options, listen: Listener = ignore) -> Result:
    """Convert.

    Raises:
        DataError: There is no such model or file, or nothing of the kind in it.
        FormatError: It is damaged; of an ARPA file the message names the line.
        ArtefactError: The output already exists, or the model has no counts, or holds what ARPA cannot.
    """
    from rnnkit.ngrams.arpa import write_arpa

    source = options.model or Workspace(options.work).model
    if options.output.name.endswith(ENDINGS) or is_stream(options.output):
        claim_file(options, options.output, others=[source])
    else:
        claim_folder(options, options.output, KIND, others=[source])
    model, tokens = _read(source, listen)
    if options.output.name.endswith(ENDINGS) or is_stream(options.output):
        write_arpa(model, tokens, options.output, options.merge_unknown, listen)
    else:
        _write_folder(model, tokens, source, options)
    return Result(options.output, tuple(model.sizes))


def _read(source: Path, listen: Listener) -> tuple[NgramModel, list[str]]:
    from rnnkit.models import store
    from rnnkit.models.language_store import VOCABULARY
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.ngrams.arpa_reader import read_arpa
    from rnnkit.text.vocabulary import Vocabulary

    if not source.is_dir():
        if not source.exists():
            raise DataError(f"there is no model at {source}", hint="--model names a model directory or an ARPA file")
        return read_arpa(source, listen)
    document = store.read_config(source)
    if document["network"].get("arch") != "ngram":
        raise ArtefactError(
            f"{source} has no counts", "ARPA files hold n-grams", hint="`rnnkit train-lm --arch ngram` makes them"
        )
    return ngram_store.load(source / ngram_store.NAME), list(Vocabulary.load(source / VOCABULARY).tokens)


def _write_folder(model: NgramModel, tokens: list[str], source: Path, options: Options) -> None:
    """A model directory like those that `train-lm` makes, with a tokenizer that parts text at spaces."""
    from rnnkit.files.artefact_output import atomic_folder
    from rnnkit.files.explained import copy_folder
    from rnnkit.models import store
    from rnnkit.models.language_store import VOCABULARY
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.normalise import Normalisation
    from rnnkit.text.tokenizers.spaces import SpaceTokenizer
    from rnnkit.text.tokenizers.store import save_tokenizer
    from rnnkit.text.vocabulary import Vocabulary

    digest = {"arpa": manifest.sha256(manifest.place(source) if source.is_dir() else source)}
    with atomic_folder(options.output, store.KIND) as partial:
        Vocabulary(tuple(tokens), (0,) * len(tokens)).save(partial / VOCABULARY)
        if source.is_dir() and (source / "tokenizer").exists():
            copy_folder(source / "tokenizer", partial / "tokenizer")
        else:
            save_tokenizer(SpaceTokenizer(Normalisation("none")), partial / "tokenizer")
        ngram_store.save(partial / ngram_store.NAME, model)
        network = {"arch": "ngram", "order": model.order, "smoothing": model.facts.get("smoothing")}
        store.write_config(partial, store.LANGUAGE_MODEL, ["und"], [VOCABULARY], network)
        kept = {name: value for name, value in as_dict(options).items() if name not in ("work", "overwrite", "output")}
        store.seal(partial, kept, digest, {"languages": ["und"], "ngrams": list(model.sizes)}, finished=True)
