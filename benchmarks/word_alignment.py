"""Word alignment: rnnkit beside eflomal and fast_align, on Multi30k and Tatoeba, and how much a shortlist keeps.

For each text: seconds and sentence pairs a second of each system, both directions together, and how far their links
agree: F1 of the links of each direction and of both made one, always by rnnkit's `grow-diag-final-and`.

    RNNKIT_CORPORA=corpora python benchmarks/word_alignment.py

The `eflomal` package gets an environment of its own, for which a C compiler must be there. With `--fast-align PROGRAM`
that program stands in the table too. Words are rnnkit's, in lower case; pieces are one joint unigram model of 8,000.
A shortlist is held against the other parts: the share of the reference's tokens that it keeps, sentence by sentence.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnkit
from folders import run_in_folder
from meter import DISTURBED, Meter
from rivals import BenchmarkError, Environment, call, default_folder, distribution_versions, environment_python
from rnnkit.alignment.alignment_links import GROW_DIAG_FINAL_AND, WordAlignments, read_links, score_links, symmetrize
from rnnkit.alignment.bitext import Bitext, make_bitext, make_side
from rnnkit.alignment.shortlist import Shortlist
from rnnkit.data.aligned_data import AlignedData
from rnnkit.stages.text import align, align_options, align_words, tokenize, tokenize_options, vocab
from tables import markdown, spread

EFLOMAL = Environment(
    "eflomal", "eflomal==2.0.0", ("numpy==2.4.6", "Cython==3.3.1", "setuptools"), ("-c", "import eflomal")
)
TEXTS = {
    "multi30k": ("multi30k", ("de", "en"), {"train": "train", "valid": "val", "test": "test_2016_flickr"}),
    "tatoeba": ("tatoeba-en-de", ("en", "de"), {"train": "train", "valid": "valid", "test": "test"}),
}
UNITS: dict[str, dict[str, Any]] = {
    "words": {"type": "words", "lowercase": True},
    "pieces": {"type": "unigram", "size": 8000},
}
BATCH = 32
LONGEST = 256


@dataclass
class Result:
    """What was measured of one text.

    Attributes:
        seconds: Of each round, by system.
        agreements: F1 with rnnkit's links by rival: forward, backward, made one.
        shortlist: Kept tokens by part, candidates of a batch, microseconds of asking.
    """

    name: str
    pairs: int
    tokens: tuple[int, int]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    agreements: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    shortlist: dict[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    return run_in_folder(run, parse_arguments(arguments), "word_alignment")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpora", type=Path, default=os.environ.get("RNNKIT_CORPORA"), help="folder of the texts")
    parser.add_argument("--only", choices=list(TEXTS), action="append", help="measure this text alone")
    parser.add_argument("--units", choices=list(UNITS), nargs="+", default=list(UNITS))
    parser.add_argument("--models", choices=["hmm", "diagonal"], nargs="+", default=["hmm", "diagonal"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="rnnkit's; 0: all cores")
    parser.add_argument("--no-eflomal", action="store_true", help="leave it out")
    parser.add_argument("--eflomal", type=Path, help="its program, instead of an environment made for it")
    parser.add_argument("--fast-align", type=Path, help="its program, built by hand")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where rivals are installed")
    parser.add_argument("--work", type=Path, help="keep texts and links here")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    if options.corpora is None:
        parser.error("--corpora or RNNKIT_CORPORA must name the folder of the texts")
    options.corpora = Path(options.corpora)
    return options


def run(options: argparse.Namespace, work: Path) -> int:
    """Measure every text in its units."""
    rivals: dict[str, Callable[[Path, Path, Path], None]] = {}
    versions = {}
    if not options.no_eflomal:
        program = options.eflomal
        if program is None:
            python = environment_python(EFLOMAL, options.environments)
            versions = distribution_versions(python, ["eflomal"])
            program = python.with_name("eflomal-align")
        rivals["eflomal"] = lambda source, target, links: run_eflomal(program, source, target, links)
    if options.fast_align is not None:
        rivals["fast_align"] = lambda source, target, links: run_fast_align(options.fast_align, source, target, links)
    meter, results = Meter(), []
    for name in options.only or TEXTS:
        for unit in options.units:
            results.append(measure(name, unit, options, rivals, work))
            print(f"measured {results[-1].name}", file=sys.stderr)
    print(report(results, versions, options, meter.others()))
    if options.json is not None:
        options.json.write_text(json.dumps([vars(result) for result in results], indent=1) + "\n", encoding="utf-8")
    return 0


def measure(
    name: str,
    unit: str,
    options: argparse.Namespace,
    rivals: dict[str, Callable[[Path, Path, Path], None]],
    work: Path,
) -> Result:
    """Let every system align one text."""
    folder = prepare(name, unit, options.corpora, work)
    data = AlignedData.open(folder / "data")
    bitext = open_bitext(data, "train")
    tokens = int(bitext.source.length_N.sum()), int(bitext.target.length_N.sum())
    result = Result(f"{name}, {unit}", len(bitext), tokens)
    for model in options.models:
        compile_kernels(folder, model)
        result.seconds[f"rnnkit {model}"] = [
            align_with_rnnkit(folder, model, options.threads, model == options.models[0]) for _ in range(options.rounds)
        ]
    source, target = (write_text(data, side, folder) for side in data.sides)
    for rival, act in rivals.items():
        links = folder / rival
        result.seconds[rival] = [timed(act, source, target, links) for _ in range(options.rounds)]
        compare(result, rival, bitext, folder, links, options.models)
    check_shortlist(result, data, Shortlist.open(folder / "shortlist"))
    return result


def prepare(name: str, unit: str, corpora: Path, work: Path) -> Path:
    """Tokenize, count and pair a text; returns the workspace."""
    folder, sides, parts = TEXTS[name]
    texts = work / name / "text"
    texts.mkdir(parents=True, exist_ok=True)
    files = []
    for part, stem in parts.items():
        for side in sides:
            files.append(texts / f"{part}.{side}")
            try:
                files[-1].write_bytes(gzip.decompress((corpora / folder / f"{stem}.{side}.gz").read_bytes()))
            except FileNotFoundError as error:
                raise BenchmarkError(f"there is no {error.filename}; --corpora names the folder of the texts") from None
    home = work / name / unit
    shutil.rmtree(home, ignore_errors=True)
    tokenize.run(tokenize_options.TokenizeOptions(files=files, work=home, **UNITS[unit]))
    vocab.run(vocab.VocabOptions(work=home))
    align.run(align_options.AlignOptions(source=sides[0], target=sides[1], work=home))
    return home


def open_bitext(data: AlignedData, split: str) -> Bitext:
    """A part of the data as the aligner reads it."""
    source, target = (make_side(data.side(split, side), data.vocabulary_size(side)) for side in data.sides)
    return make_bitext(source, target, LONGEST)


def compile_kernels(folder: Path, model: str) -> None:
    """Let rnnkit compile what it needs, on a small part."""
    path = folder / "warm"
    align_words.run(
        align_words.AlignWordsOptions(
            work=folder, split="valid", model=model, iterations=1, output=path, overwrite=True
        )
    )


def align_with_rnnkit(folder: Path, model: str, threads: int, shortlist: bool) -> float:
    """Seconds of the whole work of the command, both directions, without the start of Python.

    The directions are written one by one afterwards, for comparison.
    """
    start = time.perf_counter()
    align_words.run(
        align_words.AlignWordsOptions(
            work=folder,
            model=model,
            threads=threads,
            output=folder / f"rnnkit-{model}.links",
            shortlist=folder / "shortlist" if shortlist else None,
            overwrite=True,
        )
    )
    seconds = time.perf_counter() - start
    for direction in ("forward", "backward"):
        align_words.run(
            align_words.AlignWordsOptions(
                work=folder,
                model=model,
                threads=threads,
                direction=direction,
                output=folder / f"rnnkit-{model}.{direction}",
                overwrite=True,
            )
        )
    return seconds


def write_text(data: AlignedData, side: str, folder: Path) -> Path:
    """The training part's ids as tokens of a text file: what every rival reads."""
    path = folder / f"ids.{side}"
    sentences = data.side("train", side)
    with path.open("w", encoding="ascii") as file:
        for number in range(len(sentences)):
            file.write(" ".join(f"w{word}" for word in sentences[number][:-1].tolist()) + "\n")
    return path


