"""`rnnkit align-words`: which word of a sentence goes with which of its translation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rnnkit.config import argument, as_dict, option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io.artifact_output import write_file_manifest
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file, claim_folder
from rnnkit.text.token_files import TRAIN

if TYPE_CHECKING:
    from rnnkit.alignment.agreement import Agreement
    from rnnkit.alignment.bitext import Bitext
    from rnnkit.alignment.estimate import Model
    from rnnkit.alignment.links import Links
    from rnnkit.stages.text.word_pairs import WordPairs

EXAMPLE = """\
rnnkit align-words
rnnkit align-words --shortlist work/shortlist --lexicon work/lexicon.tsv
rnnkit align-words train.de.tok train.en.tok --direction forward --output de-en.links"""

FORWARD: Final = "forward"
BACKWARD: Final = "backward"


@dataclass(frozen=True)
class AlignWordsOptions:
    """Find out which words translate each other, and write for each sentence pair the links between its words.

    A link is SOURCE-TARGET, two places counted from 0; a line holds the links of a pair (Pharaoh's format). The words
    of each side are explained by those of the other; the two sets of links that come of it are made one.
    """

    files: list[Path] = argument((), help="Two token files, source and target.", shown_default="the data's sides")
    data: Path | None = option(None, help="Aligned data of two sides.", shown_default="WORK/data")
    split: str = option(TRAIN, help="Part of the data.")
    vocab: list[Path] = option(
        (), help="Vocabulary files, for --lexicon.", many=True, shown_default="WORK/vocab.tsv or WORK/vocab.LANG.tsv"
    )
    compare: Path | None = option(
        None, help="Links to compare with: sure ones 0-0, possible ones 0?0.", shown_default="none"
    )
    work: Path = usual.work()
    model: str = option("hmm", help="Jumps from link to link, or a pull to the diagonal.", panel="Model",
                        choices=("hmm", "diagonal"))  # fmt: skip
    iterations: int = option(5, help="Passes over the text; for hmm, as many of the diagonal model before.",
                             panel="Model", minimum=1)  # fmt: skip
    null: float = option(
        0.2, help="Probability that a word belongs to none.", panel="Model", minimum=1e-6, maximum=0.999
    )
    alpha: float = option(
        0.01, help="Pseudo-count of a pair of words; 0: maximum likelihood.", panel="Model", minimum=0
    )
    max_length: int = option(
        256, help="Pairs with a longer side get no links.", unit="tokens", panel="Model", minimum=1, maximum=4096
    )
    threads: int = usual.threads(help="CPU threads; 0: all cores. The result is the same.", panel="Model")
    direction: str | None = option(
        None, help="Links of one direction: target words explained by source words, or backward.",
        choices=(FORWARD, BACKWARD), shown_default="both", panel="Output",
    )  # fmt: skip
    symmetrise: str | None = option(
        None, help="How the links of both directions are made one.", shown_default="grow-diag-final-and",
        choices=("grow-diag-final-and", "grow-diag", "intersection", "union"), panel="Output",
    )  # fmt: skip
    output: Path | None = option(None, help="File of links.", shown_default="WORK/links", panel="Output")
    lexicon: Path | None = option(None, help="File for p(target | source).", shown_default="none", panel="Output")
    shortlist: Path | None = option(
        None, help="Folder of the target words that each source word may need.", shown_default="none", panel="Output"
    )
    best: int = option(100, help="Target words of a source word in the shortlist.", panel="Output", minimum=1)
    frequent: int = option(1500, help="Frequent target words in every shortlist.", panel="Output", minimum=0)
    overwrite: bool = option(False, help="Replace what is there.", panel="Output")


@dataclass(frozen=True)
class AlignWordsResult:
    """What was found.

    Attributes:
        path: File of links.
        pairs: Sentence pairs.
        too_long: How many of them got no links because they are too long.
        links: Links in all.
        bits: Bits a word before each pass, by direction.
        seconds: Time of learning and linking.
        agreement: With the links of `--compare`: precision, recall, f1, error_rate.
        lexicon: The word table.
        shortlist: The shortlist.
    """

    path: Path
    pairs: int
    too_long: int
    links: int
    bits: dict[str, tuple[float, ...]]
    seconds: float
    agreement: dict[str, float] | None
    lexicon: Path | None
    shortlist: Path | None

    @property
    def pairs_per_second(self) -> float:
        """Sentence pairs a second, all passes and both directions together."""
        return self.pairs / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        paths = {name: None if path is None else str(path) for name, path in self._paths().items()}
        return {**dataclasses.asdict(self), **paths, "pairs_per_second": round(self.pairs_per_second, 1)}

    def _paths(self) -> dict[str, Path | None]:
        return {"path": self.path, "lexicon": self.lexicon, "shortlist": self.shortlist}

    @property
    def lines(self) -> list[str]:
        """The result for people."""
        speed = f"{self.seconds:.1f} s, {self.pairs_per_second:,.0f} pairs/s"
        lines = [f"{self.path}: {self.links:,} links in {self.pairs:,} sentence pairs, {speed}"]
        for name, bits in self.bits.items():
            first, last = (round(value, 2) + 0.0 for value in (bits[0], bits[-1]))  # not -0.00
            lines.append(f"{name}: {first:.2f} to {last:.2f} bits per word")
        lines += self.figures
        return lines + [str(path) for path in (self.lexicon, self.shortlist) if path is not None]

    @property
    def figures(self) -> list[str]:
        """The agreement with `--compare`, which no file holds."""
        if self.agreement is None:
            return []
        return [", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in self.agreement.items())]


def run(options: AlignWordsOptions, listen: Listener = null_listener) -> AlignWordsResult:
    """Align words.

    Raises:
        UsageError: Options that exclude each other.
        DataError: There is no such text, it has one side, or the links to compare with do not fit it.
        ArtefactError: An output already exists, or the vocabulary is not the data's.
        FormatError: The data is damaged.
    """
    with spool_pipes(options.files) as files, spool_pipes([] if options.compare is None else [options.compare]) as gold:
        compare = gold[0] if gold else None
        return _run(dataclasses.replace(options, files=files, compare=compare), options, listen)


def _run(options: AlignWordsOptions, given: AlignWordsOptions, listen: Listener) -> AlignWordsResult:
    """The same for files that can be read more than once; what is written records the options as `given`."""
    from rnnkit.alignment.bitext import make_bitext
    from rnnkit.alignment.links import write_links
    from rnnkit.stages.text.word_pairs import open_data, open_files
    from rnnkit.system.machine import available_cores

    _check(options)
    workspace = Workspace(options.work)
    output = options.output or workspace.links
    _refuse_taken(options, output)
    words = open_files(options.files) if options.files else open_data(
        workspace, options.data, options.split, options.vocab
    )  # fmt: skip
    tokens = [words.tokens(side) for side in (0, 1)] if options.lexicon else []
    bitext = make_bitext(words.source, words.target, options.max_length)
    gold = _read_gold(options.compare, words)
    if bitext.too_long:
        listen(
            WarningEvent(f"{bitext.too_long:,} sentence pairs of more than {options.max_length} tokens get no links")
        )
    began = time.monotonic()
    links, models = _align(options, words, bitext, options.threads or available_cores(), listen)
    seconds = time.monotonic() - began
    agreement = None if gold is None else dataclasses.asdict(_compare(links, *gold))
    write_links(links, output)
    _seal(output, given, words, bitext, links)
    _write_tables(given, words, models, tokens)
    bits = {name: model.bits for name, model in models.items()}
    return AlignWordsResult(
        output, len(bitext), bitext.too_long, len(links.source_L), bits, seconds, agreement, options.lexicon,
        options.shortlist,
    )  # fmt: skip


def _check(options: AlignWordsOptions) -> None:
    """Refuse options that exclude each other."""
    if options.direction and options.symmetrise:
        raise UsageError(f"--direction {options.direction} is one direction, --symmetrise makes one of two")
    if options.files and options.shortlist:
        raise UsageError(
            "--shortlist needs aligned data: a shortlist holds the ids of its vocabulary",
            hint="`rnnkit align` makes data from token files",
        )
    if options.files and (options.data or options.vocab):
        raise UsageError(f"{'--data' if options.data else '--vocab'} and token files exclude each other")


def _refuse_taken(options: AlignWordsOptions, output: Path) -> None:
    """Keep what is there, before any work is done."""
    from rnnkit.alignment import links, shortlist

    claim_file(options, output, links.KIND, beside=filter(None, [options.lexicon, options.shortlist]))
    if options.lexicon is not None:
        claim_file(options, options.lexicon, beside=[output])
    if options.shortlist is not None:
        claim_folder(options, options.shortlist, shortlist.KIND)


def _align(
    options: AlignWordsOptions, words: WordPairs, bitext: Bitext, threads: int, listen: Listener
) -> tuple[Links, dict[str, Model]]:
    """The links, and the models that were needed for them and for the tables, by direction."""
    from rnnkit.alignment.estimate import estimate, link
    from rnnkit.alignment.options import AlignmentOptions as Learning
    from rnnkit.alignment.symmetry import GROW_DIAG_FINAL_AND, one_direction, symmetrise

    learning = Learning(options.model, options.iterations, options.null, options.alpha)
    source, target = words.names
    bitexts = {FORWARD: (bitext, f"{source}-{target}"), BACKWARD: (bitext.swapped(), f"{target}-{source}")}
    wanted = {FORWARD, BACKWARD} if options.direction is None else {options.direction}
    if options.lexicon or options.shortlist:
        wanted.add(FORWARD)
    models = {
        name: estimate(pairs, learning, threads, listen, task)
        for name, (pairs, task) in bitexts.items()
        if name in wanted
    }
    linked = [options.direction] if options.direction else list(bitexts)
    found = [link(bitexts[name][0], models[name], threads) for name in linked]
    if options.direction:
        return one_direction(bitext, found[0], backward=options.direction == BACKWARD), models
    return symmetrise(bitext, found[0], found[1], options.symmetrise or GROW_DIAG_FINAL_AND), models


def _read_gold(path: Path | None, words: WordPairs) -> tuple[Links, Links] | None:
    """Links to compare with: the sure ones, and those with the possible ones."""
    from rnnkit.alignment.links import read_links

    if path is None:
        return None
    lengths = words.source.length_N, words.target.length_N
    return read_links(path, *lengths), read_links(path, *lengths, possible=True)


def _compare(links: Links, sure: Links, possible: Links) -> Agreement:
    from rnnkit.alignment.agreement import agreement

    return agreement(links, sure, possible)


def _seal(output: Path, options: AlignWordsOptions, words: WordPairs, bitext: Bitext, links: Links) -> None:
    """Write the manifest of the links."""
    from rnnkit.alignment.links import KIND, VERSION

    facts = {"sides": list(words.names), "pairs": len(bitext), "links": len(links.source_L)}
    write_file_manifest(output, KIND, VERSION, options=_kept(options), inputs=words.digests, facts=facts)


def _write_tables(
    options: AlignWordsOptions, words: WordPairs, models: Mapping[str, Model], tokens: Sequence[Any]
) -> None:
    """Write the word table and the shortlist, where they are asked for."""
    import numpy as np

    from rnnkit.alignment.lexicon import make_lexicon, write_lexicon
    from rnnkit.alignment.shortlist import make_rows, most_frequent, write_shortlist

    if options.lexicon is not None:
        write_lexicon(make_lexicon(models[FORWARD].table), options.lexicon, *tokens)
    if options.shortlist is not None:
        count_V = np.bincount(words.target.ids, minlength=words.target.size)
        rows = make_rows(make_lexicon(models[FORWARD].table, 0.0), options.best, words.joint)
        always_F = most_frequent(count_V, options.frequent)
        write_shortlist(
            options.shortlist, rows, always_F, words.target.size, options=_kept(options), inputs=words.digests
        )


def _kept(options: AlignWordsOptions) -> dict[str, Any]:
    """The options that the result depends on."""
    call = ("work", "threads", "output", "overwrite", "compare", "lexicon", "shortlist")
    return {name: value for name, value in as_dict(options).items() if name not in call}
