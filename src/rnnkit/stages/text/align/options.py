"""The options and the result of `rnnkit align`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.options.declare import option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.text.align.report import describe

if TYPE_CHECKING:
    from rnnkit.data.aligned_data_writer import SplitCounts

PAIR_LENGTH = 256
"""Default of `--max-length` for parallel data."""


@dataclass(frozen=True)
class AlignOptions:
    """Encode token files as ids of the vocabulary, line by line: parallel data of two sides, or text of one side.

    Parallel data is for translation, text for language models. From train and valid, lines with an empty side are
    dropped and counted; the filters apply to train only. Nothing is dropped from test, whose line numbers stay those
    of the text. For text with blank lines, --keep-empty keeps them in all splits. Memory does not grow with the text.
    """

    source: str | None = option(None, help="Source language: pairs *.SOURCE.tok with *.TARGET.tok.")
    target: str | None = option(None, help="Target language.")
    text: str | None = option(
        None, help="Language of data with one side.", shown_default="the only language, if there is only one"
    )
    train: list[Path] = option(
        (), help="Token files of the train split: source and target, or one.", many=True, shown_default="WORK/tokens"
    )
    valid: list[Path] = option((), help="Token files of the validation split.", many=True, shown_default="WORK/tokens")
    test: list[Path] = option((), help="Token files of the test split.", many=True, shown_default="WORK/tokens")
    vocab: list[Path] = option(
        (),
        help="Joint vocabulary, or source and target vocabulary.",
        many=True,
        shown_default="WORK/vocab.tsv, or WORK/vocab.LANG.tsv",
    )
    work: Path = shared.work()
    max_length: int | None = option(
        None,
        help="Maximum sentence length, EOS included.",
        unit="tokens",
        minimum=2,
        shown_default=f"{PAIR_LENGTH} for two sides, no limit for one",
        panel="Length",
    )
    long: str = option(
        "drop",
        help="Drop or truncate longer sentences of train and valid; those of test are always truncated.",
        choices=("drop", "truncate"),
        panel="Length",
    )
    length: int | None = option(
        None,
        help="Fixed length: truncate longer sentences and pad shorter ones to it.",
        unit="tokens",
        minimum=2,
        panel="Length",
    )
    pad_side: str = option("right", help="Side of the padding.", choices=("right", "left"), panel="Length")
    truncate_side: str = option(
        "right",
        help="Side to truncate; EOS is kept.",
        choices=("right", "left"),
        panel="Length",
    )
    max_ratio: float | None = option(
        None,
        help="Drop train pairs whose lengths differ by more than this factor; features do not count.",
        minimum=1,
        panel="Filters",
    )
    keep_empty: bool = option(
        False, help="Keep blank lines of data with one side, encoded as a single EOS, as in WikiText.", panel="Filters"
    )
    drop_duplicates: bool = option(
        False,
        help="Drop repeated lines of train; takes about 70 bytes of memory per line.",
        panel="Filters",
    )
    drop_leaked: bool = option(
        False, help="Drop lines of train that occur in valid or test, with all sides equal.", panel="Filters"
    )
    output: Path | None = option(None, help="Data directory to write.", shown_default="WORK/data", panel="Output")
    overwrite: bool = option(False, help="Replace existing data.", panel="Output")
    processes: int = shared.processes()
    shard: str | None = shared.shard(help="Encode part I of N of the lines into DATA.I-of-N.")
    merge: bool = shared.merge(help="Join the data of all shards.")


@dataclass(frozen=True)
class AlignResult:
    """The data that was written.

    Attributes:
        data: Its directory.
        sides: Languages, the source first.
        splits: Counts of each split.
    """

    data: Path
    sides: tuple[str, ...]
    splits: dict[str, SplitCounts]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(f"{self.data} {split}: {describe(counts)}" for split, counts in self.splits.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON."""
        splits = {split: counts.as_facts() for split, counts in self.splits.items()}
        return {"data": str(self.data), "sides": list(self.sides), "splits": splits}