def timed(act: Callable[[Path, Path, Path], None], source: Path, target: Path, links: Path) -> float:
    """Seconds of a rival."""
    start = time.perf_counter()
    act(source, target, links)
    return time.perf_counter() - start


def run_eflomal(program: Path, source: Path, target: Path, links: Path) -> None:
    """Both directions of eflomal, with its own defaults."""
    call([str(program), "-s", str(source), "-t", str(target), "-f", f"{links}.forward", "-r", f"{links}.backward",
          "--overwrite"])  # fmt: skip


def run_fast_align(program: Path, source: Path, target: Path, links: Path) -> None:
    """Both directions of fast_align, with the options its authors recommend."""
    text = links.with_suffix(".text")
    with source.open() as one, target.open() as other, text.open("w") as file:
        file.writelines(f"{left.rstrip()} ||| {right.rstrip()}\n" for left, right in zip(one, other, strict=True))
    for direction, more in (("forward", []), ("backward", ["-r"])):
        with Path(f"{links}.{direction}").open("wb") as file:
            command = [str(program), "-i", str(text), "-d", "-o", "-v", *more]
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise BenchmarkError(f"fast_align failed: {done.stderr.decode()[-500:]}")


def compare(result: Result, rival: str, bitext: Bitext, folder: Path, links: Path, models: Sequence[str]) -> None:
    """How far a rival's links agree with rnnkit's, by direction and made one."""
    lengths = bitext.source.length_N, bitext.target.length_N
    theirs = [read_links(Path(f"{links}.{direction}"), *lengths) for direction in ("forward", "backward")]
    for model in models:
        mine = [read_links(folder / f"rnnkit-{model}.{direction}", *lengths) for direction in ("forward", "backward")]
        both = read_links(folder / f"rnnkit-{model}.links", *lengths), make_one(bitext, *theirs)
        shares = [score_links(ours, other).f1 for ours, other in (*zip(mine, theirs, strict=True), both)]
        result.agreements[f"{rival} with rnnkit {model}"] = (shares[0], shares[1], shares[2])


