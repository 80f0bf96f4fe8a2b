"""`rnnkit align-words`: word alignments of a parallel corpus, lexicons and shortlists."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Status, WarningEvent, null_listener
from rnnkit.io.artifact_output import write_file_manifest
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, changed, option
from rnnkit.options.record import as_dict
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file, check_output_folder
from rnnkit.text.token_files import TRAIN

if TYPE_CHECKING:
    from rnnkit.alignment.alignment_links import AlignmentScores, WordAlignments
    from rnnkit.alignment.alignment_models import AlignmentModel
    from rnnkit.alignment.bitext import Bitext, ParallelCorpus

EXAMPLE = """\
rnnkit align-words
rnnkit align-words --shortlist work/shortlist --lexicon work/lexicon.tsv
rnnkit align-words train.de.tok train.en.tok --direction forward --output de-en.links"""

FORWARD: Final = "forward"
BACKWARD: Final = "backward"


@dataclass(frozen=True)
class AlignWordsOptions(shared.WorkspaceOptions, shared.ThreadOptions, shared.OverwriteOptions):
    """Align the words of a parallel corpus, and write the alignment links of each sentence pair.

    A link is SOURCE-TARGET, two word positions counted from 0; a line holds the links of a sentence pair (Pharaoh
    format). A model for each direction explains the words of one side by those of the other; the two alignments are
    then symmetrized.
    """

    files: list[Path] = argument((), help="Two token files, source and target.", shown_default="the sides of --data")
    data: Path | None = option(None, help="Aligned data of two sides.", shown_default="WORK/data")
    split: str = option(TRAIN, help="Split of the data.")
    vocab: list[Path] = option(
        (), help="Vocabulary files, for --lexicon.", many=True, shown_default="WORK/vocab.tsv or WORK/vocab.LANG.tsv"
    )
    compare: Path | None = option(
        None, help="Reference alignment to evaluate against, with sure links 0-0 and possible links 0?0.",
        shown_default="none",
    )  # fmt: skip
    model: str = option("hmm", help="HMM alignment, or IBM Model 2 with a diagonal prior (fast_align).", panel="Model",
                        choices=("hmm", "diagonal"), variable="ALIGN_WORDS_MODEL")  # fmt: skip
    iterations: int = option(5, help="EM iterations; hmm runs as many of the diagonal model first.", panel="Model",
                             minimum=1)  # fmt: skip
    null: float = option(
        0.2, help="Probability that a word is aligned to the null word.", panel="Model", minimum=1e-6, maximum=0.999
    )
    alpha: float = option(
        0.01, help="Dirichlet prior of translation probabilities (variational Bayes); 0 is maximum likelihood.",
        panel="Model", minimum=0, variable="ALIGN_WORDS_ALPHA",
    )  # fmt: skip
    max_length: int = option(
        256,
        help="Skip sentence pairs with a longer side.",
        unit="tokens",
        panel="Model",
        minimum=1,
        maximum=4096,
        variable="ALIGN_WORDS_MAX_LENGTH",
    )
    direction: str | None = option(
        None, help="Write the alignment of one direction; forward aligns each target word to a source word.",
        choices=(FORWARD, BACKWARD), shown_default="both", panel="Output",
    )  # fmt: skip
    symmetrize: str | None = option(
        None, help="Symmetrization of the two directions.", shown_default="grow-diag-final-and",
        choices=("grow-diag-final-and", "grow-diag", "intersection", "union"), panel="Output", formerly="symmetrise",
    )  # fmt: skip
    output: Path | None = option(None, help="File of alignment links.", shown_default="WORK/links", panel="Output")
    lexicon: Path | None = option(
        None, help="File for the translation probabilities p(target | source).", shown_default="none", panel="Output"
    )
    shortlist: Path | None = option(
        None, help="Directory for the vocabulary shortlist of each source word.", shown_default="none", panel="Output"
    )
    best: int = option(100, help="Translations per source word in the shortlist.", panel="Output", minimum=1)
    frequent: int = option(1500, help="Most frequent target words, part of every shortlist.", panel="Output", minimum=0)
    _: KW_ONLY
    threads: int = changed(
        shared.ThreadOptions,
        "threads",
        help="CPU threads; 0 uses all cores. The output does not depend on it.",
        panel="Model",
    )


@dataclass(frozen=True)
class AlignWordsResult:
    """The alignment that was written.

    Attributes:
        path: File of links.
        pairs: Sentence pairs.
        too_long: Sentence pairs without links because a side exceeds the maximum length.
        links: Links in all.
        bits: Bits per word before each iteration, by direction.
        seconds: Time of training and alignment.
        agreement: Agreement with `--compare`: precision, recall, f1, error_rate.
        lexicon: The file of translation probabilities.
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
        """Sentence pairs per second, over all iterations and both directions."""
        return self.pairs / self.seconds

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        paths = {name: None if path is None else str(path) for name, path in self._paths().items()}
        return {**dataclasses.asdict(self), **paths, "pairs_per_second": round(self.pairs_per_second, 1)}

    def _paths(self) -> dict[str, Path | None]:
        return {"path": self.path, "lexicon": self.lexicon, "shortlist": self.shortlist}

    @property
    def lines(self) -> list[str]:
        """The result as text."""
        speed = f"{self.seconds:.1f} s, {self.pairs_per_second:,.0f} pairs/s"
        lines = [f"{self.path}: {self.links:,} links in {self.pairs:,} sentence pairs, {speed}"]
        for name, bits in self.bits.items():
            first, last = (round(value, 2) + 0.0 for value in (bits[0], bits[-1]))  # not -0.00
            lines.append(f"{name}: {first:.2f} to {last:.2f} bits per word")
        lines += self.figures
        return lines + [str(path) for path in (self.lexicon, self.shortlist) if path is not None]

    @property
    def figures(self) -> list[str]:
        """The agreement with `--compare`, which is not in any output file."""
        if self.agreement is None:
            return []
        return [", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in self.agreement.items())]


def run(options: AlignWordsOptions, listen: Listener = null_listener) -> AlignWordsResult:
    """Align the words.

    Raises:
        UsageError: Options exclude each other.
        DataError: The text does not exist or has one side, or the reference alignment does not match it.
        ArtefactError: An output already exists, or the data was encoded with another vocabulary.
        FormatError: The data is damaged.
    """
    with spool_pipes(options.files) as files, spool_pipes([] if options.compare is None else [options.compare]) as gold:
        compare = gold[0] if gold else None
        return _run(dataclasses.replace(options, files=files, compare=compare), options, listen)


def _run(options: AlignWordsOptions, given: AlignWordsOptions, listen: Listener) -> AlignWordsResult:
    """Do the work of `run` on files that can be read repeatedly; manifests record the options `given`."""
    from rnnkit.alignment.alignment_links import write_links
    from rnnkit.alignment.bitext import make_bitext, open_aligned_data, open_token_file_pair
    from rnnkit.system.machine import available_cores

    _check_options(options)
    workspace = Workspace(options.work)
    output = options.output or workspace.links
    _check_outputs(options, output)
    corpus = open_token_file_pair(options.files) if options.files else open_aligned_data(
        workspace, options.data, options.split, options.vocab
    )  # fmt: skip
    tokens = [corpus.tokens(side) for side in (0, 1)] if options.lexicon else []
    listen(Status("reading the text"))
    bitext = make_bitext(corpus.source, corpus.target, options.max_length)
    gold = _read_gold(options.compare, corpus)
    if bitext.too_long:
        listen(WarningEvent(f"skipped {bitext.too_long:,} sentence pairs with more than {options.max_length} tokens"))
    began = time.monotonic()
    links, models = _align(options, corpus, bitext, options.threads or available_cores(), listen)
    seconds = time.monotonic() - began
    agreement = None if gold is None else dataclasses.asdict(_compare(links, *gold))
    write_links(links, output)
    _seal(output, given, corpus, bitext, links)
    _write_tables(given, corpus, models, tokens)
    bits = {name: model.bits for name, model in models.items()}
    return AlignWordsResult(
        output, len(bitext), bitext.too_long, len(links.source_L), bits, seconds, agreement, options.lexicon,
        options.shortlist,
    )  # fmt: skip


def _check_options(options: AlignWordsOptions) -> None:
    """Check for options that exclude each other."""
    if options.direction and options.symmetrize:
        raise UsageError(
            f"--direction {options.direction} and --symmetrize exclude each other",
            "symmetrization combines both directions",
            option="--symmetrize",
        )
    if options.files and options.shortlist:
        raise UsageError(
            "--shortlist needs aligned data, because a shortlist consists of ids of its vocabulary",
            hint="encode the token files with `rnnkit align`",
            option="--shortlist",
        )
    if options.files and (options.data or options.vocab):
        name = "--data" if options.data else "--vocab"
        raise UsageError(f"{name} and token files exclude each other", option=name)


def _check_outputs(options: AlignWordsOptions, output: Path) -> None:
    """Check the outputs before any work is done."""
    from rnnkit.alignment import alignment_links, shortlist

    check_output_file(options, output, alignment_links.KIND, beside=filter(None, [options.lexicon, options.shortlist]))
    if options.lexicon is not None:
        check_output_file(options, options.lexicon, beside=[output])
    if options.shortlist is not None:
        check_output_folder(options, options.shortlist, shortlist.KIND)


def _align(
    options: AlignWordsOptions, corpus: ParallelCorpus, bitext: Bitext, threads: int, listen: Listener
) -> tuple[WordAlignments, dict[str, AlignmentModel]]:
    """Train the models that the outputs need. Returns the links, and the models by direction."""
    from rnnkit.alignment.alignment_links import GROW_DIAG_FINAL_AND, single_direction_links, symmetrize
    from rnnkit.alignment.alignment_models import AlignmentOptions
    from rnnkit.alignment.em_training import predict_links, train_alignment_model

    training = AlignmentOptions(options.model, options.iterations, options.null, options.alpha)
    source, target = corpus.names
    bitexts = {FORWARD: (bitext, f"{source}-{target}"), BACKWARD: (bitext.swapped(), f"{target}-{source}")}
    wanted = {FORWARD, BACKWARD} if options.direction is None else {options.direction}
    if options.lexicon or options.shortlist:
        wanted.add(FORWARD)
    models = {
        name: train_alignment_model(pairs, training, threads, listen, task)
        for name, (pairs, task) in bitexts.items()
        if name in wanted
    }
    listen(Status("linking words"))
    linked = [options.direction] if options.direction else list(bitexts)
    found = [predict_links(bitexts[name][0], models[name], threads) for name in linked]
    if options.direction:
        return single_direction_links(bitext, found[0], backward=options.direction == BACKWARD), models
    return symmetrize(bitext, found[0], found[1], options.symmetrize or GROW_DIAG_FINAL_AND), models


def _read_gold(path: Path | None, corpus: ParallelCorpus) -> tuple[WordAlignments, WordAlignments] | None:
    """Read the reference alignment: the sure links, and the sure and possible links."""
    from rnnkit.alignment.alignment_links import read_links

    if path is None:
        return None
    lengths = corpus.source.length_N, corpus.target.length_N
    return read_links(path, *lengths), read_links(path, *lengths, possible=True)


def _compare(links: WordAlignments, sure: WordAlignments, possible: WordAlignments) -> AlignmentScores:
    from rnnkit.alignment.alignment_links import score_links

    return score_links(links, sure, possible)


def _seal(
    output: Path, options: AlignWordsOptions, corpus: ParallelCorpus, bitext: Bitext, links: WordAlignments
) -> None:
    """Write the manifest of the file of links."""
    from rnnkit.alignment.alignment_links import KIND, VERSION

    facts = {"sides": list(corpus.names), "pairs": len(bitext), "links": len(links.source_L)}
    write_file_manifest(output, KIND, VERSION, options=_recorded_options(options), inputs=corpus.digests, facts=facts)


def _write_tables(
    options: AlignWordsOptions,
    corpus: ParallelCorpus,
    models: Mapping[str, AlignmentModel],
    tokens: Sequence[Sequence[str]],
) -> None:
    """Write the lexicon and the shortlist if the options name them."""
    import numpy as np

    from rnnkit.alignment.shortlist import most_frequent_words, top_translations, write_shortlist
    from rnnkit.alignment.translation_table import make_translation_table, write_translation_table

    if options.lexicon is not None:
        write_translation_table(make_translation_table(models[FORWARD].table), options.lexicon, *tokens)
    if options.shortlist is not None:
        count_V = np.bincount(corpus.target.ids, minlength=corpus.target.size)
        rows = top_translations(make_translation_table(models[FORWARD].table, 0.0), options.best, corpus.joint)
        always_F = most_frequent_words(count_V, options.frequent)
        write_shortlist(
            options.shortlist,
            rows,
            always_F,
            corpus.target.size,
            options=_recorded_options(options),
            inputs=corpus.digests,
        )


def _recorded_options(options: AlignWordsOptions) -> JsonObject:
    """Return the options that determine the output."""
    excluded = ("work", "threads", "output", "overwrite", "compare", "lexicon", "shortlist")
    return {name: value for name, value in as_dict(options).items() if name not in excluded}