def make_one(bitext: Bitext, forward: WordAlignments, backward: WordAlignments) -> WordAlignments:
    """Two directions made one."""
    link_T = by_word(forward, bitext.target.length_N, forward.target_L, forward.source_L)
    link_S = by_word(backward, bitext.source.length_N, backward.source_L, backward.target_L)
    return symmetrize(bitext, link_T, link_S, GROW_DIAG_FINAL_AND)


def by_word(
    links: WordAlignments, length_N: NDArray[np.int64], word_L: NDArray[np.int32], other_L: NDArray[np.int32]
) -> NDArray[np.int32]:
    """For each word of one side the place of the word that it is linked with, or -1."""
    begin_N = np.cumsum(length_N) - length_N
    linked = np.full(int(length_N.sum()), -1, dtype=np.int32)
    linked[np.repeat(begin_N, np.diff(links.offset_N1)) + word_L] = other_L
    return linked


def check_shortlist(result: Result, data: AlignedData, shortlist: Shortlist) -> None:
    """How many of the reference's tokens sentences keep, how many words a batch asks for, and how long asking takes."""
    source, target = data.sides
    for split in ("valid", "test"):
        kept = total = 0
        for number in range(len(data.side(split, source))):
            words = data.side(split, target)[number]
            kept += int(np.isin(words, shortlist.candidates(data.side(split, source)[number])).sum())
            total += len(words)
        result.shortlist[split] = kept / total
    sentences = data.side("valid", source)
    batches = [
        np.concatenate([sentences[row] for row in range(first, min(first + BATCH, len(sentences)))])
        for first in range(0, len(sentences), BATCH)
    ]
    seconds, sizes = [], []
    for ids in batches:
        start = time.perf_counter()
        sizes.append(len(shortlist.candidates(ids)))
        seconds.append(time.perf_counter() - start)
    result.shortlist["candidates"] = statistics.median(sizes)
    result.shortlist["microseconds"] = 1e6 * statistics.median(seconds)


def report(
    results: Sequence[Result], versions: dict[str, str], options: argparse.Namespace, others: float | None
) -> str:
    """The tables, and what they depend on."""
    speeds = markdown(
        ["text", "system", "pairs", "tokens", "seconds", "pairs/s"],
        [
            [result.name, system, f"{result.pairs:,}", " + ".join(f"{count:,}" for count in result.tokens),
             spread(seconds, 1), f"{result.pairs / statistics.median(seconds):,.0f}"]
            for result in results for system, seconds in result.seconds.items()
        ],
        right=2,
    )  # fmt: skip
    agreements = markdown(
        ["text", "links of", "forward, F1", "backward, F1", "made one, F1"],
        [
            [result.name, who, *(f"{share:.3f}" for share in shares)]
            for result in results for who, shares in result.agreements.items()
        ],
        right=2,
    )  # fmt: skip
    shortlists = markdown(
        ["text", "kept of valid, %", "kept of test, %", f"words for {BATCH} sentences", "asked for in, µs"],
        [
            [result.name, *(f"{100 * result.shortlist[split]:.2f}" for split in ("valid", "test")),
             f"{result.shortlist['candidates']:,.0f}", f"{result.shortlist['microseconds']:,.0f}"]
            for result in results
        ],
        right=1,
    )  # fmt: skip
    facts = (
        f"Both directions together; {options.threads or os.cpu_count()} threads for rnnkit. "
        f"rnnkit {rnnkit.__version__}, "
        f"{', '.join(f'{name} {version}' for name, version in versions.items()) or 'rivals of unknown version'}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores, {datetime.date.today()}."
    )
    if others is not None and others > DISTURBED:
        facts += f" Other processes had {others:.0%} of the machine: measure again."
    return "\n\n".join([speeds, agreements, shortlists, facts])


if __name__ == "__main__":
    sys.exit(main())
